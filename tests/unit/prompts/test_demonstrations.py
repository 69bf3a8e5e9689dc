import re
from fractions import Fraction

import pytest

from metamath_ray.augmentation import rephrasing, self_verification, split_last_question
from metamath_ray.grading import grade
from metamath_ray.prompts import Demonstration, Task, load_prompt_set
from metamath_ray.types import Augmentation, GradeVerdict, Mask, Problem, WorkItem

_STYLES = load_prompt_set("metamath").demonstrations
_FEW_SHOT = load_prompt_set("few_shot").demonstrations
_EQUATION = re.compile(r"((?:[$]?\d[\d.,]*\s*[-+*/]\s*)+[$]?\d[\d.]*) = [$]?(\d+(?:\.\d+)?)")


def _examples(*tasks: Task) -> list[pytest.param]:  # type: ignore[valid-type]
    return [
        pytest.param(example, id=f"{style}-{task}-{number}")
        for style, by_task in _STYLES.items()
        for task in tasks
        for number, example in enumerate(by_task[task])
    ]


def _few_shot() -> list[pytest.param]:  # type: ignore[valid-type]
    return [
        pytest.param(example, id=f"few_shot-{style}-{number}")
        for style, by_task in _FEW_SHOT.items()
        for number, example in enumerate(by_task[Task.SOLVE])
    ]


def _value(expression: str) -> Fraction:
    tokens = re.findall(r"\d+(?:\.\d+)?|[-+*/]", expression)
    total, sign, product = Fraction(0), 1, Fraction(tokens[0])
    for operator, number in zip(tokens[1::2], tokens[2::2], strict=True):
        if operator in "+-":
            total, sign, product = total + sign * product, 1 if operator == "+" else -1, Fraction(number)
        else:
            product = product * Fraction(number) if operator == "*" else product / Fraction(number)
    return total + sign * product


@pytest.mark.parametrize("style", ["default", "math"])
@pytest.mark.parametrize("task", list(Task))
def test_each_task_has_four_to_eight_in_each_style(style: str, task: Task) -> None:
    assert 4 <= len(_STYLES[style][task]) <= 8


def test_few_shot_has_the_usual_numbers_of_examples() -> None:
    assert {style: len(by_task[Task.SOLVE]) for style, by_task in _FEW_SHOT.items()} == {
        "default": 8, "math": 4, "backward": 4,
    }  # fmt: skip


def test_completion_and_chat_share_them() -> None:
    assert load_prompt_set("metamath_chat").demonstrations == _STYLES


@pytest.mark.parametrize("example", [*_examples(Task.SOLVE, Task.SOLVE_BACKWARD), *_few_shot()])
def test_a_solution_reaches_its_answer(example: Demonstration) -> None:
    assert grade(example.response, example.answer).verdict is GradeVerdict.CORRECT


@pytest.mark.parametrize("example", [*_examples(Task.SOLVE, Task.SOLVE_BACKWARD), *_few_shot()])
def test_every_equation_of_a_solution_holds(example: Demonstration) -> None:
    for expression, result in _EQUATION.findall(example.response):
        assert _value(expression) == Fraction(result), f"{expression} = {result}"


@pytest.mark.parametrize("example", [*_examples(Task.SOLVE), *_few_shot()])
def test_a_solution_ends_as_metamathqa_does(example: Demonstration) -> None:
    assert re.fullmatch(r"The answer is: .+", example.response.splitlines()[-1])


@pytest.mark.parametrize("example", _examples(Task.SOLVE_BACKWARD))
def test_a_backward_solution_ends_with_its_variable(example: Demonstration) -> None:
    assert example.response.splitlines()[-1] == f"The value of {example.variable} is {example.answer}."
    assert example.question.endswith(f"alue of unknown variable {example.variable}?")


@pytest.mark.parametrize("example", _examples(Task.REPHRASE))
def test_a_rephrasing_would_be_taken(example: Demonstration) -> None:
    assert rephrasing.read_rewrite(_item(Augmentation.REPHRASING, example), example.response) == example.response


@pytest.mark.parametrize("example", _examples(Task.STATEMENT))
def test_a_statement_would_be_taken(example: Demonstration) -> None:
    assert split_last_question(example.question) == ("", example.question)
    query = self_verification.read_rewrite(_item(Augmentation.SELF_VERIFICATION, example), example.response)
    assert query == f"A crate of x. {example.response} What is the value of unknown variable x?"


def _item(augmentation: Augmentation, example: Demonstration) -> WorkItem:
    if not augmentation.is_backward:
        problem, mask = Problem(question=example.question, reference_answer=example.answer), None
    else:
        problem = Problem(question=f"A crate of 999. {example.question}", reference_answer=example.answer)
        mask = Mask(start=11, end=14, text="999", value="999", variable="x")
    return WorkItem(item_id="item", problem=problem, augmentation=augmentation, mask=mask, repeat=0)
