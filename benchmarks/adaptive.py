"""When to stop sampling: samples spent at equal accuracy, against fixed N, 75 % majority, ESC, Adaptive-Consistency.

Every rule may stop a question's vote before its N samples. Its threshold is chosen on one half of the questions, as
the one that spends least and loses at most half a point of accuracy against all N; what is reported is the other half.
Samples are drawn from simulated models (each question: p(correct) from a beta distribution, the wrong answers' shares
from a stick-breaking Dirichlet process, some samples without an answer), and replayed from real ones in random orders
(`outputs/qwen25math_math_cot_100x8.jsonl` of `--data`, METAMATH_RAY_DATA or ../shared/data; left out when absent).
Prints tables and, as its last line, one JSON object.
"""

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import comb, inf
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metamath_ray.grading import extract_answer
from metamath_ray.reranking import cluster_answers, next_round, probability_of_staying
from metamath_ray.storage.manifest import hardware, versions

ROOT = Path(__file__).resolve().parents[1]
MIN_SAMPLES = 4
TOLERANCE = 0.005
NO_VOTE = -1
CORRECT = 0
ESC_WINDOWS = range(2, 9)
THRESHOLDS = np.unique(np.r_[np.linspace(0.3, 0.99, 139), 1 - np.geomspace(1e-6, 0.01, 30), 1.0, inf])
SHOWN = {"majority share": (0.5, 0.75, 0.9), "Adaptive-Consistency": (0.8, 0.9, 0.95), "ours": (0.8, 0.9, 0.95)}

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Statistic = Callable[[tuple[int, ...], int, int], float]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Simulated questions.

    Attributes:
        correct: Beta parameters of p(correct).
        spread: Concentration of the wrong answers: the larger, the fewer agree.
        invalid: Beta parameters of the share of samples without a vote.
    """

    correct: tuple[float, float]
    spread: float
    invalid: tuple[float, float]


POPULATIONS = {
    "hard": Population(correct=(0.75, 1.4), spread=8.0, invalid=(0.5, 8.0)),
    "easy": Population(correct=(1.6, 0.4), spread=2.0, invalid=(0.3, 20.0)),
}


def draw(population: Population, num_questions: int, num_samples: int, chance: np.random.Generator) -> Ints:
    """Return a label for each sample: 0 is correct, 1, 2, … are wrong answers, -1 does not vote."""
    rows = []
    for _ in range(num_questions):
        correct, invalid = chance.beta(*population.correct), chance.beta(*population.invalid)
        sticks = chance.beta(1, population.spread, size=80)
        wrong = sticks * np.cumprod(np.r_[1.0, 1 - sticks[:-1]])
        shares = np.r_[invalid, (1 - invalid) * correct, (1 - invalid) * (1 - correct) * wrong / wrong.sum()]
        rows.append(chance.choice(len(shares), size=num_samples, p=shares / shares.sum()) - 1)
    return np.array(rows)


def replayed(path: Path, num_orders: int, chance: np.random.Generator) -> Iterator[Ints]:
    """Yield the samples of each real question in random orders; its clusters are ours, its labels the file's."""
    with path.open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            labels = np.full(len(row["code"]), NO_VOTE)
            for place, cluster in enumerate(cluster_answers([extract_answer(text) for text in row["code"]]), 1):
                members = list(cluster.members)
                labels[members] = CORRECT if row["score"][members[0]] else place
            yield np.array([chance.permutation(labels) for _ in range(num_orders)])


@cache
def majority_share(votes: tuple[int, ...], num_drawn: int, _: int) -> float:
    """Return the leader's share of the samples, from the fourth on."""
    return votes[0] / num_drawn if votes and num_drawn >= MIN_SAMPLES else 0.0


@cache
def adaptive_consistency(votes: tuple[int, ...], _: int, __: int) -> float:
    """Return P(Beta(v1 + 1, v2 + 1) > 1/2), the rule of arXiv 2305.11860, as a sum of binomials."""
    first, second = (*votes, 0, 0)[:2]
    total = first + second + 1
    return float(sum(comb(total, number) for number in range(first + 1)) / 2**total)


@cache
def ours(votes: tuple[int, ...], num_drawn: int, num_samples: int) -> float:
    """Return the probability that the leader still leads after all samples."""
    return probability_of_staying(votes, num_drawn, num_samples)


STATISTICS: dict[str, Statistic] = {
    "majority share": majority_share,
    "Adaptive-Consistency": adaptive_consistency,
    "ours": ours,
}


def follow(samples: Ints, statistic: Statistic) -> tuple[Floats, Ints]:
    """Return the statistic and the vote's answer after each sample of each question."""
    values, answers = np.zeros(samples.shape), np.full(samples.shape, NO_VOTE)
    for question, row in enumerate(samples):
        votes: Counter[int] = Counter()  # in the order of first occurrence, which decides ties
        for place, label in enumerate(row.tolist()):
            if label != NO_VOTE:
                votes[label] += 1
            ranked = votes.most_common()
            answers[question, place] = ranked[0][0] if ranked else NO_VOTE
            values[question, place] = statistic(tuple(count for _, count in ranked), place + 1, len(row))
    return values, answers


