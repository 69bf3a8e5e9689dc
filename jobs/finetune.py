r"""Fine-tune on a cluster: model → stage → stage → …, each with Ray Train and DeepSpeed.

    ray job submit --working-dir . -- python jobs/finetune.py \
        --config jobs/configs/finetune_metamathqa_7b.yaml --run-directory /shared/metamath_7b

Takes the options of `metamath-ray finetune` and resumes as it does. The run directory has to be one that every node
sees, and that outlives the job: its working directory is a copy that Ray throws away.
"""

import sys

from metamath_ray.arguments import parse_arguments
from metamath_ray.config import FinetuneCommand
from metamath_ray.exits import require_lasting, run_guarded
from metamath_ray.terminal import stages_table
from metamath_ray.terminal_log import observing
from metamath_ray.terminal_quiet import quiet


def main() -> None:
    """Run the job."""
    command = parse_arguments(FinetuneCommand, sys.argv[1:], program="jobs/finetune.py")
    require_lasting(command.run_directory)
    with quiet(command.run_directory) as console:
        with observing(console, command.run_directory, command.ray) as observer:
            from metamath_ray.distributed.finetune import finetune  # noqa: PLC0415  (DeepSpeed prints when imported)

            report = finetune(command, observer=observer)
        console.print(stages_table(report))


if __name__ == "__main__":
    sys.exit(run_guarded(main))
