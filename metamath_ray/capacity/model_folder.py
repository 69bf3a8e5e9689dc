"""A local Hugging Face folder: whether all its files are there, and what its headers say of its size."""

import json
import math
from pathlib import Path
from typing import Any

from metamath_ray.capacity.model_shape import ModelShape, decoder_config, is_quantized, shape_from_config
from metamath_ray.errors import ModelError

INDEX_FILE = "model.safetensors.index.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""One of them holds the vocabulary."""
MAX_HEADER_BYTES = 100 * 2**20
"""The format's own limit."""


def check_complete(folder: Path) -> None:
    """Look at what a model folder must hold; a download that was cut off lacks some of it.

    Raises:
        ModelError: A file is missing, or is cut off.
    """
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        missing.append(f"one of {', '.join(TOKENIZER_FILES)}")
    if not missing:
        missing = _missing_weights(folder)
    if missing:
        raise ModelError(f"{folder}: incomplete: no {_listed(missing)}; copy or download the model again")
    for shard in _shards(folder):
        _require_whole(shard)


def _listed(missing: list[str]) -> str:
    rest = len(missing) - 3
    return ", ".join(missing[:3]) + (f" and {rest} more" if rest > 0 else "")


def _missing_weights(folder: Path) -> list[str]:
    shards = _shards(folder)
    if not shards and not any(folder.glob("*.bin")):
        return [f"model.safetensors or {INDEX_FILE}"]
    return [shard.name for shard in shards if not shard.is_file()]


def _shards(folder: Path) -> list[Path]:
    """Return the files that hold the weights: those that the index names, or else all."""
    if not (folder / INDEX_FILE).is_file():
        return sorted(folder.glob("*.safetensors"))
    shards = _read_json(folder / INDEX_FILE).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(shard, str) for shard in shards.values()):
        raise ModelError(f"{folder / INDEX_FILE}: no weight_map that names files; copy the model again")
    return [folder / Path(shard).name for shard in sorted(set(shards.values()))]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot be read ({error})") from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{file}: expected an object, got {type(loaded).__name__}")
    return loaded


def _header(shard: Path) -> tuple[dict[str, Any], int]:
    """Return what is at the head of a safetensors file, by tensor, and where the tensors begin."""
    with shard.open("rb") as source:
        length = int.from_bytes(source.read(8), "little")
        head = source.read(length) if length <= MAX_HEADER_BYTES else b""
    try:
        loaded = json.loads(head)
    except ValueError as error:
        raise ModelError(f"{shard}: no safetensors file, or cut off; copy or download the model again") from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{shard}: no safetensors file; copy or download the model again")
    return {name: entry for name, entry in loaded.items() if name != "__metadata__"}, 8 + length


def _require_whole(shard: Path) -> None:
    tensors, begin = _header(shard)
    end = begin + max((_entry(shard, entry)[1] for entry in tensors.values()), default=0)
    if (size := shard.stat().st_size) != end:
        raise ModelError(f"{shard}: {size:,} bytes, and its header says {end:,}; copy or download the model again")


def _entry(shard: Path, entry: object) -> tuple[int, int]:
    """Return a tensor's number of values and where its bytes end."""
    try:
        shape, (_, end) = entry["shape"], entry["data_offsets"]  # type: ignore[index]
        return math.prod(map(int, shape)), int(end)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{shard}: its header is damaged; copy or download the model again") from error


def read_shape(folder: Path) -> ModelShape | None:
    """Read a model's dimensions, and count its parameters in the headers of its weights.

    Returns:
        None where its configuration has dimensions of a kind that is not known here.

    Raises:
        ModelError: A file is missing or damaged.
    """
    config = decoder_config(_read_json(folder / "config.json"))
    if config is None:
        return None
    shards = _shards(folder)
    entries = [_entry(shard, entry) for shard in shards for entry in _header(shard)[0].values()]
    num_values = sum(count for count, _ in entries) or None
    return shape_from_config(
        config,
        name=str(folder),
        num_parameters=None if is_quantized(config) else num_values,
        stored_bytes=sum(shard.stat().st_size for shard in shards) or None,
    )
