r"""Trains what the embedded verifier starts from: layers on the embedded teacher that read how likely it finds a text.

    torchrun --nproc-per-node 2 jobs/pretrain_verifier.py --config jobs/configs/pretrain_verifier.yaml \
        --output runs/likelihood_reader

Forty minutes on two CPU cores. Prints a line of figures at every evaluation, of problems kept apart. The rows of a step
are the same for any number of processes. A GPU is used when there is one.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import yaml
from transformers import AutoTokenizer, LlamaForCausalLM

from metamath_ray.config import FrozenConfig, SamplesConfig
from metamath_ray.embedded import EmbeddedName, checkpoint_path
from metamath_ray.prompts import VerifierRenderer, load_verifier_prompt
from metamath_ray.training.likelihood_reader import (
    LikelihoodReader,
    ReaderSettings,
    SolutionEncoder,
    drawn,
    train_reader,
)
from metamath_ray.training.losses import LabelTokens
from metamath_ray.training.model_card import made_with
from metamath_ray.training.pretraining import Share, save_checkpoint
from metamath_ray.training.quality import measure_verifier, score_samples
from metamath_ray.training.stage_data import SampleSet, held_out_samples

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHOWN = ("auc", "within_problem_auc")


class VerifierPretraining(FrozenConfig):
    """Everything that decides the checkpoint."""

    seed: int = 0
    generator: EmbeddedName
    num_added_layers: int
    verifier_prompt: str
    samples: SamplesConfig
    stages: dict[str, ReaderSettings]
    """In order; each starts from the checkpoint of the one before."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--stage", help="run this stage alone; it starts from the checkpoint in the output folder")
    options = parser.parse_args(arguments)
    config = VerifierPretraining.model_validate(yaml.safe_load(options.config.read_text(encoding="utf-8")))
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group()
    for stage in [options.stage] if options.stage else config.stages:
        pretrain(config, stage, options.output)
    if dist.is_initialized():
        dist.destroy_process_group()


def pretrain(config: VerifierPretraining, stage: str, output: Path) -> None:
    """Train one stage; measure and save on the way."""
    torch.manual_seed(config.seed)
    folder, tables = checkpoint_path(config.generator), config.samples.path or ()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    renderer = VerifierRenderer(load_verifier_prompt(config.verifier_prompt), tokenizer)
    generator = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    reader = LikelihoodReader(generator, config.num_added_layers, LabelTokens(*renderer.label_token_ids))
    if stage != next(iter(config.stages)):
        reader.model.load_state_dict(LlamaForCausalLM.from_pretrained(output, dtype=torch.float32).state_dict())
    learned = SampleSet(tables, config.samples, seed=config.seed, with_pairs=False)
    held_out = held_out_samples(tables, config.samples, seed=config.seed)

    def report(step: int, figures: dict[str, Any]) -> None:
        if Share.mine().rank == 0:
            manifest = {"parent": f"embedded:{config.generator}", "made_with": made_with(), **config.model_dump()}
            save_checkpoint(reader.model, tokenizer, output, {**manifest, "stage": stage, "step": step, **figures})
            found = measure_verifier(held_out, score_samples(str(output), held_out, renderer=renderer, device=DEVICE))
            shown = {name: round(found[name], 4) for name in SHOWN}
            print(json.dumps({"stage": stage, "step": step, **figures, **shown}), flush=True)
        if dist.is_initialized():
            dist.barrier()

    encoder, settings = SolutionEncoder(renderer, tokenizer.pad_token_id), config.stages[stage]
    examples = list(learned.examples(with_singles=True))
    source = drawn(examples, encoder, settings.altered_share, str(config.seed))
    train_reader(reader.to(DEVICE), encoder, source, settings, report)


if __name__ == "__main__":
    main()
