"""How a command ends: what a user can fix is one line, never a traceback.

Exit codes: 0 done; 1 the run failed, what is done is stored; 2 something the user can fix; 130 interrupted.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from metamath_ray.errors import AccessDenied, ConfigError, MetamathRayError, UserError

PROGRAM = "metamath-ray"
JOB_MARK = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in a submitted job's driver."""


def run_guarded(action: Callable[[], None]) -> int:
    """Run an action; turn what a user can fix into one line and an exit code."""
    try:
        action()
    except (UserError, AccessDenied) as error:
        return fail(str(error), code=2)
    except MetamathRayError as error:
        return fail(str(error), code=1)
    except KeyboardInterrupt:
        return fail("interrupted; what is done is stored, the same command resumes", code=130)
    return 0


def fail(message: str, *, code: int) -> int:
    """Say on the error stream why; return the exit code."""
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return code


def until_stopped() -> None:
    """Wait for Ctrl+C or SIGTERM, which are how a service ends."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stopped.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def require_lasting(run_directory: str) -> None:
    """Refuse a run directory that would vanish with the job.

    Raises:
        ConfigError: A submitted job would write below its working directory.
    """
    is_submitted = JOB_MARK in os.environ
    if is_submitted and "://" not in run_directory and not Path(run_directory).is_absolute():
        raise ConfigError(
            f"run_directory {run_directory!r} is relative to the job's working directory, which Ray throws away; "
            "give an absolute path that every node sees"
        )
