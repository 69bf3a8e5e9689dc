"""A loop of four steps, and commands that leave what theirs would and are told when to fail."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from metamath_ray.config.loop import COMMANDS, LoopConfig, StepCommand, parse_settings
from metamath_ray.loop import LoopReport, run_loop
from metamath_ray.loop.records import StepRecord
from metamath_ray.storage import Manifest, RunDirectory

STEPS: dict[str, Any] = {
    "bootstrap": {"command": "bootstrap", "source": {"format": "word_problems", "limit": 3}},
    "dataset": {"command": "export", "run_directory": "@bootstrap"},
    "generator": {
        "command": "finetune",
        "model": "embedded:base",
        "stages": {"generator": {"solutions": {"rows": "@bootstrap"}}},
    },
    "test": {
        "command": "sample",
        "problems": {"format": "word_problems", "split": "test", "limit": 3},
        "engine": {"model": "@generator/generator/model"},
    },
}
JUDGED: dict[str, Any] = {
    **STEPS,
    "verifier": {
        "command": "finetune",
        "stages": {"verifier": {"samples": {"path": "@rounds/test/samples.parquet"}}},
    },
}
"""With a verifier that learns from the samples of all rounds."""
PREVIOUS = {"bootstrap": {"engine": {"model": "@previous/generator/generator/model"}}}


def loop_config(folder: Path, *, steps: dict[str, Any] | None = None, **changes: Any) -> LoopConfig:  # noqa: ANN401
    settings = {"run_directory": str(folder / "loop"), "steps": steps if steps is not None else STEPS}
    return LoopConfig.model_validate({**settings, **changes})


def with_step(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """The four steps, one of them changed."""
    return {**STEPS, name: {**STEPS[name], **changes}}


class Commands:
    """Stands for the processes: writes each command's product, and fails or ends at its budget where it is told to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.settings: list[dict[str, Any]] = []
        self.fails: dict[str, int] = {}
        self.budgets: dict[str, str] = {}
        self.told: list[str] = []

    def run_step(self, arguments: Sequence[str]) -> int:
        command, option, file = arguments
        assert option == "--config"
        settings = yaml.safe_load(Path(file).read_text("utf-8"))
        form = COMMANDS[_command(command)]
        parse_settings(_command(command), settings)
        folder = Path(settings[form.folder])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "begun").touch()
        self.ran.append(Path(file).relative_to(_loop_folder(Path(file)) / "steps").with_suffix("").as_posix())
        self.settings.append(settings)
        if code := self.fails.get(self.ran[-1], 0):
            return code
        product = folder / form.product
        product.parent.mkdir(parents=True, exist_ok=True)
        product.write_text(str(len(self.ran)), encoding="utf-8")
        if _command(command) in ("bootstrap", "sample"):
            manifest = Manifest(content={}, configuration={})
            manifest.note_budget(self.budgets.get(self.ran[-1], ""))
            RunDirectory(str(folder)).write_manifest(manifest)
        return 0

    def loop(self, config: LoopConfig, **options: Any) -> LoopReport:  # noqa: ANN401
        """Run a loop; what ran and was said before is forgotten."""
        self.ran, self.settings, self.told = [], [], []
        return run_loop(config, run_step=self.run_step, tell=self.told.append, **options)


def _command(name: str) -> StepCommand:
    return next(command for command in COMMANDS if command == name)


def _loop_folder(file: Path) -> Path:
    return next(folder for folder in file.parents if (folder / "loop.yaml").is_file())


def states(report: LoopReport) -> dict[str, str]:
    return {step.label: str(step.state) for step in report.steps}


def record(config: LoopConfig, label: str) -> StepRecord:
    found = StepRecord.read(RunDirectory(config.run_directory), label)
    assert found is not None
    return found


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
