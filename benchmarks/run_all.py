"""Runs the benchmarks, one after the other, and writes `docs/performance.md` from what they print.

What each printed is kept in a folder, so that one can be run again alone and the page has the others still. A benchmark
that fails is a line of the page, and the exit code is 1.

    python benchmarks/run_all.py [--only NAME …] [--folder runs/benchmarks] [--page docs/performance.md]
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from performance_page import Benchmark, Figure, Result, page

ROOT = Path(__file__).resolve().parents[1]
TIME_LIMIT_SECONDS = 600
"""Of one benchmark."""

BENCHMARKS = (
    Benchmark(
        script="imports",
        title="Starting",
        figures=(
            Figure(name="`import metamath_ray.grading`, s",
                   path=("starts", "import metamath_ray.grading", "median_seconds"), form=".2f", at_most=0.3),
            Figure(name="`metamath-ray --help`, s",
                   path=("starts", "metamath-ray --help", "median_seconds"), form=".2f", at_most=0.6),
        ),
    ),
    Benchmark(
        script="grading",
        title="Grading and clustering",
        figures=(
            Figure(name="numbers, pairs/s", path=("speed", "numbers", "ours")),
            Figure(name="numbers, times as fast as Math-Verify", path=("speed", "numbers", "times"), form=".1f",
                   at_least=20),
            Figure(name="MATH answers, pairs/s", path=("speed", "MATH mix", "ours")),
            Figure(name="MATH answers, times as fast as Math-Verify", path=("speed", "MATH mix", "times"), form=".1f",
                   at_least=3),
            Figure(name="256 numbers clustered, ms", path=("clustering", "256 numbers", "milliseconds"), form=".1f"),
            Figure(name="worst hostile comparison, s", path=("bombs", "worst_seconds"), form=".1f"),
        ),
    ),
    Benchmark(
        script="export",
        title="Export: deduplication and decontamination",
        figures=(
            Figure(name="4,000 outcomes, rows/s", path=("sizes", 0, "rows_per_second")),
            Figure(name="16,000 outcomes, rows/s", path=("sizes", 1, "rows_per_second")),
            Figure(name="64,000 outcomes, rows/s", path=("sizes", 2, "rows_per_second")),
            Figure(name="64,000 outcomes, peak MiB", path=("sizes", 2, "peak_mib")),
            Figure(name="times as fast as datasketch MinHashLSH",
                   path=("rivals", "systems", "datasketch MinHashLSH", "ours_is_times_as_fast"), form=".1f",
                   at_least=1),
            Figure(name="test questions alone, times as fast as datatrove",
                   path=("rivals", "systems", "datatrove NGramsDecontFilter, test questions alone",
                         "ours_is_times_as_fast"), form=".1f", at_least=1),
        ),
    ),
    Benchmark(
        script="scale",
        title="Growth, on 256 simulated replicas",
        figures=(
            Figure(name="10,000 items: processor time of a worker, µs an item",
                   path=("sizes", "10000", "replay", "worker_us_an_item")),
            Figure(name="10,000 items: bytes of outcomes an item",
                   path=("sizes", "10000", "replay", "outcome_bytes_an_item")),
            Figure(name="10,000 items: reading them again, s", path=("sizes", "10000", "resume", "resume_seconds"),
                   form=".1f"),
            Figure(name="10,000 items: processor time of the driver, µs an item",
                   path=("sizes", "10000", "drive", "driver_processor_us_an_item")),
            Figure(name="1,000 items: the driver's peak, MiB", path=("sizes", "1000", "drive", "driver_mib")),
            Figure(name="10,000 items: the driver's peak, MiB", path=("sizes", "10000", "drive", "driver_mib")),
        ),
    ),
    Benchmark(
        script="training",
        title="Fine-tuning",
        figures=(
            Figure(name="word problems, tokens/s",
                   path=("workloads", "word problems", "metamath-ray", "tokens_per_second")),
            Figure(name="times as fast as TRL with packing",
                   path=("workloads", "word problems", "TRL SFTTrainer, packing", "ours_over_it"), form=".2f",
                   at_least=1.1),
            Figure(name="times as fast as transformers.Trainer",
                   path=("workloads", "word problems", "transformers.Trainer", "ours_over_it"), form=".2f",
                   at_least=1.1),
            Figure(name="mixed lengths, times as fast as TRL with packing",
                   path=("workloads", "mixed lengths", "TRL SFTTrainer, packing", "ours_over_it"), form=".2f",
                   at_least=2),
            Figure(name="mixed lengths, times as fast as transformers.Trainer",
                   path=("workloads", "mixed lengths", "transformers.Trainer", "ours_over_it"), form=".2f", at_least=2),
            Figure(name="the same, its rows grouped by length",
                   path=("workloads", "mixed lengths", "transformers.Trainer, by length", "ours_over_it"), form=".2f"),
        ),
    ),
    Benchmark(
        script="bootstrap",
        title="Bootstrap against the engine alone and Ray Data's pipelines, 2,000 items",
        arguments=("--rounds", "1"),
        figures=(
            Figure(name="tokens/s", path=("systems", "ours", "tokens_per_second", "median")),
            *(
                Figure(name=f"tokens/s over those of {rival}", path=("systems", rival, "ours_over_it", "median"),
                       form=".2f", at_least=goal)
                for rival, goal in (
                    ("vllm.LLM.generate", 0.97), ("Ray Data over Serve", 1.0), ("Ray Data, its own engine", 1.0),
                )
            ),
            Figure(name="whole run, start-up included: time over vllm.LLM.generate's",
                   path=("systems", "vllm.LLM.generate", "our_seconds_over_its", "median"), form=".2f", at_most=1.3),
        ),
    ),
    Benchmark(
        script="scoring",
        title="Scoring by a verifier, 16 solutions a question",
        figures=(
            Figure(name="solutions/s", path=("systems", "ours", "solutions_per_second", "median")),
            Figure(name="over one request a solution without a prefix cache",
                   path=("systems", "one request a solution, no prefix cache", "ours_over_it", "median"), form=".2f",
                   at_least=3),
        ),
    ),
    Benchmark(
        script="solve",
        title="The solve service against what it is made of, 16 samples a question",
        arguments=("--rounds", "2"),
        figures=tuple(
            Figure(name=f"{concurrency} at once: time for a token over {rival}'s",
                   path=("concurrency", str(concurrency), rival, "service_over_it", "median"), form=".2f", at_most=goal)
            for concurrency in (1, 8, 64)
            for rival, goal in (("engine", 1.05), ("vllm serve", 1.0))
        ),
    ),
    Benchmark(
        script="solve_savings",
        title="What the solve service saves",
        figures=(
            Figure(name="samples a question, adaptive, of 16",
                   path=("stopping", "adaptive 0.95, as served", "samples"), form=".1f"),
            Figure(name="points of accuracy against all 16",
                   path=("stopping", "adaptive 0.95, as served", "points", 0), form="+.1f"),
            Figure(name="tokens saved, %",
                   path=("stopping", "adaptive 0.95, as served", "tokens_saved", 0), form=".1f"),
        ),
    ),
    Benchmark(
        script="adaptive",
        title="When to stop sampling: 64 samples at most, hard questions, at most half a point lost",
        figures=tuple(
            Figure(name=f"{name}, samples a question", path=("hard 64", name, "samples"), form=".1f", at_most=goal)
            for name, goal in (
                ("ours, in rounds", 64 / 3), ("majority share, in rounds", None),
                ("Adaptive-Consistency, in rounds", None), ("ESC", None), ("fixed N", None),
            )
        ),
    ),
    Benchmark(
        script="evaluate",
        title="Evaluation",
        figures=(
            Figure(name="250 problems × 16 samples, ms a problem", path=("sizes", 0, "ms_a_problem"), form=".1f"),
            Figure(name="1,000 problems × 16 samples, ms a problem", path=("sizes", 2, "ms_a_problem"), form=".1f"),
            Figure(name="1,000 problems × 16 samples, peak MiB", path=("sizes", 2, "peak_mib")),
        ),
    ),
    Benchmark(
        script="voting",
        title="Votes by equality against votes by string",
        arguments=("--num-orderings", "200"),
        figures=(
            Figure(name="Qwen2.5-Math, 8 samples: points gained",
                   path=("qwen25math_math_cot_100x8.jsonl", "majority_vote at 8", "gain"), form="+.2f"),
            Figure(name="NeMo-Skills, 3 samples: points gained",
                   path=("nemo_skills_math_train_50x3.jsonl", "majority_vote at 3", "gain"), form="+.2f"),
        ),
    ),
    Benchmark(
        script="training_memory",
        title="Memory of a training worker",
        figures=tuple(
            Figure(name=f"{name}, bytes a weight", path=("peaks", name, "bytes_a_weight"), form=".1f")
            for name in ("ZeRO-0", "ZeRO-2", "ZeRO-3 + offload")
        ),
    ),
)  # fmt: skip
"""`finetuning.py` measures what is learned, not how fast, and takes longer."""


def main() -> None:
    """Run what is asked for, and write the page from all that is there."""
    given = _arguments()
    given.folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for benchmark in BENCHMARKS:
        if benchmark.script in (given.only or _names()):
            result = run(benchmark)
            (given.folder / f"{benchmark.script}.json").write_text(json.dumps(asdict(result)), encoding="utf-8")
            failed += [benchmark.script] if result.failure else []
            print(f"{benchmark.script}: {result.failure or 'done'}, {result.seconds:.0f} s", flush=True)
    kept = [(benchmark, kept_result(given.folder, benchmark)) for benchmark in BENCHMARKS]
    given.page.write_text(page([(benchmark, result) for benchmark, result in kept if result]), encoding="utf-8")
    print(f"written: {given.page}")
    sys.exit(1 if failed else 0)


def run(benchmark: Benchmark) -> Result:
    """Run one, in a process of its own; what it prints goes to the terminal, too."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{benchmark.script}.py"), *benchmark.arguments]
    date, began = datetime.now(UTC).date().isoformat(), time.perf_counter()
    printed: dict[str, Any] = {}
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT_SECONDS, check=False
        )
        print(done.stdout, flush=True)
        failure = f"exit code {done.returncode}" if done.returncode else ""
        printed = {} if failure else json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        failure = f"not done after {TIME_LIMIT_SECONDS} s"
    except (ValueError, IndexError):
        failure = "its last line is no JSON object"
    return Result(date=date, seconds=round(time.perf_counter() - began, 1), printed=printed, failure=failure)


def kept_result(folder: Path, benchmark: Benchmark) -> Result | None:
    """Read what a benchmark printed last; None where it has not run yet."""
    path = folder / f"{benchmark.script}.json"
    return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _names() -> list[str]:
    return [benchmark.script for benchmark in BENCHMARKS]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=_names(), metavar="NAME", help="run these alone")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "benchmarks", help="what each printed")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
