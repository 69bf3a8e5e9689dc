import inspect
import pickle

import pytest

from metamath_ray import errors

EXCEPTIONS = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_every_exception_pickles_with_its_message(exception: type[Exception]) -> None:
    again = pickle.loads(pickle.dumps(exception("what to do")))  # noqa: S301
    assert type(again) is exception
    assert str(again) == "what to do"


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_every_exception_is_in_the_tree_and_drawn_at_its_top(exception: type[Exception]) -> None:
    assert issubclass(exception, errors.MetamathRayError)
    assert exception.__name__ in (errors.__doc__ or "")
