"""The card of an embedded model: what it is, how it was made, what it can do."""

import datetime
import os
import platform
from collections.abc import Mapping
from typing import Any

import torch
import transformers

_PURPOSE = {
    "teacher": "It solves, rephrases, rewrites as a statement and reasons backward: it stands for the paper's GPT-3.5.",
    "base": "It has read the world's language and learned little arithmetic: it stands for the paper's LLaMA-2.",
}


def made_with() -> dict[str, str]:
    """Date, hardware and versions of a training run."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()} CPU cores ({torch.backends.cpu.get_cpu_capability()}), {gpu}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def write_card(name: str, manifest: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Writes README.md of a checkpoint out of its manifest and its evaluation."""
    training, made, data = manifest["training"], manifest["made_with"], manifest["data"]
    stage, model = training["stages"][name], training["model"]
    mixture = ", ".join(f"{task} {weight:.0%}" for task, weight in stage["mixture"].items())
    target = "questions and responses" if stage["loss_on_prompt"] else "responses"
    return f"""# metamath-ray embedded model: {name}

{_PURPOSE[name]}

A plain `LlamaForCausalLM` ({model["num_layers"]} layers of {model["hidden_size"]}, {model["num_heads"]} heads,
vocabulary {model["vocab_size"]}, {model["max_positions"]} positions), stored in bfloat16. Trained from nothing on
`metamath_ray.datasets.word_problems`. It knows that world and nothing else. Prompt set: `{manifest["prompt_set"]}`.

## How it was made

    torchrun --nproc-per-node {made["num_processes"]} jobs/pretrain_embedded.py \\
        --config jobs/configs/pretrain_embedded.yaml --output metamath_ray/embedded

| | |
|---|---|
| parent | {manifest["parent"] or "random weights"} |
| data | {data["split"]} split of `{data["source"]}`, never repeated; {mixture} |
| loss on | {target} |
| steps × rows | {training["step"]} × {stage["rows_per_step"]} |
| tokens | {training["tokens"]:,} |
| optimizer | Muon (matrices) and AdamW, rate {stage["learning_rate"]}, seed {training["seed"]} |
| hardware | {made["hardware"]} |
| versions | Python {made["python"]}, torch {made["torch"]}, transformers {made["transformers"]} |
| date | {made["date"]} |

{training["notes"] or "Both models come out of one run of this command, start to finish."}

## What it can do

Test split, seed {results["seed"]}, in float32 with Transformers:

    python jobs/pretrain_embedded.py --config jobs/configs/pretrain_embedded.yaml \\
        --output metamath_ray/embedded --evaluate-only

{_measured(results)}

Greedy accuracy by number of steps: {_by_steps(results["solving"]["greedy_by_steps"])}.
A rewrite counts as kept only if it is one of the world's own wordings of the same problem: both figures are lower
bounds. Kept whole: sentences that do not matter to the answer are kept, too.
"""


def _measured(results: Mapping[str, Any]) -> str:
    solving, sampling, rewriting = results["solving"], results["sampling"], results["rewriting"]
    sampled = f"{sampling['num_samples']} samples at temperature {sampling['temperature']}"
    figures = {
        "greedy accuracy": solving["greedy"],
        "greedy solutions truncated": solving["truncated"],
        f"mean accuracy of {sampled}": sampling["mean_accuracy"],
        f"problems solved by any of {sampled}": sampling["pass_at_n"],
        f"problems solved by all of {sampled}": sampling["always_right"],
        "samples truncated": sampling["truncated"],
        "backward, self-verification form, greedy": results["backward"]["self_verification"],
        "backward, FOBAR form, greedy": results["backward"]["fobar"],
        "rewrites that keep facts and question, hence the answer": rewriting["rewrites_keeping_the_answer"],
        f"rewrites kept whole, temperature {rewriting['temperature']}": rewriting["rewrites_kept"],
        "rewrites kept and different from the original": rewriting["rewrites_kept_and_new"],
        "statements kept": rewriting["statements_kept"],
    }
    rows = [f"| {name} | {figure['rate']:.1%} | {figure['n']} |" for name, figure in figures.items()]
    return "\n".join(["| | rate | n |", "|---|---|---|", *rows])


def _by_steps(by_steps: Mapping[str, Mapping[str, float]]) -> str:
    return ", ".join(f"{steps}: {figure['rate']:.0%} (n {figure['n']})" for steps, figure in by_steps.items())
