"""How a command ends: what a user can fix is one line, never a traceback.

Exit codes: 0 done; 1 the run failed, what is done is stored; 2 something the user can fix; 130 interrupted.
"""

import sys
from collections.abc import Callable

from metamath_ray.errors import AccessDenied, MetamathRayError, UserError

PROGRAM = "metamath-ray"


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
