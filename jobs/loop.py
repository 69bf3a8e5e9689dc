r"""Run a loop on a cluster: bootstrap → export → finetune → sample → …, each step a process beside the last.

    ray job submit --working-dir . -- python jobs/loop.py --config FILE --run-directory /shared/loop

Takes the options of `metamath-ray loop`, skips and resumes as it does. The run directory has to be one that every node
sees, and that outlives the job: its working directory is a copy that Ray throws away.
"""

import sys

from metamath_ray.arguments import parse_arguments
from metamath_ray.config.loop import LoopCommand
from metamath_ray.exits import require_lasting, run_guarded
from metamath_ray.terminal_loop import loop_and_show


def main() -> None:
    """Run the job."""
    command = parse_arguments(LoopCommand, sys.argv[1:], program="jobs/loop.py")
    require_lasting(command.run_directory)
    loop_and_show(command)


if __name__ == "__main__":
    sys.exit(run_guarded(main))
