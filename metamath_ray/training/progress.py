"""What a stage tells while it trains: a line a step in metrics.jsonl, TensorBoard files, MLflow and W&B when asked."""

import importlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tensorboardX import SummaryWriter

from metamath_ray.errors import ConfigError
from metamath_ray.training.report import METRICS_FILE
from metamath_ray.training.steps import StepResult

BOARD = "tensorboard"
BOARD_FIGURES = (
    "loss", "solution", "pairwise", "pointwise", "grad_norm", "learning_rate", "tokens_per_second", "mfu",
)  # fmt: skip


class MetricsWriter:
    """Writes the figures of each step; a resumed stage continues the file at the step that it resumes at.

    Args:
        tokens_per_second_at_peak: The rate that would use all of the accelerators; None where that is not known.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start: int,
        num_steps: int,
        trackers: Sequence[str],
        tokens_per_second_at_peak: float | None = None,
    ) -> None:
        self._num_steps, self._at_peak = num_steps, tokens_per_second_at_peak
        self._file = folder / METRICS_FILE
        _keep_first(self._file, start)
        self._lines = self._file.open("a", encoding="utf-8", buffering=1)
        self._board = SummaryWriter(str(folder / BOARD), purge_step=start + 1, filename_suffix=f".{start}")
        self._trackers = [_Tracker(name, folder) for name in trackers]

    def write(self, step: int, result: StepResult, *, rate: float, seconds: float) -> None:
        """Write one step, counted from 1."""
        tokens_per_second = result.num_tokens / seconds
        figures = {
            **asdict(result),
            "learning_rate": rate,
            "seconds": round(seconds, 4),
            "tokens_per_second": round(tokens_per_second, 1),
            "mfu": round(tokens_per_second / self._at_peak, 4) if self._at_peak else None,
        }
        self._lines.write(json.dumps({"step": step, "num_steps": self._num_steps, **figures}) + "\n")
        for name in BOARD_FIGURES:
            if figures[name] is not None:
                self._board.add_scalar(name, figures[name], step)
        for tracker in self._trackers:
            tracker.log(figures, step)

    def flush(self) -> None:
        """Have everything in the files."""
        self._board.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lines.close()
        self._board.close()
        for tracker in self._trackers:
            tracker.finish()


def _keep_first(file: Path, num_steps: int) -> None:
    """Drop the lines after a step, which are about to be written again."""
    if not file.is_file():
        return
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if _step_of(line) in range(1, num_steps + 1)]
    fresh = file.with_suffix(".tmp")
    fresh.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    fresh.rename(file)


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except ValueError:  # the line that was being written when the worker died
        return 0


def run_id_file(tracker: str) -> str:
    """Return the name of the file that keeps a tracker's own name of the run."""
    return f"{tracker}_run_id"


class _Tracker:
    """MLflow or W&B, both of which take numbers by step; a resumed stage goes on with its run there."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._module = name, require_tracker(name)
        run_name, stored = f"{folder.parent.name}/{folder.name}", folder / run_id_file(name)
        run_id = stored.read_text(encoding="utf-8") if stored.is_file() else None
        if name == "mlflow":
            run_id = self._module.start_run(run_id=run_id, run_name=run_name).info.run_id
        else:
            run_id = run_id or uuid.uuid4().hex
            self._module.init(project="metamath-ray", name=run_name, dir=str(folder), id=run_id, resume="allow")
        stored.write_text(run_id, encoding="utf-8")

    def log(self, figures: dict[str, Any], step: int) -> None:
        """Log one step."""
        numbers = {key: value for key, value in figures.items() if value is not None}
        if self._name == "mlflow":
            self._module.log_metrics(numbers, step=step)
        else:
            self._module.log(numbers, step=step)

    def finish(self) -> None:
        """End the run there."""
        if self._name == "mlflow":
            self._module.end_run()
        else:
            self._module.finish()


def require_tracker(name: str) -> Any:  # noqa: ANN401  (a module)
    """Import a tracker.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"trackers: {name} is not installed; `pip install {name}`, or leave it out") from error
