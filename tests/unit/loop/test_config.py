import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metamath_ray.arguments import parse_arguments
from metamath_ray.config import describe_validation_error
from metamath_ray.config.loop import COMMANDS, LoopCommand, StepCommand, merged
from metamath_ray.config.references import Reference, Rounds, parse_reference, put_in
from metamath_ray.errors import ConfigError
from tests.unit.loop.loops import STEPS, loop_config

ROOT = Path(__file__).parents[3]
REFUSED: list[dict[str, Any]] = json.loads((ROOT / "tests/data/loop_refused.json").read_text("utf-8"))
BOOTSTRAP = {"bootstrap": STEPS["bootstrap"]}

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(lambda name: name not in ("previous", "rounds"))
REFERENCES = st.builds(
    lambda step, rest, rounds: Reference(step=step, rest="/".join(rest), rounds=rounds),
    NAMES,
    st.lists(NAMES, max_size=3),
    st.sampled_from(Rounds),
)
PLAIN = st.text(max_size=8).filter(lambda text: not text.startswith("@")) | st.integers() | st.booleans() | st.none()
SETTINGS = st.recursive(
    PLAIN | REFERENCES.map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["id"])
def test_a_loop_that_cannot_be_is_refused_before_a_step_runs(case: dict[str, Any], tmp_path: Path) -> None:
    steps = {"steps": {**BOOTSTRAP, **case.get("steps", {})}}
    with pytest.raises((ConfigError, ValidationError)) as caught:
        loop_config(tmp_path, **{**steps, **case.get("changes", {})})
    said = describe_validation_error(caught.value) if isinstance(caught.value, ValidationError) else str(caught.value)
    assert case["message"] in said
    assert "\n" not in said
    assert "s3cret" not in said


def test_every_command_that_a_step_may_have_is_known() -> None:
    assert set(COMMANDS) == set(get_args(StepCommand))
    for form in COMMANDS.values():
        assert form.folder in form.config_class.model_fields


@given(REFERENCES)
def test_a_reference_is_read_as_it_is_written(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


def texts(value: Any) -> list[str]:  # noqa: ANN401
    if isinstance(value, dict | list):
        return [text for item in (value.values() if isinstance(value, dict) else value) for text in texts(item)]
    return [value] if isinstance(value, str) else []


@given(SETTINGS)
def test_no_reference_is_left_when_paths_are_put_in(settings: Any) -> None:  # noqa: ANN401
    assert not [text for text in texts(put_in(settings, lambda _: "path")) if text.startswith("@")]


@given(SETTINGS)
def test_what_is_no_reference_stays_as_it_is(settings: Any) -> None:  # noqa: ANN401
    assert put_in(settings, str) == settings


def test_a_list_stands_alone_or_joins_the_list_that_it_stands_in() -> None:
    def replace(reference: Reference) -> str | list[str]:
        return ["one", "two"] if reference.rounds is Rounds.SO_FAR else reference.step

    given = {"alone": "@rounds/a", "joined": ["before", "@rounds/a", "@b"], "deep": [{"path": "@rounds/a"}]}
    assert put_in(given, replace) == {
        "alone": ["one", "two"],
        "joined": ["before", "one", "two", "b"],
        "deep": [{"path": ["one", "two"]}],
    }


@given(st.dictionaries(NAMES, SETTINGS, max_size=3), st.dictionaries(NAMES, SETTINGS, max_size=3))
def test_changes_win_and_what_they_do_not_name_stays(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    result = merged(settings, changes)
    assert result.keys() == settings.keys() | changes.keys()
    assert all(result[name] == settings[name] for name in settings.keys() - changes.keys())
    assert merged(result, changes) == result


def test_the_command_line_chooses_steps_and_rounds(tmp_path: Path) -> None:
    file = tmp_path / "loop.yaml"
    file.write_text(yaml.safe_dump({"steps": STEPS}, sort_keys=False), encoding="utf-8")
    options = ["--only", "generator,test", "--from", "generator", "--rounds", "2", "--dry-run"]
    command = parse_arguments(LoopCommand, ["--config", str(file), *options], program="loop")
    assert (command.only, command.start, command.rounds) == (("generator", "test"), "generator", 2)
    assert command.dry_run
    assert list(command.steps) == list(STEPS)


def test_what_the_command_line_refuses_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "loop.yaml"
    file.write_text(yaml.safe_dump({"steps": {"x": {"command": "solve"}}}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"steps\.x\.command"):
        parse_arguments(LoopCommand, ["--config", str(file)], program="loop")


def test_the_example_of_the_document_is_a_loop() -> None:
    text = (ROOT / "docs/loop.md").read_text("utf-8")
    example = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    assert {step.command for step in LoopCommand.model_validate(yaml.safe_load(example)).steps.values()} == set(
        COMMANDS
    )
