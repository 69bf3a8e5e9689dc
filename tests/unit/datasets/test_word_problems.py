import random
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.datasets.word_problems import (
    Split,
    WordProblem,
    all_equations_hold,
    equations_in,
    generate_problems,
    generate_structures,
    is_wording_of,
    keeps_answer,
    maskable_places,
    sample_problem,
    split_of,
    write_backward,
    write_drill,
    write_question,
    write_solution,
)

SEEDS = st.integers(min_value=0, max_value=10**6)
STRUCTURES = list(generate_structures("train", 120, seed=3))


def _sample(seed: int) -> WordProblem:
    return sample_problem(random.Random(seed))


def test_same_seed_same_problems_in_another_process() -> None:
    script = (
        "from metamath_ray.datasets.word_problems import generate_problems\n"
        "print([p.question for p in generate_problems('test', 5, seed=1)])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str([p.question for p in generate_problems("test", 5, seed=1)])


def test_longer_run_starts_with_the_shorter_one() -> None:
    assert list(generate_problems("validation", 30, 2))[:10] == list(generate_problems("validation", 10, 2))


@given(SEEDS, SEEDS)
@settings(max_examples=60, deadline=None)
def test_every_equation_of_a_solution_holds_and_the_last_one_is_the_answer(seed: int, path: int) -> None:
    problem = _sample(seed)
    solution = write_solution(problem, path)
    work, _, answer = solution.rpartition("\nThe answer is: ")
    assert all_equations_hold(work)
    assert [claimed for _, claimed in equations_in(work)][-1] == problem.answer == Fraction(answer)


@given(SEEDS, SEEDS)
@settings(max_examples=40, deadline=None)
def test_every_backward_solution_finds_the_hidden_number(seed: int, wording: int) -> None:
    problem = _sample(seed)
    for place in maskable_places(problem):
        backward = write_backward(problem, place, "fobar", wording, wording)
        work, _, answer = backward.solution.rpartition("\nThe value of x is ")
        assert answer == f"{backward.answer}."
        assert all_equations_hold(work)
        found = [claimed for _, claimed in equations_in(work)][-1]
        assert Fraction(backward.answer) in (found, 1 / found)
        assert problem.facts[place.fact].numbers[place.number] == Fraction(backward.answer)


@given(SEEDS, SEEDS)
@settings(max_examples=40, deadline=None)
def test_masking_changes_the_number_and_nothing_else(seed: int, wording: int) -> None:
    problem = _sample(seed)
    plain = write_question(problem, wording)
    for place in maskable_places(problem):
        masked = write_question(problem, wording, masked=place)
        differing = [(a, b) for a, b in zip(plain.text.split(), masked.text.split(), strict=True) if a != b]
        assert len(differing) == 1
        assert "x" in differing[0][1]


def test_backward_questions_read_as_in_the_paper() -> None:
    problem = STRUCTURES[0]
    place = maskable_places(problem)[0]
    masked = write_question(problem, 5, masked=place)
    fobar = write_backward(problem, place, "fobar", 5, 0).question
    answer = write_solution(problem, 0).rsplit(": ", 1)[-1]
    assert fobar == (
        f"{masked.text} If we know the answer to the above question is {answer}, "
        "what is the value of unknown variable x?"
    )
    verification = write_backward(problem, place, "self_verification", 5, 0).question
    assert verification.startswith(" ".join(masked.body))
    assert verification.endswith(f" {masked.statement} What is the value of unknown variable x?")


@given(SEEDS, SEEDS)
@settings(max_examples=60, deadline=None)
def test_each_writing_is_recognized(seed: int, wording: int) -> None:
    problem = _sample(seed)
    question = write_question(problem, wording).text
    assert is_wording_of(problem, question)
    assert "\n" not in question


@pytest.mark.parametrize("index", range(0, 120, 10))
def test_a_changed_number_or_a_missing_sentence_is_not_a_wording(index: int) -> None:
    problem, question = STRUCTURES[index], write_question(STRUCTURES[index], index)
    digits = [place for place, character in enumerate(question.text) if character.isdigit()]
    for place in digits:
        other = str((int(question.text[place]) + 1) % 10)
        assert not is_wording_of(problem, question.text[:place] + other + question.text[place + 1 :])
    assert not is_wording_of(problem, " ".join((*question.body[1:], question.ask)))
    assert not is_wording_of(problem, " ".join(question.body))
    assert not is_wording_of(problem, "")
    assert not is_wording_of(STRUCTURES[index + 1], question.text)


def test_a_bystander_may_change_names_and_nobody_else() -> None:
    for problem in STRUCTURES[:60]:
        question = write_question(problem, 1).text
        owner = problem.facts[0].name
        bystanders = {f.other for f in problem.facts if not f.other_matters and f.other in question} - {owner}
        newcomer = next(name for name in ("Zoe", "Tom", "Sara", "Ruth") if name not in question)
        for name in bystanders - {f.other for f in problem.facts if f.other_matters}:
            assert is_wording_of(problem, question.replace(name, newcomer))
        assert not is_wording_of(problem, question.replace(owner, newcomer))


def test_only_asides_may_differ_where_the_answer_is_kept() -> None:
    for problem in STRUCTURES[:40]:
        question = write_question(problem, 2)
        assert keeps_answer(problem, question.text)
        assert keeps_answer(
            problem, f"{question.body[0]} The town has 5 houses. {' '.join((*question.body[1:], question.ask))}"
        )
        assert not keeps_answer(problem, " ".join((*question.body[1:], question.ask)))


def test_splits_share_no_problem() -> None:
    splits: tuple[Split, ...] = ("train", "validation", "test")
    keys = {split: {s.content_key for s in generate_structures(split, 80, seed)} for seed, split in enumerate(splits)}
    assert not keys["train"] & keys["validation"]
    assert not keys["train"] & keys["test"]
    assert not keys["validation"] & keys["test"]


def test_split_ignores_names_and_wording() -> None:
    problem = STRUCTURES[0]
    rewritten = {write_question(problem, seed).text for seed in range(20)}
    assert len(rewritten) > 10
    assert split_of(problem) == "train"


def test_surface_forms_are_tens_of_thousands() -> None:
    """Sentences with numbers and names taken out, joined: what is left is wording alone."""
    forms = {write_question(problem, seed).text for problem in STRUCTURES[:40] for seed in range(60)}
    assert len(forms) > 0.8 * 40 * 60
    from metamath_ray.datasets.word_problems.wordings import TABLES, words

    sentences = sum(
        len(templates)
        for table in TABLES.values()
        if isinstance(table, dict)
        for group in ("start", "move")
        for templates in table.get(group, {}).values()
    )
    assert sentences * len(words("names")) * len(words("items")) > 100_000


def test_a_problem_has_several_solutions() -> None:
    for problem in STRUCTURES:
        assert len({write_solution(problem, seed) for seed in range(40)}) >= 4


def test_steps_numbers_and_values_cover_the_range() -> None:
    problems = list(generate_structures("train", 600, seed=1))
    assert {problem.num_steps for problem in problems} == set(range(2, 9))
    numbers = [number for problem in problems for fact in problem.facts for number in fact.numbers]
    assert max(numbers) >= 1000
    assert any(number.denominator > 1 for number in numbers)
    assert any(problem.asides for problem in problems)
    assert {problem.facts[0].state for problem in problems} == {"count", "money", "age", "miles", "made"}


def test_problem_records_are_complete() -> None:
    for problem in generate_problems("test", 20):
        assert problem.split == "test"
        assert problem.source == "word_problems"
        assert problem.reference_solution.endswith(f"\nThe answer is: {problem.reference_answer}")
        assert problem.num_steps is not None
        assert 2 <= problem.num_steps <= 8


@given(SEEDS)
def test_drills_are_right(seed: int) -> None:
    question, solution = write_drill(random.Random(seed))
    work, _, answer = solution.rpartition("\nThe answer is: ")
    [(equation, claimed)] = equations_in(work)
    assert equation.result == claimed == Fraction(answer)
    assert question.endswith(("?", "."))


def test_false_equations_are_found() -> None:
    assert all_equations_hold("First, 2 + 2 = 4 apples. 4 * 2.5 = 10")
    assert not all_equations_hold("2 + 2 = 5")
    assert not all_equations_hold("2 / 0 = 5")
