r"""Sample on a cluster: problems → N graded, scored solutions of each, in one table.

    ray job submit --working-dir . -- python jobs/sample.py \
        --config jobs/configs/sample_math500_qwen_math_1gpu.yaml --run-directory /shared/math500_qwen

Takes the options of `metamath-ray sample`, resumes and grows as it does. The run directory has to be one that every
node sees, and that outlives the job: its working directory is a copy that Ray throws away.
"""

import sys

from metamath_ray.arguments import parse_arguments
from metamath_ray.config import SampleCommand
from metamath_ray.distributed.sample import sample
from metamath_ray.exits import require_lasting, run_guarded
from metamath_ray.terminal import sampled_lines
from metamath_ray.terminal_log import observing
from metamath_ray.terminal_quiet import quiet


def main() -> None:
    """Run the job."""
    command = parse_arguments(SampleCommand, sys.argv[1:], program="jobs/sample.py")
    require_lasting(command.run_directory)
    with quiet(command.run_directory) as console:
        with observing(console, command.run_directory, command.ray) as observer:
            report = sample(command, retry_failed=command.retry_failed, observer=observer)
        for line in sampled_lines(report, command.run_directory):
            console.print(line, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_guarded(main))
