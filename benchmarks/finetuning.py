"""What fine-tuning the embedded models gains: real runs on two Ray Train workers, measured on problems no stage saw.

    python benchmarks/finetuning.py [--quick] [--directory runs/finetuning] [--parts solutions verifier sequential]
                                    [--page docs/results.md]

* solutions: the base, fine-tuned on reference solutions of the seed problems, on the same for as many steps as the
  bootstrapped rows take, and on rows bootstrapped from those problems.
* verifier: the embedded verifier, which knows the teacher's samples, on those of the bootstrapped generator, by each of
  the two losses.
* sequential: generator → verifier → generator, against as many steps of it alone, and of both at once; one seed.

Each run has a folder; what is done there is not done again, so that the script may be interrupted. Prints tables and,
as its last line, one JSON object; with `--page`, the tables are written into that page, too.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from results_page import accuracies, origin, verifiers, write
from rich.console import Console
from rich.table import Table

from metamath_ray.statistics import Mean, mean_over_seeds
from metamath_ray.storage.manifest import hardware, versions

Config = dict[str, Any]
Hits = list[bool]

PARTS = ("solutions", "verifier", "sequential")
LEARNING_RATE = 3e-4
"""Chosen on the split "validation" for the reference solutions, the rival of what we want to show."""
VERIFIER_RATE = 1e-5
"""That of the pointwise loss on the teacher's samples (docs/results.md)."""
VERIFIER_SAMPLES = {"balance": "within_problems", "max_pairs_per_problem": 4, "validation_share": 0.15}
LAST_RATE, LAST_STEPS = 1e-4, 60
"""Of the generator's second stage."""
HELD_OUT_SEED = 2


