import pytest
from ray.exceptions import RayTaskError, WorkerCrashedError

from metamath_ray.distributed.task_errors import plain_errors
from metamath_ray.errors import DataError, MetamathRayError, RunFailed


def as_ray_raises(cause: Exception) -> Exception:
    """What `ray.get` raises: an error of the cause's class too, with a traceback for a message."""
    error: Exception = RayTaskError("measure", "Traceback …\n  File …\nboom", cause).as_instanceof_cause()
    return error


def caught(error: Exception) -> MetamathRayError:
    with pytest.raises(MetamathRayError) as found, plain_errors():
        raise error
    return found.value


def test_what_a_task_raised_on_purpose_is_raised_as_it_was() -> None:
    found = caught(as_ray_raises(DataError("rows.jsonl:3: no column")))
    assert (type(found), str(found)) == (DataError, "rows.jsonl:3: no column")


def test_what_a_library_wraps_is_found_below() -> None:
    wrapping = RuntimeError("the block failed")
    wrapping.__cause__ = as_ray_raises(DataError("malformed"))
    found = caught(as_ray_raises(wrapping))
    assert (type(found), str(found)) == (DataError, "malformed")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (as_ray_raises(KeyError("column")), "KeyError: 'column'"),
        (as_ray_raises(ValueError("first line\nlast line")), "ValueError: last line"),
        (WorkerCrashedError(), "The worker died unexpectedly"),
    ],
)
def test_anything_else_is_one_line(error: Exception, said: str) -> None:
    found = caught(error)
    assert isinstance(found, RunFailed)
    assert str(found).startswith(said)
    assert "\n" not in str(found)


def test_what_is_not_rays_goes_by() -> None:
    with pytest.raises(KeyError), plain_errors():
        raise KeyError("mine")
