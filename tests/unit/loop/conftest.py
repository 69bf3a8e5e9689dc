import pytest

from tests.unit.loop.loops import Commands


@pytest.fixture
def commands() -> Commands:
    return Commands()