class Runs:
    """Runs in a folder, each by its configuration file."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.num_seed_problems, self.num_held_out = (60, 60) if quick else (1000, 1000)
        self.num_sampled_problems, self.num_verifier_steps = (60, 4) if quick else (3000, 240)
        self.seeds: Sequence[int] = (0,) if quick else (0, 1, 2)

    def metamath_ray(self, command: str, name: str, config: Config) -> Path:
        """Run a command of ours by a configuration that is kept; return the run's folder.

        Raises:
            SystemExit: It failed; it has said why.
        """
        run, file = self.folder / name, self.folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump({**config, "run_directory": str(run)}, sort_keys=False))
        arguments = [sys.executable, "-m", "metamath_ray.cli", command, "--config", str(file)]
        if subprocess.run(arguments, stdout=sys.stderr, check=False).returncode:
            raise SystemExit(f"{name} failed; run the same command again to go on")
        return run

    def finetune(self, name: str, stages: Config, *, model: str, seed: int, before: bool = False) -> Path:
        """Fine-tune, and measure on the held-out problems of the split "test"."""
        held_out = {"format": "word_problems", "split": "test", "limit": self.num_held_out, "seed": HELD_OUT_SEED}
        config = {
            "model": model,
            "seed": seed,
            "stages": stages,
            "trainers": {"num_workers": 2, "micro_batch_size": 8, "zero_stage": 2},
            "held_out": {"problems": held_out, "max_tokens": 192, "batch_size": 250, "before_training": before},
        }
        return self.metamath_ray("finetune", name, config)

    def generator(self, name: str, stage: Config, *, model: str, seed: int) -> Hits:
        """Fine-tune by one stage; return which held-out problems its model solves."""
        return hits(self.finetune(f"{name}_{seed}", {"generator": stage}, model=model, seed=seed), "generator")

    def seed_problems(self) -> Config:
        """Return the problems that are bootstrapped."""
        return word_problems(self.num_seed_problems, seed=21)

    def bootstrapped(self) -> Path:
        """Return a run of the teacher over the seed problems, exported."""
        config = {
            "source": self.seed_problems(),
            "augmentation": {"answer_augmentation": 2, "rephrasing": 2, "self_verification": 1, "fobar": 1},
            "sampling": {
                "rewrite": {"temperature": 0.7, "max_tokens": 160},
                "solve": {"temperature": 0.7, "max_tokens": 256},
            },
            "engine": {"kind": "serve", "model": "embedded:teacher", "max_num_seqs": 128},
            "execution": {"rows_in_flight": 256, "batch_size": 32},
            "export": {
                "decontaminate_against": [
                    {"format": "word_problems", "split": "test", "limit": self.num_held_out, "seed": HELD_OUT_SEED}
                ]
            },
        }
        run = self.metamath_ray("bootstrap", "bootstrapped", config)
        command = [sys.executable, "-m", "metamath_ray.cli", "export", "--run-directory", str(run)]
        subprocess.run(command, stdout=sys.stderr, check=True)
        return run

    def samples(self) -> Path:
        """Return a run with eight samples a problem, by the generator that learned the bootstrapped rows."""
        model = str(self.folder / "bootstrapped_0" / "generator" / "model")
        config = {
            "source": word_problems(self.num_sampled_problems, seed=22),
            "augmentation": {"answer_augmentation": 8, "rephrasing": 0, "self_verification": 0, "fobar": 0},
            "sampling": {"solve": {"temperature": 0.8, "max_tokens": 256}},
            "engine": {"kind": "serve", "model": model, "max_num_seqs": 128},
            "execution": {"rows_in_flight": 256, "batch_size": 32},
        }
        return self.metamath_ray("bootstrap", "samples", config)


def word_problems(num_problems: int, *, seed: int) -> Config:
    """Return training problems of the embedded world."""
    return {"format": "word_problems", "split": "train", "limit": num_problems, "seed": seed}


def stage(rate: float = LEARNING_RATE, **settings: Any) -> Config:  # noqa: ANN401  (fields of StageConfig)
    """Return a stage."""
    return {"global_batch_size": 32, "optimizer": {"learning_rate": rate}, **settings}


def num_steps(run: Path, name: str) -> int:
    """Return how many steps a stage took."""
    return len((run / name / "metrics.jsonl").read_text().splitlines())


def hits(run: Path, name: str) -> Hits:
    """Return which held-out problems the model of a stage solved."""
    verdicts = pq.read_table(run / name / "held_out.parquet", columns=["verdict"]).column("verdict")
    return [verdict == "correct" for verdict in verdicts.to_pylist()]


def difference(first: Sequence[Hits], second: Sequence[Hits]) -> Mean:
    """Compare two models on the same problems, seed by seed, for the seeds that both have."""
    pairs = zip(first, second, strict=False)
    return mean_over_seeds([[int(a) - int(b) for a, b in zip(one, other, strict=True)] for one, other in pairs])


def compare_solutions(runs: Runs) -> Config:
    """Bootstrapped rows against reference solutions of the same problems."""
    learned, problems = {"rows": str(runs.bootstrapped())}, {"problems": runs.seed_problems()}
    arms, bootstrapped = defaultdict[str, list[Hits]](list), list[Hits]()
    for seed in runs.seeds:
        stages = {"generator": stage(solutions=learned, epochs=3)}
        ours = runs.finetune(f"bootstrapped_{seed}", stages, model="embedded:base", seed=seed, before=seed == 0)
        arms["base"].append(hits(runs.folder / "bootstrapped_0", "start"))
        few = stage(solutions=problems, epochs=3)
        arms["reference solutions"].append(runs.generator("reference", few, model="embedded:base", seed=seed))
        bootstrapped.append(hits(ours, "generator"))
    as_long = stage(solutions=problems, max_steps=num_steps(runs.folder / "bootstrapped_0", "generator"))
    for seed in runs.seeds:
        equal = runs.generator("reference_equal_steps", as_long, model="embedded:base", seed=seed)
        arms["reference solutions, as many steps as the next"].append(equal)
    return show("Greedy accuracy, %", {**arms, "bootstrapped rows": bootstrapped})


def show(title: str, arms: dict[str, list[Hits]]) -> Config:
    """Print each arm with its interval and its gain on the arm before; return the figures."""
    table = Table(title=title, title_justify="left", box=None)
    for column in ("", "accuracy", "gain on the line above", "seeds"):
        table.add_column(column)
    figures: Config = {}
    before: list[Hits] | None = None
    for name, found in arms.items():
        mean, gain = mean_over_seeds(found), difference(found, before) if before else None
        table.add_row(name, str(mean), str(gain) if gain else "", str(mean.num_seeds))
        figures[name] = {"mean": mean.mean, "low": mean.low, "high": mean.high}
        figures[name]["by_seed"] = [sum(one) / len(one) for one in found]
        if gain:
            figures[name]["gain"] = [gain.mean, gain.low, gain.high]
        before = found
    Console().print(table)
    return figures


VERIFIER_LOSSES = {
    "pairwise": {"pairwise_weight": 1.0, "pointwise_weight": 0.5},
    "pointwise": {"pairwise_weight": 0.0, "pointwise_weight": 1.0},
}
"""The margin loss alone, at 2e-4, ended with every score at 1, where its gradient is 0."""


def compare_verifiers(runs: Runs) -> Config:
    """Teach the verifier to judge the generator by each loss; measure on samples of problems that are kept apart."""
    samples = runs.samples()
    table = Table(title="Verifiers, on held-out problems", title_justify="left", box=None)
    for column in ("loss", "AUC", "AUC within problems", "calibration error", "samples", "pairs"):
        table.add_column(column)
    figures: Config = {}
    for name, settings in VERIFIER_LOSSES.items():
        learned = stage(
            VERIFIER_RATE,
            samples={"path": str(samples), **VERIFIER_SAMPLES},
            max_steps=runs.num_verifier_steps,
            **settings,
        )
        trainers = {"num_workers": 2, "micro_batch_size": 8, "zero_stage": 3}
        stages = {"verifier": learned}
        config = {"model": "embedded:verifier", "stages": stages, "trainers": trainers}
        run = runs.metamath_ray("finetune", f"verifier_{name}", config)
        found = figures[name] = json.loads((run / "verifier" / "results.json").read_text())["verifier"]
        shown = [found["auc"], found["within_problem_auc"], found["expected_calibration_error"]]
        counts = [found["num_samples"], found["num_pairs"]]
        table.add_row(name, *(f"{value:.3f}" for value in shown), *(f"{count:,}" for count in counts))
    Console().print(table)
    return figures


def compare_sequences(runs: Runs) -> Config:
    """Take the bootstrapped generator on: through a verifier and back, alone for as many steps, or both at once."""
    rows, parent, seed = {"rows": str(runs.folder / "bootstrapped")}, runs.folder / "bootstrapped_0", runs.seeds[0]
    model = str(parent / "generator" / "model")
    judged: Config = {"samples": {"path": str(runs.samples()), **VERIFIER_SAMPLES}, **VERIFIER_LOSSES["pairwise"]}
    again = stage(LAST_RATE, solutions=rows, max_steps=LAST_STEPS)
    stages = {"verifier": stage(**judged, epochs=1), "generator": again}
    ours = runs.finetune(f"sequential_{seed}", stages, model=model, seed=seed)
    steps = num_steps(ours, "verifier") + LAST_STEPS
    arms = {"generator": [hits(parent, "generator")]}
    controls: dict[str, tuple[str, Config]] = {
        "joint": ("solutions and samples at once, as many steps", judged),
        "equal_steps": ("solutions alone, as many steps", {}),
    }
    for name, (told, more) in controls.items():
        one = stage(LAST_RATE, solutions=rows, **more, max_steps=steps)
        arms[told] = [runs.generator(name, one, model=model, seed=seed)]
    arms["verifier, then generator again"] = [hits(ours, "generator")]
    return show("Generator → verifier → generator, greedy accuracy, %", arms)


def main() -> None:
    """Run what is left and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sets: that it runs, not what it gains")
    parser.add_argument("--directory", type=Path, default=Path("runs/finetuning"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--page", type=Path, help="also write the tables into this page")
    given = parser.parse_args()
    runs = Runs(given.directory, quick=given.quick)
    measure = {"solutions": compare_solutions, "verifier": compare_verifiers, "sequential": compare_sequences}
    figures = {part: measure[part](runs) for part in PARTS if part in given.parts}
    if given.page:
        forms = {"solutions": accuracies, "verifier": verifiers, "sequential": accuracies}
        seeds = {"solutions": runs.seeds, "verifier": (0,), "sequential": runs.seeds[:1]}
        write(given.page, {part: f"{forms[part](found)}\n\n{origin(seeds[part])}" for part, found in figures.items()})
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


if __name__ == "__main__":
    main()
