"""`loop` on a terminal: what each step did, or would do."""

import sys

from rich.console import Console

from metamath_ray.config import LoopCommand
from metamath_ray.exits import fail
from metamath_ray.loop import loop_table, run_loop


def loop_and_show(command: LoopCommand) -> None:
    """Run the loop, saying what it does, and show its steps; the process ends with the code of a step that failed.

    Raises:
        UserError: The configuration cannot be run, or the folder belongs to another loop.
    """
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
