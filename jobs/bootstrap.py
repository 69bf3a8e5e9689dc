r"""Bootstrap a data set on a cluster: problems → plan → outcomes → data set.

    ray job submit --working-dir . -- python jobs/bootstrap.py \
        --config jobs/configs/bootstrap_gsm8k_qwen_1gpu.yaml --run-directory /shared/gsm8k_qwen

Takes the options of `metamath-ray bootstrap`, resumes as it does, and exports what was accepted. The run directory has
to be one that every node sees, and that outlives the job: its working directory is a copy that Ray throws away.
"""

import sys

from metamath_ray.arguments import parse_arguments
from metamath_ray.config import BootstrapCommand
from metamath_ray.distributed.bootstrap import bootstrap
from metamath_ray.exits import require_lasting, run_guarded
from metamath_ray.export.run_export import export_run
from metamath_ray.storage import RunDirectory
from metamath_ray.terminal import skipped_tests
from metamath_ray.terminal_log import observing
from metamath_ray.terminal_quiet import quiet


def main() -> None:
    """Run the job."""
    command = parse_arguments(BootstrapCommand, sys.argv[1:], program="jobs/bootstrap.py")
    require_lasting(command.run_directory)
    with quiet(command.run_directory) as console, observing(console, command.run_directory, command.ray) as observer:
        bootstrap(command, fork=command.fork, retry_failed=command.retry_failed, observer=observer)
        summary = export_run(RunDirectory(command.run_directory), command.export)
        for line in skipped_tests(summary):
            console.print(line, style="yellow", markup=False)
        console.print(f"{summary.num_exported:,} rows: {command.run_directory}/dataset")


if __name__ == "__main__":
    sys.exit(run_guarded(main))
