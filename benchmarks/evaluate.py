"""A whole evaluation, from a parquet table of samples to `results.json`: time and memory, and how they grow.

Synthetic samples (each problem: p(correct) from a beta distribution, wrong answers from a geometric one, 6 % truncated,
scores that know a little), 5,000 problems × 64 samples and 2 and 4 times as many problems; with --quick 250 × 16. Each
size is written and evaluated in a process of its own: wall time, processor time, peak memory. lighteval's metrics are
computed from the same table where it can be imported; its pins contradict ours, so that it wants a folder of its own on
PYTHONPATH. Prints tables and, as its last line, one JSON object.
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metamath_ray.evaluation import Precision, SampleSet, evaluate, to_json
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


def lighteval_metrics(path: str, num_samples: int) -> dict[str, dict[str, float]] | None:
    """Compute by lighteval what it has of our figures: pass@k at each k, and maj@N by equal strings of all samples."""
    if importlib.util.find_spec("lighteval") is None:
        print("lighteval is not installed: its metric code is not compared")
        return None
    from lighteval.metrics.metrics_sample import MajAtN, PassAtK  # noqa: PLC0415  (a rival)
    from lighteval.models.model_output import ModelResponse  # noqa: PLC0415
    from lighteval.tasks.requests import Doc  # noqa: PLC0415

    columns = ["problem", "problem_id", "extracted_answer", "verdict"]
    samples, golds = defaultdict[str, list[tuple[str, int]]](list), dict[str, str]()
    for row in pq.read_table(path, columns=columns).to_pylist():
        golds[row["problem_id"]] = row["problem"]["reference_answer"]
        samples[row["problem_id"]].append((row["extracted_answer"] or "", int(row["verdict"] == "correct")))
    began, values = time.perf_counter(), dict[str, float]()
    for k in powers_of_two(num_samples):
        metric = PassAtK(k=k, n=num_samples)
        values[f"pass@{k}"] = float(np.mean([metric.pass_at_k([hit for _, hit in some]) for some in samples.values()]))
    vote, votes = MajAtN(n=num_samples), []
    for problem_id, some in samples.items():
        doc = Doc(query="", choices=[golds[problem_id]], gold_index=0)
        votes.append(vote.compute(doc, ModelResponse(text=[answer for answer, _ in some])))
    values[f"maj@{num_samples}"] = float(np.mean(votes))
    return {"seconds": {"total": time.perf_counter() - began}, "values": values}


def powers_of_two(largest: int) -> list[int]:
    """Return 1, 2, 4 … up to a number."""
    return [2**power for power in range(largest.bit_length()) if 2**power <= largest]


def beside_lighteval(num_problems: int, num_samples: int) -> dict[str, object] | None:
    """Evaluate one table by both, and print the figures that both have."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/samples.parquet"
        write_samples(path, num_problems, num_samples)
        theirs = lighteval_metrics(path, num_samples)
        if theirs is None:
            return None
        began = time.perf_counter()
        found = evaluate({"synthetic": SampleSet(samples=read_sample_table(path))}, precision=Precision())
        seconds = time.perf_counter() - began
    curves = found.evaluations[0].curves
    ours = {f"pass@{point.num_samples}": point.accuracy.value for point in curves["pass_at_k"]}
    ours[f"maj@{num_samples}"] = curves["majority_vote"][-1].accuracy.value
    print(f"{'':>8}{'ours':>10}{'lighteval':>11}   ({num_problems:,} problems × {num_samples})")
    for name, value in theirs["values"].items():
        print(f"{name:>8}{100 * ours[name]:10.3f}{100 * value:11.3f}")
    other = theirs["seconds"]["total"]
    print(f"{'seconds':>8}{seconds:10.1f}{other:11.1f}   (ours: with all other figures and intervals)")
    same = {name: ours[name] for name in theirs["values"]}
    return {"ours": same, "lighteval": theirs["values"], "ours_seconds": seconds, "lighteval_seconds": other}


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
    figures = {"sizes": sizes, "lighteval": beside_lighteval(num_problems, num_samples)}
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="250 problems × 16 samples, and 2 and 4 times as many")
    parser.add_argument("--factors", type=int, default=len(FACTORS), help="only the first so many of 1×, 2×, 4×")
    parser.add_argument("--only", type=int, nargs=2, metavar=("PROBLEMS", "SAMPLES"), help="one size, in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
