"""What a verifier learns from: graded samples of the generator → pairs and singles, no sample in both.

A pair is a correct and an incorrect solution of ONE problem, a single is a sample that is in no pair. The margin loss
of arXiv 2310.10047 (equation 8) takes the pairs; the cross-entropy (equation 9) takes singles and the members of pairs,
whose logits are there already. A verifier of cross-entropy alone asks for no pairs, and every sample is a single.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from itertools import groupby
from math import lcm
from random import Random
from typing import Any, Literal, NamedTuple

from metamath_ray.errors import ConfigError
from metamath_ray.types import FinishReason, GradeVerdict, content_id

Balance = Literal["as_sampled", "within_problems", "equal"]
"""Whether all singles are kept, or ("equal") as many correct as incorrect ones. Pairs are balanced as they are, so
"within_problems" keeps all singles, and asks for pairs where the loss does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedSample:
    """One sample that is certainly right or certainly wrong.

    Attributes:
        text_hash: Hash of the solution with its white space folded; with `problem_id`, what the sample is known by.
    """

    problem_id: str
    sample_index: int
    text_hash: str
    is_correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A correct and an incorrect solution of one problem."""

    correct: GradedSample
    incorrect: GradedSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The examples, ordered by problem, and what they were chosen from.

    Attributes:
        num_mixed: Problems with correct and with incorrect samples: the only ones that give pairs.
        num_duplicates: Samples left out because their problem has one with the same text.
        num_correct: Distinct correct samples, before the balance.
        num_incorrect: Distinct incorrect samples, before the balance.
        singles: Samples of all-right and all-wrong problems, and those of mixed ones that the cap on pairs left over.
    """

    num_problems: int
    num_mixed: int
    num_all_right: int
    num_all_wrong: int
    num_duplicates: int
    num_correct: int
    num_incorrect: int
    pairs: tuple[Pair, ...]
    singles: tuple[GradedSample, ...]

    def describe(self) -> str:
        """Return the counts as one line."""
        num_single_correct = sum(sample.is_correct for sample in self.singles)
        return (
            f"{self.num_problems:,} problems ({self.num_mixed:,} mixed, {self.num_all_right:,} all right, "
            f"{self.num_all_wrong:,} all wrong), {self.num_correct:,} correct and {self.num_incorrect:,} incorrect "
            f"samples ({self.num_duplicates:,} duplicates left out) → {len(self.pairs):,} pairs, "
            f"{len(self.singles):,} singles ({num_single_correct:,} correct)"
        )


def usable(row: Mapping[str, Any]) -> bool:
    """Whether a row of `SAMPLE_SCHEMA` may train a verifier: finished by itself, with an answer that was decided on."""
    return (
        row["finish_reason"] == FinishReason.STOP
        and row["verdict"] in (GradeVerdict.CORRECT, GradeVerdict.INCORRECT)
        and row["extracted_answer"] is not None
        and bool(row["completion"].strip())
    )


def graded_sample(row: Mapping[str, Any]) -> GradedSample:
    """Turn a usable row of `SAMPLE_SCHEMA` into the little of it that the choice needs."""
    return GradedSample(
        problem_id=row["problem_id"],
        sample_index=row["sample_index"],
        text_hash=content_id((" ".join(row["completion"].split()),)),
        is_correct=row["verdict"] == GradeVerdict.CORRECT,
    )


def question_disjoint_split(problem_id: str, validation_share: float, seed: int) -> Literal["train", "validation"]:
    """Return the side on which all samples of a problem are; a larger share only moves problems to validation.

    Raises:
        ConfigError: The share is not between 0 and 1.
    """
    if not 0 <= validation_share <= 1:
        raise ConfigError(f"validation_share is {validation_share}: expected a number from 0 to 1")
    position = int(content_id(("verifier_split", seed, problem_id))[:12], 16) / 16**12
    return "validation" if position < validation_share else "train"


def select_examples(
    samples: Iterable[GradedSample], *, max_pairs_per_problem: int = 10, balance: Balance = "as_sampled", seed: int = 0
) -> Selection:
    """Choose the training examples; the order of the samples does not matter.

    What is paired in a problem depends on the seed and on its own samples alone. Of equal texts, the first in the order
    of the sample indices stays.

    Args:
        samples: Usable ones, of one side of the split.
        max_pairs_per_problem: Combinations drawn without replacement (the paper: 10), evenly: two correct samples of a
            problem, or two incorrect ones, differ by at most one in the number of their pairs. 0 for singles alone.
        balance: "equal" leaves out singles of the more frequent class until the two are equally many.

    Raises:
        ConfigError: The number of pairs is negative.
    """
    if max_pairs_per_problem < 0:
        raise ConfigError(f"max_pairs_per_problem is {max_pairs_per_problem}: expected 0 or more")
    given = list(samples)
    distinct = _distinct(given)
    problems = [_by_class(group) for _, group in groupby(distinct, key=lambda sample: sample.problem_id)]
    pairs = tuple(pair for problem in problems for pair in _pairs(problem, max_pairs_per_problem, seed))
    paired = {sample for pair in pairs for sample in (pair.correct, pair.incorrect)}
    singles = [sample for sample in distinct if sample not in paired]
    num_correct = sum(sample.is_correct for sample in distinct)
    return Selection(
        num_problems=len(problems),
        num_mixed=sum(bool(problem.correct and problem.incorrect) for problem in problems),
        num_all_right=sum(not problem.incorrect for problem in problems),
        num_all_wrong=sum(not problem.correct for problem in problems),
        num_duplicates=len(given) - len(distinct),
        num_correct=num_correct,
        num_incorrect=len(distinct) - num_correct,
        pairs=pairs,
        singles=tuple(_balanced(singles, seed) if balance == "equal" else singles),
    )


class _ByClass(NamedTuple):
    """Distinct samples, those of one problem or all, by their label."""

    correct: list[GradedSample]
    incorrect: list[GradedSample]


def _distinct(samples: list[GradedSample]) -> list[GradedSample]:
    """Return one sample for each text of a problem, ordered by problem and sample index."""
    firsts: dict[tuple[str, str], GradedSample] = {}
    for sample in sorted(samples, key=astuple):
        firsts.setdefault((sample.problem_id, sample.text_hash), sample)
    return list(firsts.values())


def _by_class(samples: Iterable[GradedSample]) -> _ByClass:
    found = _ByClass([], [])
    for sample in samples:
        (found.correct if sample.is_correct else found.incorrect).append(sample)
    return found


def _pairs(problem: _ByClass, max_pairs: int, seed: int) -> Iterator[Pair]:
    """Walk the table of combinations along its diagonals: each is met once, and every row and column is used evenly."""
    correct, incorrect = problem
    if not correct or not incorrect:
        return
    random = Random(content_id((seed, correct[0].problem_id)))
    correct, incorrect = random.sample(correct, len(correct)), random.sample(incorrect, len(incorrect))
    diagonal = lcm(len(correct), len(incorrect))
    for step in range(min(max_pairs, len(correct) * len(incorrect))):
        column = (step + step // diagonal) % len(incorrect)
        yield Pair(correct=correct[step % len(correct)], incorrect=incorrect[column])


def _balanced(singles: list[GradedSample], seed: int) -> list[GradedSample]:
    """Leave out samples of the more frequent class, in an order that their content and the seed decide."""
    fewer, more = sorted(_by_class(singles), key=len)
    drawn = sorted(more, key=lambda sample: content_id((seed, sample.problem_id, sample.text_hash)))
    kept = {*fewer, *drawn[: len(fewer)]}
    return [sample for sample in singles if sample in kept]
