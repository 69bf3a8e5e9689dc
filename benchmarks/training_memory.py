"""Peak memory of a training worker: ZeRO-0 against ZeRO-3 with offload, and few rows against many.

Each line is a real run of two Ray Train workers on a CPU, of a Llama with random weights; the peak is the largest
resident set that the kernel noted for a worker (VmHWM), less that of the same run with a model of almost no weights.
Prints a table and, as its last line, one JSON object. A GPU's memory behaves differently: there, offload moves it away.

    python benchmarks/training_memory.py [--quick]
"""

import argparse
import json
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from metamath_ray.config import FinetuneConfig
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.finetune import finetune
from metamath_ray.embedded import checkpoint_path
from metamath_ray.storage.manifest import hardware, versions

NUM_WORKERS = 2
MIB = 2**20
NUM_STEPS = 4


@dataclass
class PeakWatcher(threading.Thread):
    """Notes the largest resident set of each process with a title, while it lives."""

    title: str
    peaks: dict[int, int] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Look ten times a second."""
        while not self._ended.wait(0.1):
            for process in psutil.Process().children(recursive=True):
                try:
                    if self.title in " ".join(process.cmdline()):
                        self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), high_water(process.pid))
                except (psutil.Error, OSError):
                    continue

    def stop(self) -> int:
        """Return the largest peak in bytes."""
        self._ended.set()
        self.join()
        return max(self.peaks.values())


def high_water(pid: int) -> int:
    """Return the kernel's note of a process's largest resident set, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def random_model(folder: Path, *, hidden: int, layers: int) -> tuple[str, int]:
    """Write a Llama with the embedded tokenizer; return its folder and its number of weights."""
    base = checkpoint_path("base")
    config = LlamaConfig.from_pretrained(base)
    config.update({"hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": 4 * hidden})
    config.update({"num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": hidden // 8})
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return str(folder), sum(parameter.numel() for parameter in model.parameters())


def peak(model: str, folder: Path, *, num_rows: int = 64, **trainers: Any) -> int:  # noqa: ANN401
    """Train for a few steps; return a worker's peak in bytes."""
    solutions = {"problems": {"format": "word_problems", "split": "train", "limit": num_rows, "seed": 3}}
    config = FinetuneConfig.model_validate(
        {
            "model": model,
            "run_directory": str(folder),
            "stages": {"generator": {"solutions": solutions, "max_steps": NUM_STEPS, "global_batch_size": 8}},
            "trainers": {"num_workers": NUM_WORKERS, "micro_batch_size": 4, **trainers},
        }
    )
    watcher = PeakWatcher("ray::RayTrainWorker")
    watcher.start()
    finetune(config)
    return watcher.stop()


def measure(scratch: Path, *, quick: bool) -> dict[str, Any]:
    """Run all lines."""
    small, _ = random_model(scratch / "small", hidden=16, layers=1)
    large, num_weights = random_model(scratch / "large", hidden=512, layers=4 if quick else 16)
    many = 2_000 if quick else 50_000
    idle = peak(small, scratch / "idle")
    lines = {
        "ZeRO-0": peak(large, scratch / "zero_0", zero_stage=0) - idle,
        "ZeRO-2": peak(large, scratch / "zero_2", zero_stage=2) - idle,
        "ZeRO-3 + offload": peak(large, scratch / "zero_3", zero_stage=3, offload=True) - idle,
        f"ZeRO-2, {many:,} rows instead of 64": peak(large, scratch / "rows", zero_stage=2, num_rows=many) - idle,
    }
    table = Table(
        title=f"{num_weights / 1e6:.0f}M weights in float32, {NUM_WORKERS} workers", title_justify="left", box=None
    )
    for column in ("", "peak of a worker, MiB", "bytes a weight"):
        table.add_column(column, justify="left" if not column else "right")
    for name, found in lines.items():
        table.add_row(name, f"{found / MIB:,.0f}", f"{found / num_weights:.1f}")
    Console().print(table)
    figures = {
        name: {"mib": round(found / MIB), "bytes_a_weight": round(found / num_weights, 2)}
        for name, found in lines.items()
    }
    return {"num_weights": num_weights, "idle_mib": round(idle / MIB), "peaks": figures}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller model and fewer rows")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as scratch:
        config = FinetuneConfig.model_validate({"stages": {"s": {"solutions": {"rows": "-"}}}})
        with connected(config.ray, num_cpus=8, logs=None):
            figures = measure(Path(scratch), quick=quick)
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


if __name__ == "__main__":
    main()
