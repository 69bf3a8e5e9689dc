"""The embedded teacher learned backward questions as `word_problems` writes them: ours must read the same."""

import pytest

from metamath_ray.augmentation import apply_mask, find_masks, fobar, rephrasing, self_verification
from metamath_ray.datasets.word_problems import (
    NumberPlace,
    WordProblem,
    generate_structures,
    last_sentence_pairs,
    maskable_places,
    to_problem,
    write_backward,
    write_question,
)
from metamath_ray.types import Augmentation, Problem, WorkItem

_STRUCTURES = list(generate_structures("validation", 60, seed=5))
_WORDING = 11


def _problem(structure: WordProblem) -> Problem:
    text = write_question(structure, _WORDING).text
    return Problem(question=text, reference_answer=to_problem(structure).reference_answer)


def _item(structure: WordProblem, place: NumberPlace, augmentation: Augmentation) -> WorkItem:
    problem = _problem(structure)
    masked = write_question(structure, _WORDING, masked=place).text
    masks = {apply_mask(problem.question, mask): mask for mask in find_masks(problem.question)}
    return WorkItem(item_id="item", problem=problem, augmentation=augmentation, mask=masks[masked], repeat=0)


@pytest.mark.parametrize("structure", _STRUCTURES, ids=range(len(_STRUCTURES)))
def test_backward_questions_read_as_learned(structure: WordProblem) -> None:
    statement = write_question(structure, _WORDING).statement
    for place in maskable_places(structure):
        item = _item(structure, place, Augmentation.SELF_VERIFICATION)
        learned = write_backward(structure, place, "self_verification", _WORDING, 0)
        assert item.mask is not None
        if not item.mask.is_ambiguous:
            assert self_verification.read_rewrite(item, statement) == learned.question
            assert item.mask.value == learned.answer
        assert fobar.write_question(item) == write_backward(structure, place, "fobar", _WORDING, 0).question


@pytest.mark.parametrize("structure", _STRUCTURES, ids=range(len(_STRUCTURES)))
def test_rewrites_are_asked_for_and_read_as_learned(structure: WordProblem) -> None:
    item = _item(structure, maskable_places(structure)[0], Augmentation.REPHRASING)
    assert self_verification.prompt_fields(item)["question"] in {asked for asked, _ in last_sentence_pairs(structure)}
    other = write_question(structure, _WORDING + 1).text
    assert rephrasing.read_rewrite(item, other) == (other if other != item.problem.question else None)
