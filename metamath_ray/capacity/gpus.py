"""What memory a GPU has, by the name that Ray gives it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metamath_ray.config import read_yaml
from metamath_ray.errors import ConfigError

TABLE_PATH = Path(__file__).with_name("gpus.yaml")
GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuType:
    """A kind of GPU.

    Attributes:
        name: Ray's `accelerator_type`.
        memory_gib: What one GPU has, in GiB.
    """

    name: str
    memory_gib: float


def load_gpus(path: str | None = None) -> dict[str, GpuType]:
    """Read the packaged table, and over it a file of the user's own: `NAME: GiB`, a line a type.

    Raises:
        ConfigError: The file is missing or malformed.
    """
    files = [TABLE_PATH, *([Path(path).expanduser()] if path else [])]
    return {
        name: GpuType(name=name, memory_gib=_gib(file, name, value))
        for file in files
        for name, value in read_yaml(file).items()
    }


def _gib(file: Path, name: object, value: Any) -> float:  # noqa: ANN401  (whatever YAML holds)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ConfigError(f"{file}: {name}: expected the memory of one GPU in GiB, got {value!r}")
    return float(value)