def looks(num_samples: int, *, in_rounds: bool) -> Ints:
    """Return after how many samples a rule is asked."""
    if not in_rounds:
        return np.arange(1, num_samples + 1)
    ends = [0]
    while ends[-1] < num_samples:
        ends.append(ends[-1] + next_round(ends[-1], min_samples=MIN_SAMPLES, num_samples=num_samples))
    return np.array(ends[1:])


def spent(values: Floats, at: Ints, threshold: float) -> Ints:
    """Return how many samples each question takes until the statistic reaches the threshold."""
    reached = values[:, at - 1] >= threshold
    reached[:, -1] = True
    found: Ints = at[reached.argmax(axis=1)]
    return found


def esc_spent(samples: Ints, window: int) -> Ints:
    """Return the same for ESC (arXiv 2401.10480): until all answers of a window agree."""
    taken = np.full(len(samples), samples.shape[1])
    for start in reversed(range(0, samples.shape[1] - window + 1, window)):
        part = samples[:, start : start + window]
        taken[(part == part[:, :1]).all(axis=1) & (part[:, 0] != NO_VOTE)] = start + window
    return taken


def judged(taken: Ints, answers: Ints, part: Bools) -> Figures:
    """Return mean samples, accuracy lost against all N, and agreement with all N, in points."""
    taken, answers = taken[part], answers[part]
    early = answers[np.arange(len(taken)), taken - 1]
    lost = np.mean(answers[:, -1] == CORRECT) - np.mean(early == CORRECT)
    return {
        "samples": round(float(taken.mean()), 2),
        "points_lost": round(100 * float(lost), 2),
        "agreement": round(100 * float(np.mean(early == answers[:, -1])), 2),
    }


def compare(samples: Ints, first_half: Bools) -> dict[str, Figures]:
    """Return each rule at the threshold that the first half chooses, measured on the second; and at usual ones."""
    num_samples = samples.shape[1]
    followed = {name: follow(samples, statistic) for name, statistic in STATISTICS.items()}
    answers = followed["ours"][1]
    ways: dict[str, dict[float, Ints]] = {
        "fixed N": {size: np.full(len(samples), size) for size in range(1, num_samples + 1)},
        "ESC": {window: esc_spent(samples, window) for window in ESC_WINDOWS if window <= num_samples},
    }
    for in_rounds in (False, True):
        at = looks(num_samples, in_rounds=in_rounds)
        for name, (values, _) in followed.items():
            ways[name + ", in rounds" * in_rounds] = {float(t): spent(values, at, t) for t in THRESHOLDS}
    figures: dict[str, Figures] = {}
    for name, by_threshold in ways.items():
        tried = {threshold: judged(taken, answers, first_half) for threshold, taken in by_threshold.items()}
        allowed = [threshold for threshold, found in tried.items() if found["points_lost"] <= 100 * TOLERANCE]
        best = min(allowed, key=lambda threshold: tried[threshold]["samples"], default=max(by_threshold))
        figures[name] = {"threshold": round(best, 4)} | judged(by_threshold[best], answers, ~first_half)
        for shown in SHOWN.get(name.removesuffix(", in rounds"), ()):
            nearest = min(by_threshold, key=lambda threshold: abs(threshold - shown))
            figures[f"{name} at {shown}"] = judged(by_threshold[nearest], answers, ~first_half)
    return figures


def report(title: str, samples: Ints, first_half: Bools) -> dict[str, Figures]:
    """Print and return the comparison of one set of samples."""
    votes = follow(samples, majority_share)[1][:, -1]
    single, any_right = np.mean(samples == CORRECT), np.mean((samples == CORRECT).any(axis=1))
    print(
        f"== {title}: N = {samples.shape[1]}, {len(samples):,} votes; right: one sample {single:.1%}, "
        f"vote of N {np.mean(votes == CORRECT):.1%}, any of N {any_right:.1%}"
    )
    figures = compare(samples, first_half)
    for name, found in figures.items():
        threshold = f"{found['threshold']:9.4g}" if "threshold" in found else " " * 9
        print(
            f"{name:38}{threshold} {found['samples']:7.2f} samples  {found['points_lost']:6.2f} points lost  "
            f"{found['agreement']:6.2f} % the same answer"
        )
    print()
    return figures


def main() -> None:
    """Compare the rules on simulated and on real samples."""
    arguments = _arguments()
    chance = np.random.default_rng(arguments.seed)
    figures: dict[str, dict[str, Figures]] = {}
    for num_samples, num_questions in ((16, 2_000), (64, 300)) if arguments.quick else ((16, 20_000), (64, 4_000)):
        for name, population in POPULATIONS.items():
            samples = draw(population, num_questions, num_samples, chance)
            first_half = np.arange(num_questions) % 2 == 0
            figures[f"{name} {num_samples}"] = report(f"simulated, {name}", samples, first_half)
    path = arguments.data / "outputs" / "qwen25math_math_cot_100x8.jsonl"
    if path.is_file():
        questions = list(replayed(path, 20 if arguments.quick else 100, chance))
        first_half = np.concatenate([np.full(len(rows), place % 2 == 0) for place, rows in enumerate(questions)])
        figures["real 8"] = report("Qwen2.5-Math on 100 problems of MATH", np.concatenate(questions), first_half)
    else:
        print(f"NO DATA at {path}: the real samples are left out.\n")
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("METAMATH_RAY_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="fewer questions; under two minutes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
