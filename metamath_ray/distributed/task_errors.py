"""What goes wrong in a task on the cluster, in one line at the driver."""

from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import RayError

from metamath_ray.errors import MetamathRayError, RunFailed


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise what a task raised on purpose as it was; anything else as one line.

    Raises:
        MetamathRayError: A task raised it.
        RunFailed: A task raised something else, or died.
    """
    try:
        yield
    except RayError as error:
        raise _plain(error) from error


def _plain(error: BaseException) -> MetamathRayError:
    """Look through Ray's wrappings; the one that passes for its cause's class carries a traceback as its message."""
    last: BaseException = error
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, MetamathRayError) and not isinstance(found, RayError):
            return found
        last, found = found, getattr(found, "cause", None) or found.__cause__
    reason = (str(last).strip() or type(last).__name__).splitlines()[-1]
    return RunFailed(reason if isinstance(last, RayError) else f"{type(last).__name__}: {reason}")
