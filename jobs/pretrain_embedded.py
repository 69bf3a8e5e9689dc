r"""Trains the two embedded models, or measures them.

    torchrun --nproc-per-node 2 jobs/pretrain_embedded.py --config jobs/configs/pretrain_embedded.yaml \
        --output runs/embedded
    python jobs/pretrain_embedded.py --config jobs/configs/pretrain_embedded.yaml --output runs/embedded --evaluate-only

Takes an hour or more on two CPU cores, which two processes use better than one does. The rows of a step are the same
for any number of processes. A GPU is used when there is one.
"""

import argparse
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import yaml
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from metamath_ray.prompts import load_prompt_set
from metamath_ray.training.model_card import made_with, write_card
from metamath_ray.training.pretraining import (
    PROMPT_SET,
    PretrainingConfig,
    Share,
    new_model,
    save_checkpoint,
    train_stage,
    train_tokenizer,
)
from metamath_ray.training.pretraining_evaluation import (
    Sampler,
    evaluate_all,
    evaluate_backward,
    evaluate_rewriting,
    evaluate_solving,
)
from metamath_ray.training.pretraining_tasks import rows, text_of

SHIPPED = ("base", "teacher")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoints base/ and teacher/")
    parser.add_argument("--stage", help="run this stage alone; it starts from the checkpoint of the stage before")
    parser.add_argument("--evaluate-only", action="store_true", help="measure the checkpoints on the test split")
    parser.add_argument("--num-problems", type=int, default=400, help="problems a measurement")
    parser.add_argument("--seed", type=int, default=1, help="selects the problems of --evaluate-only")
    options = parser.parse_args(arguments)
    config = PretrainingConfig.model_validate(yaml.safe_load(options.config.read_text(encoding="utf-8")))
    if options.evaluate_only:
        for name in [options.stage] if options.stage else SHIPPED:
            measure(options.output / name, options.num_problems, options.seed)
        return
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group()
    for stage in [options.stage] if options.stage else config.stages:
        start(stage, config, options.output).train()
    if dist.is_initialized():
        dist.destroy_process_group()


@dataclass(frozen=True)
class StageRun:
    """One stage under way."""

    stage: str
    config: PretrainingConfig
    output: Path
    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast

    def train(self) -> None:
        """Trains the stage, writing its checkpoint at every evaluation on the way."""
        settings = self.config.stages[self.stage]
        train_stage(self.model, self.tokenizer, settings, f"{self.config.seed}:{self.stage}", self.report)

    def report(self, step: int, figures: dict[str, Any]) -> None:
        """The first process measures and saves; the others wait."""
        if Share.mine().rank == 0:
            self._measure_and_save(step, figures)
        if dist.is_initialized():
            dist.barrier()

    def _measure_and_save(self, step: int, figures: dict[str, Any]) -> None:
        """Measures on the validation split, logs a line and replaces the checkpoint."""
        sampler = Sampler(self.model, self.tokenizer)
        measured = evaluate_solving(sampler, "validation", 96, seed=0)
        if "rephrase" in self.config.stages[self.stage].mixture:
            measured["backward"] = evaluate_backward(sampler, "validation", 48, seed=0)
            measured["rewriting"] = evaluate_rewriting(sampler, "validation", 48, seed=0)
        print(json.dumps({"stage": self.stage, "step": step, **figures, **measured}), flush=True)
        folder = self.output / self.stage
        _replace(
            folder, lambda fresh: save_checkpoint(self.model, self.tokenizer, fresh, self._manifest(step, figures))
        )

    def _manifest(self, step: int, figures: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": "generator",
            "prompt_set": PROMPT_SET,
            "prompt_set_hash": load_prompt_set(PROMPT_SET).hash,
            "parent": parent_of(self.stage, self.config),
            "data": {"source": "word_problems", "split": "train", "rows_seed": f"{self.config.seed}:{self.stage}"},
            "made_with": {**made_with(), "num_processes": Share.mine().num_processes},
            "training": {"step": step, "tokens": figures["tokens"], **self.config.model_dump()},
        }


def parent_of(stage: str, config: PretrainingConfig) -> str | None:
    """The stage before."""
    names = list(config.stages)
    index = names.index(stage)
    return names[index - 1] if index else None


def start(stage: str, config: PretrainingConfig, output: Path) -> StageRun:
    """The first stage starts from nothing, each other from the checkpoint of its parent in the output folder."""
    torch.manual_seed(config.seed)
    if parent := parent_of(stage, config):
        model, tokenizer = load(output / parent)
    else:
        tokenizer = _learn_tokenizer(config)
        model = new_model(config.model, tokenizer)
    model.to(_device())
    return StageRun(stage, config, output, model, tokenizer)


def load(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A checkpoint in float32, with its tokenizer."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def measure(folder: Path, num_problems: int, seed: int) -> dict[str, Any]:
    """Measures a checkpoint on the test split and writes ``evaluation.json`` and its card, README.md, into it."""
    torch.manual_seed(seed)
    model, tokenizer = load(folder)
    model.to(_device())
    results = evaluate_all(Sampler(model, tokenizer), "test", num_problems, seed)
    (folder / "evaluation.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    manifest = json.loads((folder / "metamath_ray.json").read_text(encoding="utf-8"))
    (folder / "README.md").write_text(write_card(folder.name, manifest, results), encoding="utf-8")
    print(json.dumps(results))
    return results


def _device() -> str:
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def _learn_tokenizer(config: PretrainingConfig) -> PreTrainedTokenizerFast:
    source = islice(rows(list(config.stages.values())[-1].mixture, f"{config.seed}:tokenizer"), config.tokenizer_rows)
    prompt_set = load_prompt_set(PROMPT_SET)
    texts = (text_of(row, prompt_set) for row in source)
    return train_tokenizer(config.model.vocab_size, texts, config.model.max_positions)


def _replace(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder beside the old one, then swaps them."""
    fresh, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    write(fresh)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    main()
