"""What each augmentation teaches, and all four, at equal numbers of rows: the control that the paper's table 3 lacks.

    python benchmarks/augmentations.py [--quick] [--seeds 3] [--directory runs/finetuning] [--page docs/results.md]

The teacher bootstraps the training problems (the run of `finetuning.py`, if that has been made). The embedded base then
learns equally many rows of one augmentation, as many of all four in equal parts, or as many reference solutions; it is
measured greedily on forward and backward problems of the split "test". Each run has a folder; what is done there is not
done again. Prints tables and, as its last line, one JSON object; with `--page`, they are one table of that page, too.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from finetuning import HELD_OUT_SEED, Hits, Runs, show, stage
from results_page import origin, side_by_side, write

from metamath_ray.datasets import ProblemSource, read_problems
from metamath_ray.datasets.word_problems import BackwardForm, maskable_places, sample_from_split, write_backward
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.types import Augmentation

ALL_FOUR = "all four"
REFERENCE = "reference solutions"
EPOCHS = 3


class Arms:
    """The runs that are compared, in one folder."""

    def __init__(self, runs: Runs, *, num_rows: int, num_held_out: int) -> None:
        self._runs, self._num_rows, self._num_held_out = runs, num_rows, num_held_out
        self._held_out = runs.folder / "held_out.jsonl"

    def train(self) -> dict[str, dict[str, list[Hits]]]:
        """Train every arm by every seed; return arm → kind of problem → hits by seed."""
        lines = [json.dumps(row) for row in held_out(self._num_held_out)]
        self._runs.folder.mkdir(parents=True, exist_ok=True)
        self._held_out.write_text("\n".join(lines) + "\n")
        solutions = self._solutions()
        found: dict[str, dict[str, list[Hits]]] = defaultdict(lambda: defaultdict(list))
        for seed in self._runs.seeds:
            for arm, learned in solutions.items():
                for kind, hits in self._measured(arm, learned, seed).items():
                    found[arm][kind].append(hits)
        return found

    def _solutions(self) -> dict[str, dict[str, Any]]:
        """Return arm → what it learns, equally many rows each."""
        rows = pq.read_table(self._runs.bootstrapped() / "dataset" / "metamathqa.parquet")
        by_kind = {kind: rows.filter(pc.equal(rows["augmentation"], kind.value)).to_pylist() for kind in Augmentation}
        num_rows = min(self._num_rows, *map(len, by_kind.values()))
        arms = {kind.value: draw(by_kind[kind], num_rows) for kind in Augmentation}
        arms[ALL_FOUR] = [row for kind in Augmentation for row in draw(by_kind[kind], num_rows // len(by_kind))]
        seeds = self._runs.seed_problems()
        few = {**seeds, "limit": min(num_rows, seeds["limit"])}
        learned: dict[str, dict[str, Any]] = {REFERENCE: {"problems": few}}
        for arm, some in arms.items():
            path = self._runs.folder / f"rows_{arm.replace(' ', '_')}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in some))
            learned[arm] = {"rows": str(path)}
        return learned

    def _measured(self, arm: str, learned: dict[str, Any], seed: int) -> dict[str, Hits]:
        name = f"equal_{arm.replace(' ', '_')}_{seed}"
        held_out = {"problems": {"format": "jsonl", "path": str(self._held_out), "split": "test"}}
        config = {
            "model": "embedded:base",
            "seed": seed,
            "stages": {"generator": stage(solutions=learned, epochs=EPOCHS)},
            "trainers": {"num_workers": 2, "micro_batch_size": 8, "zero_stage": 2},
            "held_out": {**held_out, "max_tokens": 192, "batch_size": 250, "before_training": False},
        }
        run = self._runs.metamath_ray("finetune", name, config)
        found = defaultdict[str, Hits](list)
        for row in pq.read_table(run / "generator" / "held_out.parquet", columns=["problem", "verdict"]).to_pylist():
            kind = "forward" if row["problem"]["subject"] == "forward" else "backward"
            found[kind].append(row["verdict"] == "correct")
        return found


def draw(rows: list[dict[str, Any]], num: int) -> list[dict[str, Any]]:
    """Draw rows, the same ones whenever they are the same."""
    return random.Random(0).sample(sorted(rows, key=lambda row: str(row["item_id"])), num)


def held_out(num_problems: int) -> Iterator[dict[str, str]]:
    """Yield forward and as many backward problems of the split "test"."""
    source = ProblemSource(format="word_problems", split="test", limit=num_problems, seed=HELD_OUT_SEED)
    for forward in read_problems(source):
        yield {"question": forward.question, "answer": forward.reference_answer, "subject": "forward"}
    chance = random.Random(f"backward:{HELD_OUT_SEED}")
    for number in range(num_problems):
        problem = sample_from_split(chance, "test")
        form: BackwardForm = "fobar" if number % 2 else "self_verification"
        place = chance.choice(maskable_places(problem))
        backward = write_backward(problem, place, form, chance.getrandbits(40), chance.getrandbits(40))
        yield {"question": backward.question, "answer": backward.answer, "subject": form}


def main() -> None:
    """Run what is left and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sets: that it runs, not what it gains")
    parser.add_argument("--directory", type=Path, default=Path("runs/finetuning"))
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each arm, by the seeds 0, 1, …")
    parser.add_argument("--page", type=Path, help="also write a table into this page")
    given = parser.parse_args()
    runs = Runs(given.directory, quick=given.quick)
    runs.seeds = range(1 if given.quick else given.seeds)
    num_rows, num_held_out = (20, 40) if given.quick else (1000, 500)
    found = Arms(runs, num_rows=num_rows, num_held_out=num_held_out).train()
    figures = {
        kind: show(f"Greedy accuracy on {kind} problems, %", {arm: kinds[kind] for arm, kinds in found.items()})
        for kind in ("forward", "backward")
    }
    if given.page:
        write(given.page, {"augmentations": f"{side_by_side(figures)}\n\n{origin(runs.seeds)}"})
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


if __name__ == "__main__":
    main()
