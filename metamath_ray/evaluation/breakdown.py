"""Parts of the problems: by level, subject, number of steps, length of the question."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from metamath_ray.evaluation.problem_samples import Floats, ProblemSamples
from metamath_ray.evaluation.resampling import estimates
from metamath_ray.evaluation.results import Group

SHOWN_METRICS = ("pass_at_1", "greedy", "majority_vote", "weighted_vote", "pass_at_k")
NUM_LENGTH_GROUPS = 4
MIN_PROBLEMS_PER_LENGTH = 5
"""Fewer problems of one length make fewer groups."""


def groups(
    problems: Sequence[ProblemSamples], by_problem: Mapping[str, Floats], *, num_resamples: int, seed: int
) -> dict[str, tuple[Group, ...]]:
    """Break the accuracy down; a kind that no problem tells, or in which all are alike, is left out.

    Args:
        by_problem: Metric → one value a problem.
    """
    shown = {metric: by_problem[metric] for metric in SHOWN_METRICS if metric in by_problem}
    kinds: dict[str, Callable[[ProblemSamples], str | None]] = {
        "level": _level,
        "subject": lambda problem: problem.subject or None,
        "num_steps": _steps,
        "question length": _length_namer(problems),
    }
    found = {}
    for kind, name_of in kinds.items():
        members: dict[str, list[int]] = {}
        for place, problem in enumerate(problems):
            if (name := name_of(problem)) is not None:
                members.setdefault(name, []).append(place)
        if len(members) > 1:
            found[kind] = tuple(
                Group(
                    name=name,
                    num_problems=len(members[name]),
                    accuracy=estimates(
                        {metric: values[members[name]] for metric, values in shown.items()},
                        num_resamples=num_resamples,
                        seed=seed,
                    ),
                )
                for name in sorted(members, key=_natural_order)
            )
    return found


def _level(problem: ProblemSamples) -> str | None:
    """Return "level 3" for "3" and for "Level 3"."""
    if not problem.level:
        return None
    return f"level {problem.level}" if problem.level.isdecimal() else problem.level.lower()


def _steps(problem: ProblemSamples) -> str | None:
    if problem.num_steps is None:
        return None
    return "1 step" if problem.num_steps == 1 else f"{problem.num_steps} steps"


def _length_namer(problems: Sequence[ProblemSamples]) -> Callable[[ProblemSamples], str]:
    """Cut the lengths of the questions into groups of about as many problems, and name these."""
    lengths = np.array([len(problem.question) for problem in problems])
    number = max(1, min(NUM_LENGTH_GROUPS, len(lengths) // MIN_PROBLEMS_PER_LENGTH))
    cuts = np.quantile(lengths, np.arange(1, number) / number, method="lower")
    starts = np.unique([int(lengths.min()), *cuts])
    ends = [*(starts[1:] - 1), int(lengths.max())]

    def name(problem: ProblemSamples) -> str:
        place = int(np.searchsorted(starts, len(problem.question), side="right")) - 1
        return f"question: {starts[place]}-{ends[place]} characters"

    return name


def _natural_order(name: str) -> list[tuple[int, str]]:
    """Order "2 steps" before "10 steps"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
