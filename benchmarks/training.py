"""Fine-tuning against TRL's SFTTrainer (its packing on) and transformers.Trainer: tokens a second, in one run.

The same model, rows, global batch and optimizer; one process; rounds of each trainer in turn, after a warm-up of each.
Prints a table and, as its last line, one JSON object. TRL comes with `uv pip install -e .[bench]`.

    python benchmarks/training.py [--quick]
"""

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

import pyarrow as pa
import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from metamath_ray.config import StageConfig, TrainersConfig
from metamath_ray.datasets.word_problems import generate_problems
from metamath_ray.embedded import checkpoint_path
from metamath_ray.prompts import Renderer, VerifierRenderer, load_prompt_set, load_tokenizer, load_verifier_prompt
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.training.deepspeed_config import deepspeed_config
from metamath_ray.training.engine import start_engine
from metamath_ray.training.examples import Example, UnitMaker
from metamath_ray.training.losses import PackedLoss
from metamath_ray.training.models import load_for_training
from metamath_ray.training.stage_data import reference_response
from metamath_ray.training.steps import Workers, share_of_step, train_step
from metamath_ray.training.unit_store import UnitStore, copy_to_disk
from metamath_ray.training.units import UNIT_SCHEMA, Unit, UnitKind

MODEL = str(checkpoint_path("base"))
ONE_PROCESS = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
"""What DeepSpeed wants to know; the other trainers would wrap their model for several processes."""
GLOBAL_BATCH, MICRO_BATCH, MAX_LENGTH = 32, 8, 512
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Workload:
    """Rows of one length distribution."""

    name: str
    units: list[Unit]

    @property
    def num_tokens(self) -> int:
        """Tokens of one pass, padding left out."""
        return sum(unit.num_tokens for unit in self.units)

    @property
    def naive_waste(self) -> float:
        """Share of padding when rows are batched in their order and padded to the longest."""
        lengths = [unit.num_tokens for unit in self.units]
        padded = sum(
            max(lengths[at : at + MICRO_BATCH]) * len(lengths[at : at + MICRO_BATCH])
            for at in range(0, len(lengths), MICRO_BATCH)
        )
        return 1 - sum(lengths) / padded


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer steps and rounds: under two minutes")
    quick = parser.parse_args().quick
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    num_steps, rounds = (3, 2) if quick else (8, 5)
    figures: dict[str, Any] = {"hardware": hardware(), "versions": versions(), "workloads": {}}
    for workload in workloads(num_steps * GLOBAL_BATCH):
        figures["workloads"][workload.name] = compare(workload, num_steps, rounds)
    print(json.dumps(figures))


def workloads(num_rows: int) -> list[Workload]:
    """Word problems as they are, and a mix in which every fourth row is several problems long."""
    tokenizer = load_tokenizer(MODEL)
    verifier = VerifierRenderer(load_verifier_prompt("paper"), tokenizer)
    maker = UnitMaker(Renderer(load_prompt_set("embedded"), tokenizer), verifier, max_length=MAX_LENGTH)
    problems = list(generate_problems("train", 2 * num_rows, seed=7))
    units = []
    for problem in problems:
        example = Example(
            kind=UnitKind.SOLUTION,
            source="word_problems",
            question=problem.question,
            solutions=(reference_response(problem, "as_written"),),
        )
        unit = maker.unit(example)
        if isinstance(unit, Unit):
            units.append(unit)
    mixed = [_joined(units[at : at + 4]) if at % 4 == 0 else units[at] for at in range(num_rows)]
    return [Workload("word problems", units[:num_rows]), Workload("mixed lengths", mixed)]


def _joined(units: Sequence[Unit]) -> Unit:
    ids: tuple[int, ...] = ()
    for unit in units:
        if len(ids) + unit.num_tokens <= MAX_LENGTH:
            ids += unit.token_ids[0]
    return Unit(kind=UnitKind.SOLUTION, token_ids=(ids,), num_prompt_tokens=units[0].num_prompt_tokens)


def compare(workload: Workload, num_steps: int, rounds: int) -> dict[str, Any]:
    """Run the trainers in turn and print a table."""
    with tempfile.TemporaryDirectory() as scratch:
        runners: dict[str, Callable[[], float]] = {
            "metamath-ray": ours(workload, num_steps, Path(scratch)),
            "TRL SFTTrainer, packing": trl_trainer(workload, num_steps, scratch),
            "transformers.Trainer": plain_trainer(workload, scratch),
            "transformers.Trainer, by length": plain_trainer(workload, scratch, "group_by_length"),
        }
        for run in runners.values():
            run()
        seconds: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(rounds):
            for name, run in runners.items():
                seconds[name].append(run())
    return _show(workload, seconds)


