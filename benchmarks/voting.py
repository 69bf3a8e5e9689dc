"""Votes by equality against votes by string: accuracy of the majority on real samples.

Answers are extracted and labelled by the grader. The same samples vote twice: in clusters of equal answers, and in
clusters of identical strings, white space at their ends left out. Where the samples have a reward model's scores, the
vote weighted by these is there too. Accuracies are expectations over orderings of the samples; the interval is that of
the difference, by the bootstrap over problems. Real data out of `outputs/` of `--data`, METAMATH_RAY_DATA or
../shared/data. Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from metamath_ray.evaluation.foreign import Scale, read_completions
from metamath_ray.evaluation.orderings import accuracies, draw_positions, exact_at_one, sizes_up_to, tally
from metamath_ray.evaluation.problem_samples import NO_VOTE, Floats, ProblemSamples
from metamath_ray.evaluation.reading import read_problem_samples
from metamath_ray.evaluation.resampling import estimates, p_values
from metamath_ray.reranking import Strategy
from metamath_ray.storage.manifest import hardware, versions

ROOT = Path(__file__).resolve().parents[1]
FILES: tuple[tuple[str, str, Scale], ...] = (
    ("Qwen2.5-Math, 100 problems of MATH", "qwen25math_math_cot_100x8.jsonl", "log_odds"),
    ("NeMo-Skills, 50 training problems of MATH", "nemo_skills_math_train_50x3.jsonl", "probability"),
)
Figures = dict[str, dict[str, float]]


def by_string(problem: ProblemSamples, answers: list[str | None]) -> ProblemSamples:
    """Return the same samples in clusters of identical strings; the same samples vote."""
    names: dict[str, int] = {}
    cluster = np.full(problem.num_samples, NO_VOTE)
    for index, answer in enumerate(answers):
        if problem.cluster[index] != NO_VOTE and answer is not None:
            cluster[index] = names.setdefault(answer.strip(), len(names))
    first = [int(np.argmax(cluster == place)) for place in range(len(names))]
    return replace(problem, cluster=cluster, cluster_is_correct=problem.is_correct[first].astype(bool))


def answers_by_problem(batches: Iterable[pa.RecordBatch]) -> dict[str, list[str | None]]:
    """Return the extracted answers of each problem, in the order of the samples."""
    found: dict[str, list[str | None]] = {}
    for batch in batches:
        for problem_id, answer in zip(
            batch.column("problem_id").to_pylist(), batch.column("extracted_answer").to_pylist(), strict=True
        ):
            found.setdefault(problem_id, []).append(answer)
    return found


def votes(problem: ProblemSamples, strategies: list[Strategy], num_orderings: int, num_samples: int) -> list[Floats]:
    """Return the accuracy of each strategy at k = 1, 2, 4, … N."""
    sizes = sizes_up_to(num_samples)
    positions = draw_positions(problem, num_orderings, 0)
    counted = tally(problem, positions, sizes, use_scores=len(strategies) > 1)
    found, _ = accuracies(problem, counted, strategies, num_clusters=8, num_best=16)
    return [np.where(sizes == 1, exact_at_one(problem), found[strategy]) for strategy in strategies]


def compare(path: Path, scale: Scale, num_orderings: int) -> tuple[Figures, int]:
    """Return accuracies at each k, in percent, and what equality gains, and the problems whose strings it joins."""
    batches = list(read_completions(str(path), scores=scale))
    table, answers = read_problem_samples(batches, path.name), answers_by_problem(batches)
    strategies = [Strategy.MAJORITY_VOTE, *([Strategy.WEIGHTED_VOTE] if table.is_scored else [])]
    columns: dict[tuple[str, str, int], list[float]] = {}
    num_joined = 0
    for problem in table.problems:
        sides = {"equality": problem, "string": by_string(problem, answers[problem.problem_id])}
        num_joined += len(problem.cluster_is_correct) < len(sides["string"].cluster_is_correct)
        for side, one in sides.items():
            for strategy, values in zip(
                strategies, votes(one, strategies, num_orderings, table.num_samples), strict=True
            ):
                for k, value in zip(sizes_up_to(table.num_samples).tolist(), values.tolist(), strict=True):
                    columns.setdefault((strategy.value, side, k), []).append(value)
    return _figures({key: np.array(values) for key, values in columns.items()}), num_joined


def _figures(columns: dict[tuple[str, str, int], Floats]) -> Figures:
    gains = {
        (strategy, k): values - columns[strategy, "string", k]
        for (strategy, side, k), values in columns.items()
        if side == "equality"
    }
    intervals, p = estimates(gains), p_values(gains)
    return {
        f"{strategy} at {k}": {
            "equality": round(100 * float(columns[strategy, "equality", k].mean()), 2),
            "string": round(100 * float(columns[strategy, "string", k].mean()), 2),
            "gain": round(100 * found.value, 2),
            "gain_low": round(100 * found.low, 2),
            "gain_high": round(100 * found.high, 2),
            "p_value": round(p[strategy, k], 4),
        }
        for (strategy, k), found in intervals.items()
    }


def main() -> None:
    """Compare both votes on every file that is there."""
    arguments = _arguments()
    figures: dict[str, Figures] = {}
    for title, name, scale in FILES:
        path = arguments.data / "outputs" / name
        if not path.is_file():
            print(f"NO DATA at {path}: left out; name the folder of the real data with --data.\n")
            continue
        figures[name], num_joined = compare(path, scale, arguments.num_orderings)
        print(f"== {title}; equality joins strings of {num_joined} of them")
        print(f"{'':24}equality    string    gain of equality (95 %)       p")
        for label, found in figures[name].items():
            interval = f"{found['gain']:+.2f} [{found['gain_low']:+.2f}, {found['gain_high']:+.2f}]"
            print(f"{label:24}{found['equality']:8.2f}  {found['string']:8.2f}    {interval:24}{found['p_value']:8.4f}")
        print()
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("METAMATH_RAY_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real data")
    parser.add_argument("--num-orderings", type=int, default=1_000, help="orderings of the samples of a problem")
    return parser.parse_args()


if __name__ == "__main__":
    main()
