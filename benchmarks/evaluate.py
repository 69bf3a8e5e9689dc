"""A whole evaluation, from a parquet table of samples to `results.json`: time and memory, and how they grow.

Synthetic samples (each problem: p(correct) from a beta distribution, wrong answers from a geometric one, 6 % truncated,
scores that know a little), 5,000 problems × 64 samples and 2 and 4 times as many problems; with --quick 250 × 16. Each
size is written and evaluated in a process of its own: wall time, processor time, peak memory. The metric code of
lm-evaluation-harness or lighteval is timed on the same counts where one of them is installed. Prints a table and, as
its last line, one JSON object.
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metamath_ray.evaluation import Precision, SampleSet, evaluate, to_json
from metamath_ray.evaluation.pass_at_k import pass_at_k
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.storage.samples import SAMPLE_SCHEMA, read_sample_table

FACTORS = (1, 2, 4)
PROBLEMS_PER_BATCH = 50
WORDS = ("how", "many", "apples", "does", "Ann", "have", "left", "after", "she", "sells", "half", "of", "them")


def write_samples(path: str, num_problems: int, num_samples: int) -> None:
    """Write a table of synthetic samples, a few problems at a time."""
    chance = np.random.default_rng(0)
    with pq.ParquetWriter(path, SAMPLE_SCHEMA) as writer:
        for start in range(0, num_problems, PROBLEMS_PER_BATCH):
            end = min(start + PROBLEMS_PER_BATCH, num_problems)
            rows = [row for place in range(start, end) for row in _problem_rows(place, num_samples, chance)]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SAMPLE_SCHEMA))


def _problem_rows(place: int, num_samples: int, chance: np.random.Generator) -> Iterator[dict[str, object]]:
    answer, ease = int(chance.integers(1_000)), chance.beta(0.75, 1.4)
    problem = {
        "question": f"Problem {place}: {' '.join(chance.choice(WORDS, size=10 + place % 40))}?",
        "reference_answer": str(answer),
        "reference_solution": "",
        "source": "synthetic",
        "split": "test",
        "source_id": str(place),
        "subject": ("algebra", "geometry", "number theory")[place % 3],
        "level": f"Level {1 + place % 5}",
        "num_steps": 1 + place % 4,
    }
    for index in range(num_samples):
        is_right, is_cut = chance.random() < ease, chance.random() < 0.06
        found = str(answer if is_right else answer + int(chance.geometric(0.12)))
        score = float(chance.beta(4, 2) if is_right else chance.beta(2, 4))
        reason = "truncated" if is_cut else "" if is_right else "wrong_answer"
        yield {
            "sample_id": f"{place}-{index}",
            "problem": problem,
            "problem_id": f"{place:024x}",
            "sample_index": index,
            "seed": index,
            "completion": f"Sample {index}. " + "We count and add and take away. " * 15 + f"The answer is: {found}",
            "finish_reason": "length" if is_cut else "stop",
            "extracted_answer": None if is_cut else found,
            "verdict": "incorrect" if reason else "correct",
            "reason": reason,
            "num_prompt_tokens": 60,
            "num_completion_tokens": int(chance.integers(50, 400)),
            "model": "synthetic",
            "prompt_set_hash": "synthetic",
            "score": None if is_cut else score,
        }


def evaluate_once(num_problems: int, num_samples: int) -> dict[str, float]:
    """Write one table, evaluate it, and return what that took; peak memory includes the writing, in batches."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/samples.parquet"
        write_samples(path, num_problems, num_samples)
        written = _peak_mib()
        wall, processor = time.perf_counter(), time.process_time()
        results = evaluate({"synthetic": SampleSet(samples=read_sample_table(path))}, precision=Precision())
        text = to_json(results)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "problems": num_problems,
        "samples": num_samples,
        "seconds": round(wall, 1),
        "processor_seconds": round(processor, 1),
        "ms_a_problem": round(1000 * processor / num_problems, 2),
        "peak_mib": round(_peak_mib()),
        "peak_before_mib": round(written),
        "results_kib": round(len(text) / 1024),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(num_problems: int, num_samples: int) -> dict[str, float]:
    """Run `evaluate_once` in a process of its own, so that peaks do not mix."""
    command = [sys.executable, __file__, "--only", str(num_problems), str(num_samples)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return figures


def metric_code_of_others(num_problems: int, num_samples: int) -> dict[str, float]:
    """Time pass@k of all problems against lighteval's estimator; lm-eval has none of its own, but by task."""
    chance = np.random.default_rng(0)
    num_correct = chance.integers(num_samples + 1, size=num_problems).tolist()
    began = time.perf_counter()
    ours = [pass_at_k(num_samples, right, num_samples // 2) for right in num_correct]
    figures = {"ours": round(time.perf_counter() - began, 3)}
    if importlib.util.find_spec("lighteval") is None:
        print("lighteval and its metric code are not installed: nothing to compare pass@k with.")
        return figures
    from lighteval.metrics.metrics_sample import PassAtK  # type: ignore[import-not-found]  # noqa: PLC0415

    theirs = PassAtK(k=num_samples // 2, n=num_samples)
    scores = [np.r_[np.ones(right), np.zeros(num_samples - right)] for right in num_correct]
    began = time.perf_counter()
    found = [theirs.pass_at_k(one) for one in scores]
    figures["lighteval"] = round(time.perf_counter() - began, 3)
    assert np.allclose(found, ours)
    return figures


def main() -> None:
    """Measure every size."""
    arguments = _arguments()
    if arguments.only:
        print(json.dumps(evaluate_once(*arguments.only)))
        return
    num_problems, num_samples = (250, 16) if arguments.quick else (5_000, 64)
    print(f"{'problems':>9}{'samples':>9}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}{'ms a problem':>14}")
    sizes = []
    for factor in FACTORS[: arguments.factors]:
        found = in_a_process(factor * num_problems, num_samples)
        sizes.append(found)
        print(
            f"{found['problems']:9,}{num_samples:9}{found['seconds']:9.1f}{found['processor_seconds']:9.1f}"
            f"{found['peak_mib']:10,}{found['ms_a_problem']:14.2f}",
            flush=True,
        )
    figures = {"sizes": sizes, "pass_at_k_seconds": metric_code_of_others(num_problems, num_samples)}
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="250 problems × 16 samples, and 2 and 4 times as many")
    parser.add_argument("--factors", type=int, default=len(FACTORS), help="only the first so many of 1×, 2×, 4×")
    parser.add_argument("--only", type=int, nargs=2, metavar=("PROBLEMS", "SAMPLES"), help="one size, in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
