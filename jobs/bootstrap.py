r"""Bootstrap a data set on a cluster: problems → plan → outcomes → data set.

    ray job submit --working-dir . -- python jobs/bootstrap.py \
        --config jobs/configs/bootstrap_gsm8k_qwen_1gpu.yaml --run-directory /shared/gsm8k_qwen

Takes the options of `metamath-ray bootstrap`, resumes as it does, and exports what was accepted. The run directory has
to be one that every node sees, and that outlives the job: its working directory is a copy that Ray throws away.
"""

import os
import sys
from pathlib import Path

from metamath_ray.arguments import parse_arguments
from metamath_ray.config import BootstrapCommand
from metamath_ray.distributed.bootstrap import bootstrap
from metamath_ray.errors import ConfigError
from metamath_ray.exits import run_guarded
from metamath_ray.export.run_export import export_run
from metamath_ray.storage import RunDirectory
from metamath_ray.terminal import TerminalObserver, quiet

JOB_MARK = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in a submitted job's driver."""


def main() -> None:
    """Run the job."""
    command = parse_arguments(BootstrapCommand, sys.argv[1:], program="jobs/bootstrap.py")
    _require_lasting(command.run_directory)
    with quiet(command.run_directory) as console, TerminalObserver(console) as observer:
        bootstrap(command, fork=command.fork, retry_failed=command.retry_failed, observer=observer)
        summary = export_run(RunDirectory(command.run_directory), command.export)
        console.print(f"{summary.num_exported:,} rows: {command.run_directory}/dataset")


def _require_lasting(run_directory: str) -> None:
    is_submitted = JOB_MARK in os.environ
    if is_submitted and "://" not in run_directory and not Path(run_directory).is_absolute():
        raise ConfigError(
            f"run_directory {run_directory!r} is relative to the job's working directory, which Ray throws away; "
            "give an absolute path that every node sees"
        )


if __name__ == "__main__":
    sys.exit(run_guarded(main))
