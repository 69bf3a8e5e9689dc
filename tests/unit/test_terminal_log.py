import io
import json
import logging
from typing import Any

import pytest
from rich.console import Console

from metamath_ray.config import RayConfig
from metamath_ray.distributed.items import BlockCounts
from metamath_ray.errors import RunFailed
from metamath_ray.log_lines import LOGGER
from metamath_ray.terminal import TerminalObserver
from metamath_ray.terminal_log import observing

JSON = RayConfig(log_format="json")
FIGURES = {"step": 3, "num_steps": 9, "loss": 0.5, "tokens_per_second": 100.0, "grad_norm": 1.0}


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), highlight=False)


def lines(console: Console) -> list[dict[str, Any]]:
    assert isinstance(console.file, io.StringIO)
    return [json.loads(line) for line in console.file.getvalue().splitlines()]


def test_stages_and_progress_are_lines_with_the_run_they_belong_to(console: Console) -> None:
    with observing(console, "s3://bucket/run", JSON) as observer:
        observer.stage("planning")
        observer.notice('not checked: "x"\nof the model')
        observer.progress(BlockCounts(num_items=2, num_accepted=1, num_tokens=50), 4)
    said = lines(console)
    assert [line["message"] for line in said] == ["stage: planning", 'not checked: "x"\nof the model', "progress"]
    assert [line["levelname"] for line in said] == ["INFO", "WARNING", "INFO"]
    assert {line["run"] for line in said} == {"s3://bucket/run"}
    assert (said[2]["num_items"], said[2]["num_planned"], said[2]["num_tokens"]) == (2, 4, 50)
    assert all(line["asctime"] and line["name"] == LOGGER for line in said)


def test_progress_is_told_now_and_then_and_at_the_end(console: Console) -> None:
    with observing(console, "run", JSON) as observer:
        for number in range(1, 5):
            observer.progress(BlockCounts(num_items=number), 4)
    assert [line["num_items"] for line in lines(console)] == [1, 4]


def test_training_is_told_by_its_main_figures(console: Console) -> None:
    with observing(console, "run", JSON) as observer:
        observer.training(FIGURES)
    [line] = lines(console)
    assert {name: line[name] for name in ("step", "num_steps", "loss", "tokens_per_second")} == {
        name: value for name, value in FIGURES.items() if name != "grad_norm"
    }


def test_what_ends_a_command_is_a_line_and_still_ends_it(console: Console) -> None:
    with pytest.raises(RunFailed, match="too much"), observing(console, "run", JSON):
        raise RunFailed("too much failed")
    [line] = lines(console)
    assert (line["levelname"], line["message"], line["error"]) == ("ERROR", "too much failed", "RunFailed")


def test_lines_below_the_level_are_left_out_and_nothing_stays_set_up(console: Console) -> None:
    logger = logging.getLogger(LOGGER)
    before = (logger.level, logger.propagate, list(logger.handlers))
    with observing(console, "run", RayConfig(log_format="json", log_level="WARNING")) as observer:
        observer.stage("planning")
        observer.notice("look")
        logging.getLogger(f"{LOGGER}.distributed.items").error("broken", exc_info=ValueError("x"))
    first, second = lines(console)
    assert (first["message"], second["message"]) == ("look", "broken")
    assert "ValueError: x" in second["exc_text"]
    assert (logger.level, logger.propagate, logger.handlers) == before


def test_text_is_for_a_terminal(console: Console) -> None:
    with observing(console, "run", RayConfig()) as observer:
        assert isinstance(observer, TerminalObserver)
        observer.stage("planning")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "planning …\n"
