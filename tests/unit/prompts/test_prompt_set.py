import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.errors import PromptError
from metamath_ray.prompts import PromptFormat, Task, load_prompt_set
from metamath_ray.prompts.prompt_set import available_prompt_sets, fill

_MALFORMED: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[2] / "data" / "prompts_malformed.json").read_text("utf-8")
)


_SOLUTIONS: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[2] / "data" / "prompts_solutions.json").read_text("utf-8")
)


def test_packaged_sets() -> None:
    assert available_prompt_sets() == [
        "alpaca", "chat", "embedded", "few_shot", "metamath", "metamath_chat", "metamath_release",
    ]  # fmt: skip


@pytest.mark.parametrize("name", available_prompt_sets())
def test_a_packaged_set_loads_under_its_name(name: str) -> None:
    prompt_set = load_prompt_set(name)
    assert prompt_set.name == name
    assert {Task.SOLVE, Task.SOLVE_BACKWARD} <= set(prompt_set.tasks)


def test_the_embedded_set_is_the_one_its_models_were_trained_on() -> None:
    prompt_set = load_prompt_set("embedded")
    assert prompt_set.format is PromptFormat.COMPLETION
    assert {task: prompt.template for task, prompt in prompt_set.tasks.items()} == {
        Task.SOLVE: "Question: {question}\nSolution:",
        Task.SOLVE_BACKWARD: "Question: {question}\nSolution:",
        Task.REPHRASE: "Question: {question}\nRephrased question:",
        Task.STATEMENT: "Question: {question}\nAnswer: {answer}\nStatement:",
    }
    assert prompt_set.hash == "2b7dfb8f531b5dc206365e55"


def test_a_changed_prompt_changes_the_hash_and_a_changed_name_does_not(tmp_path: Path) -> None:
    original = load_prompt_set("metamath")
    renamed = original.model_copy(update={"name": "copy"})
    changed = original.model_copy(update={"response_prefix": "\n"})
    assert renamed.hash == original.hash != changed.hash


def test_the_order_of_a_file_does_not_change_the_hash(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("format: chat\ntasks: {solve: {template: A}, rephrase: {template: B}}\n")
    (tmp_path / "b.yaml").write_text("tasks: {rephrase: {template: B}, solve: {template: A}}\nformat: chat\n")
    assert load_prompt_set(str(tmp_path / "a.yaml")).hash == load_prompt_set(str(tmp_path / "b.yaml")).hash


@pytest.mark.parametrize("case", _MALFORMED, ids=lambda case: case["id"])
def test_a_malformed_set_is_refused_by_name_and_field(case: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(case["yaml"], encoding="utf-8")
    with pytest.raises(PromptError) as caught:
        load_prompt_set(str(path))
    assert case["message"] in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_an_unknown_name_lists_the_packaged_sets() -> None:
    with pytest.raises(PromptError, match=r"'no_such_set'.*alpaca, chat, embedded, few_shot, .*metamath_release"):
        load_prompt_set("no_such_set")


def test_a_missing_task_lists_those_there_are() -> None:
    with pytest.raises(PromptError, match="no task 'statement'; it has solve, solve_backward"):
        load_prompt_set("metamath_release").task(Task.STATEMENT)


@given(st.text(), st.text())
def test_braces_in_a_field_stay_as_they_are(question: str, answer: str) -> None:
    assert fill("{question}|{answer}|{other} {", {"question": question, "answer": answer}) == (
        f"{question}|{answer}|{{other}} {{"
    )


def test_a_field_is_not_read_as_a_template() -> None:
    fields = {"question": r"\frac{1}{2} {answer}", "answer": "5"}
    assert fill("{question} {answer}", fields) == r"\frac{1}{2} {answer} 5"


def test_a_missing_field_is_named() -> None:
    with pytest.raises(PromptError, match="needs the field 'answer'; given are question"):
        fill("{question} {answer}", {"question": "Q"})


@pytest.mark.parametrize("name", available_prompt_sets())
@pytest.mark.parametrize("case", _SOLUTIONS, ids=lambda case: case["id"])
def test_no_packaged_set_stops_within_a_solution(name: str, case: dict[str, str]) -> None:
    prompt_set = load_prompt_set(name)
    for task in (Task.SOLVE, Task.SOLVE_BACKWARD):
        assert not [stop for stop in prompt_set.stop(task) if stop in prompt_set.response_prefix + case["text"]]


@pytest.mark.parametrize(
    "name", [name for name in available_prompt_sets() if load_prompt_set(name).format is PromptFormat.COMPLETION]
)
def test_a_completion_set_stops_where_its_own_prompt_would_go_on(name: str) -> None:
    """A base model that has solved its question writes the next one as the prompt has shown it."""
    prompt_set = load_prompt_set(name)
    for task in (Task.SOLVE, Task.SOLVE_BACKWARD):
        goes_on = "9 figs.\n\n" + prompt_set.task(task).template.partition("{question}")[0]
        assert [stop for stop in prompt_set.stop(task) if stop in goes_on]
