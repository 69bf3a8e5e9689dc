r"""Run a loop on a cluster: bootstrap → export → finetune → sample → …, each step a process beside the last.

    ray job submit --working-dir . -- python jobs/loop.py --config FILE --run-directory /shared/loop

Takes the options of `metamath-ray loop`, skips and resumes as it does. The run directory has to be one that every node
sees, and that outlives the job: its working directory is a copy that Ray throws away.
"""

import sys

from rich.console import Console

from metamath_ray.arguments import parse_arguments
from metamath_ray.config.loop import LoopCommand
from metamath_ray.exits import fail, require_lasting, run_guarded
from metamath_ray.loop import loop_table, run_loop


def main() -> None:
    """Run the job."""
    command = parse_arguments(LoopCommand, sys.argv[1:], program="jobs/loop.py")
    require_lasting(command.run_directory)
    console = Console(highlight=False)
    report = run_loop(
        command,
        only=command.only,
        start=command.start,
        dry_run=command.dry_run,
        tell=lambda line: console.print(line, soft_wrap=True, markup=False),
    )
    console.print(loop_table(report))
    if report.exit_code:
        sys.exit(fail(report.failure, code=report.exit_code))


if __name__ == "__main__":
    sys.exit(run_guarded(main))
