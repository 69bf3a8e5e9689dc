"""What the embedded models read: prompts with responses, drawn without end from the train split."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from metamath_ray.datasets.word_problems import (
    BackwardForm,
    Split,
    WordProblem,
    maskable_places,
    sample_from_split,
    write_backward,
    write_drill,
    write_question,
    write_solution,
)
from metamath_ray.prompts import PromptSet, Task
from metamath_ray.prompts.prompt_set import fill

SOURCE = "word_problems"


class Row(NamedTuple):
    """One example: what is asked, in the terms of a prompt set, and the response."""

    task: Task
    fields: Mapping[str, str]
    response: str


def forward_row(problem: WordProblem, seed: int) -> Row:
    """The problem in one wording with one of its solutions."""
    return Row(Task.SOLVE, {"question": write_question(problem, seed).text}, write_solution(problem, seed + 1))


def backward_row(problem: WordProblem, seed: int) -> Row:
    """The problem with one number hidden, in either form of the question."""
    rng = random.Random(seed)
    place = rng.choice(maskable_places(problem))
    form: BackwardForm = "fobar" if rng.random() < 0.5 else "self_verification"
    backward = write_backward(problem, place, form, seed, seed + 1)
    return Row(Task.SOLVE_BACKWARD, {"question": backward.question}, backward.solution)


def rephrase_row(problem: WordProblem, seed: int) -> Row:
    """One wording to another."""
    source, target = write_question(problem, seed), write_question(problem, seed + 1)
    return Row(Task.REPHRASE, {"question": source.text}, target.text)


def statement_row(problem: WordProblem, seed: int) -> Row:
    """Last sentence and answer to statement."""
    question = write_question(problem, seed)
    answer = write_solution(problem, 0).rsplit(": ", 1)[-1]
    return Row(Task.STATEMENT, {"question": question.ask, "answer": answer}, question.statement)


def drill_row(problem: WordProblem, seed: int) -> Row:
    """Bare arithmetic; the problem is not used."""
    del problem
    question, solution = write_drill(random.Random(seed))
    return Row(Task.SOLVE, {"question": question}, solution)


TASKS: dict[str, Callable[[WordProblem, int], Row]] = {
    "forward": forward_row,
    "backward": backward_row,
    "rephrase": rephrase_row,
    "statement": statement_row,
    "drill": drill_row,
}


def rows(mixture: Mapping[str, float], seed: str, split: Split = "train") -> Iterator[Row]:
    """Draws rows for ever.

    Args:
        mixture: task to weight.
        seed: selects the rows.
        split: where the problems come from.
    """
    rng = random.Random(f"rows:{split}:{seed}")
    tasks, weights = list(mixture), list(mixture.values())
    while True:
        task = rng.choices(tasks, weights)[0]
        yield TASKS[task](sample_from_split(rng, split), rng.getrandbits(40))


def text_of(row: Row, prompt_set: PromptSet) -> str:
    """A row as one text, for learning a tokenizer from."""
    return fill(prompt_set.task(row.task).template, row.fields) + prompt_set.response_prefix + row.response
