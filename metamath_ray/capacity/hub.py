"""The size of a model that is on the Hugging Face Hub and not in a local folder: its metadata alone is asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download

from metamath_ray.capacity.model_shape import ModelShape, decoder_config, is_quantized, shape_from_config

TIMEOUT_SECONDS = 10
"""A Hub that does not answer must not hold a run up."""

VALUE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2}
"""By the names of the safetensors format; all others are bytes."""


def hub_shape(name: str) -> ModelShape | None:
    """Return the dimensions of a model on the Hub; None where they are not to be had now, or not known here.

    Raises:
        ModelError: A dimension is no positive whole number.
    """
    config = decoder_config(_config(name) or {})
    return None if config is None else shape_from_config(config, name=name, **_weights(name, config))


def _config(name: str) -> dict[str, Any] | None:
    try:
        file = hf_hub_download(name, "config.json", etag_timeout=TIMEOUT_SECONDS)
        loaded = json.loads(Path(file).read_text(encoding="utf-8"))
    except Exception:  # the client raises what its own HTTP library does, too; the caller says "not checked"
        return None
    return loaded if isinstance(loaded, dict) else None


def _weights(name: str, config: Mapping[str, Any]) -> dict[str, int]:
    """Return what the Hub says of the weights; nothing where it cannot be asked, and then the dimensions tell."""
    try:
        found = HfApi().model_info(name, expand=["safetensors"], timeout=TIMEOUT_SECONDS).safetensors
    except Exception:  # as above
        return {}
    if found is None:
        return {}
    if is_quantized(config):
        return {"stored_bytes": sum(count * VALUE_BYTES.get(kind, 1) for kind, count in found.parameters.items())}
    return {"num_parameters": found.total}