def _show(workload: Workload, seconds: dict[str, list[float]]) -> dict[str, Any]:
    table = Table(
        title=f"{workload.name}: {workload.num_tokens:,} tokens; padded naively, "
        f"{workload.naive_waste:.1%} would be padding",
        title_justify="left",
        box=None,
    )
    for column in ("", "tokens/s", "spread", "ours / it"):
        table.add_column(column, justify="left" if not column else "right")
    own = seconds["metamath-ray"]
    figures: dict[str, Any] = {"num_tokens": workload.num_tokens, "naive_padding": round(workload.naive_waste, 4)}
    for name, taken in seconds.items():
        rates = sorted(workload.num_tokens / second for second in taken)
        ratios = [theirs / mine for theirs, mine in zip(taken, own, strict=True)]
        figures[name] = {
            "tokens_per_second": round(statistics.median(rates)),
            "lowest": round(rates[0]),
            "highest": round(rates[-1]),
            "ours_over_it": round(statistics.median(ratios), 3),
        }
        found = figures[name]
        table.add_row(
            name,
            f"{found['tokens_per_second']:,}",
            f"{found['lowest']:,} – {found['highest']:,}",
            f"{found['ours_over_it']:.2f}",
        )
    Console().print(table)
    return figures


def ours(workload: Workload, num_steps: int, scratch: Path) -> Callable[[], float]:
    """The project's steps over one DeepSpeed engine without ZeRO; tokens are made before, as for the others."""
    stage = StageConfig.model_validate(
        {
            "solutions": {"rows": "-"},
            "global_batch_size": GLOBAL_BATCH,
            "optimizer": {"learning_rate": LEARNING_RATE, "schedule": "constant"},
        }
    )
    trainers = TrainersConfig(micro_batch_size=MICRO_BATCH, zero_stage=0)
    rows = pa.RecordBatch.from_pylist([unit.to_row() for unit in workload.units], schema=UNIT_SCHEMA)
    store: UnitStore = copy_to_disk([rows], scratch / f"{workload.name}.arrow")
    config = deepspeed_config(stage, trainers, 1)
    workers = Workers(rank=0, size=1, accumulation_steps=config["gradient_accumulation_steps"])
    model = load_for_training(MODEL, trainers=trainers, adapter=None)
    os.environ |= ONE_PROCESS
    engine = start_engine(PackedLoss(model), stage, config)
    for name in ONE_PROCESS:
        del os.environ[name]

    def run() -> float:
        began = time.perf_counter()
        for step in range(num_steps):
            train_step(engine, share_of_step(step, store, stage, workers, seed=0), LEARNING_RATE, workers)
        return time.perf_counter() - began

    return run


def _arguments(
    kind: Callable[..., Any],
    scratch: str,
    *,
    micro_batch: int = MICRO_BATCH,
    accumulation: int = GLOBAL_BATCH // MICRO_BATCH,
    **changes: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401  (two libraries' types)
    return kind(
        output_dir=scratch,
        num_train_epochs=1,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        **changes,
    )


def plain_trainer(workload: Workload, scratch: str, sampling: str = "random") -> Callable[[], float]:
    """transformers.Trainer with its padding collator; its option groups rows by length."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="right")
    rows = [
        {"input_ids": list(unit.token_ids[0]), "labels": _labels(unit), "attention_mask": [1] * unit.num_tokens}
        for unit in workload.units
    ]
    trainer = Trainer(
        model=AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32),
        args=_arguments(TrainingArguments, scratch, train_sampling_strategy=sampling),
        train_dataset=Dataset.from_list(rows),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    return _timed(trainer)


def _labels(unit: Unit) -> list[int]:
    given = unit.num_prompt_tokens[0]
    return [-100] * given + list(unit.token_ids[0][given:])


def trl_trainer(workload: Workload, num_steps: int, scratch: str) -> Callable[[], float]:
    """TRL's SFTTrainer with its packing; its global batch is in packs, so as many tokens a step as ours on average."""
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415  (slow to import)

    rows = [
        {"input_ids": list(unit.token_ids[0]), "completion_mask": [int(label >= 0) for label in _labels(unit)]}
        for unit in workload.units
    ]
    packs_a_step = max(1, round(workload.num_tokens / num_steps / MAX_LENGTH))
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32),
        args=_arguments(
            SFTConfig,
            scratch,
            micro_batch=1,
            accumulation=packs_a_step,
            packing=True,
            max_length=MAX_LENGTH,
            completion_only_loss=True,
            dataset_kwargs={"skip_prepare_dataset": False},
            gradient_checkpointing=False,
            bf16=False,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(MODEL),
    )
    return _timed(trainer)


class _Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Times a trainer from its first step to its last; what it builds before is not training."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    def on_train_begin(self, *_: object, **__: object) -> None:
        """Optimizer and loader are built."""
        self.began = time.perf_counter()

    def on_step_end(self, *_: object, **__: object) -> None:
        """The last of these counts."""
        self.ended = time.perf_counter()


def _timed(trainer: Trainer) -> Callable[[], float]:
    clock = _Clock()
    trainer.add_callback(clock)

    def run() -> float:
        trainer.train()
        return clock.ended - clock.began

    return run


if __name__ == "__main__":
    main()
