"""From a Hugging Face `config.json` to sizes: parameters, heads, bytes of a token in the key-value cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metamath_ray.errors import ModelError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""`model_type` of the decoders whose parameters are counted from their dimensions."""

DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The dimensions of a decoder.

    Attributes:
        head_size: Numbers of one key, or one value, of one head.
        context_length: Longest sequence in tokens.
        window: Tokens that attention looks back, and so the cache keeps; None for all.
        dtype: Number format of the stored weights.
        num_parameters: None where neither files nor dimensions tell, and of a quantized model.
        quantized_bytes: Weights of a quantized model in bytes, as stored; None for plain weights.
        layer_matrices: (inputs, outputs) of a layer's matrices, attention first; what LoRA adds to.
    """

    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    context_length: int
    window: int | None
    dtype: str
    num_parameters: int | None
    quantized_bytes: int | None = None
    layer_matrices: tuple[tuple[int, int], ...] = ()

    def kv_bytes(self, num_tokens: int, *, value_bytes: int) -> int:
        """Return the bytes of one sequence in the cache: keys and values of all layers and heads."""
        kept = min(num_tokens, self.window) if self.window else num_tokens
        return self.kv_token_bytes(value_bytes) * kept

    def kv_token_bytes(self, value_bytes: int) -> int:
        """Return the bytes of one token in the cache."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size * value_bytes

    def splits_over(self, num_gpus: int) -> bool:
        """Whether vLLM 0.29 can split the heads: query heads evenly, key-value heads evenly or copied evenly."""
        most, least = max(self.num_kv_heads, num_gpus), min(self.num_kv_heads, num_gpus)
        return self.num_heads % num_gpus == 0 and most % least == 0


def shape_from_config(
    config: Mapping[str, Any], *, name: str, num_parameters: int | None = None, stored_bytes: int | None = None
) -> ModelShape:
    """Read the dimensions of a decoder.

    Args:
        config: Content of `config.json`.
        name: What the model is called in errors.
        num_parameters: What the files say; counted from the dimensions of a known family otherwise.
        stored_bytes: Size of the weights' files.

    Raises:
        ModelError: A dimension is missing, or is no positive whole number.
    """
    heads, hidden = _size(config, "num_attention_heads", name), _size(config, "hidden_size", name)
    if not config.get("head_dim") and hidden % heads:
        raise ModelError(f"{name}: config.json: hidden_size {hidden} is no multiple of num_attention_heads {heads}")
    kv_heads = _size(config, "num_key_value_heads", name) if config.get("num_key_value_heads") is not None else heads
    head_size = _size(config, "head_dim", name) if config.get("head_dim") is not None else hidden // heads
    is_known = config.get("model_type") in FAMILIES
    matrices = _layer_matrices(config, name, heads, kv_heads, head_size) if is_known else ()
    if num_parameters is None and is_known and not is_quantized(config):
        num_parameters = _count(config, name, matrices)
    return ModelShape(
        num_layers=_size(config, "num_hidden_layers", name),
        hidden_size=hidden,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_size=head_size,
        context_length=_size(config, "max_position_embeddings", name),
        window=_window(config),
        dtype=_dtype(config),
        num_parameters=num_parameters,
        quantized_bytes=stored_bytes if is_quantized(config) else None,
        layer_matrices=matrices,
    )


_DIMENSIONS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "max_position_embeddings")


def decoder_config(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part of a `config.json` that describes a decoder; None where none of its forms is known here."""
    found = {**config, **config["text_config"]} if isinstance(config.get("text_config"), Mapping) else config
    return found if all(found.get(name) is not None for name in _DIMENSIONS) else None


def is_quantized(config: Mapping[str, Any]) -> bool:
    """Whether the weights are stored in fewer bits than their number format says."""
    return bool(config.get("quantization_config"))


def _size(config: Mapping[str, Any], field: str, name: str) -> int:
    value = config.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        said = "is missing" if value is None else f"is {value!r}"
        raise ModelError(f"{name}: config.json: {field} {said}; expected a positive whole number")
    return value


def _window(config: Mapping[str, Any]) -> int | None:
    """Return the window of all layers; models that name one and do not use it, or not everywhere, have none."""
    window = config.get("sliding_window")
    is_everywhere = config.get("use_sliding_window", True) and not config.get("layer_types")
    return window if isinstance(window, int) and window > 0 and is_everywhere else None


def _dtype(config: Mapping[str, Any]) -> str:
    found = config.get("dtype") or config.get("torch_dtype")
    return found if found in DTYPE_BYTES else "float32"


def _layer_matrices(
    config: Mapping[str, Any], name: str, heads: int, kv_heads: int, head_size: int
) -> tuple[tuple[int, int], ...]:
    hidden, inner = _size(config, "hidden_size", name), _size(config, "intermediate_size", name)
    queries, keys = heads * head_size, kv_heads * head_size
    attention = ((hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden))
    return (*attention, (hidden, inner), (hidden, inner), (inner, hidden))


def _count(config: Mapping[str, Any], name: str, matrices: tuple[tuple[int, int], ...]) -> int:
    """Count the parameters of a Llama, Mistral, Qwen2 or Qwen3."""
    hidden, kind = _size(config, "hidden_size", name), config["model_type"]
    layer = sum(inputs * outputs for inputs, outputs in matrices) + 2 * hidden  # two norms
    if kind == "qwen2" or config.get("attention_bias"):
        num_biased = 3 if kind == "qwen2" else 4
        layer += sum(outputs for _, outputs in matrices[:num_biased])
    if config.get("mlp_bias"):
        layer += sum(outputs for _, outputs in matrices[4:])
    if kind == "qwen3":
        layer += 2 * (matrices[0][1] // _size(config, "num_attention_heads", name))  # norms of queries and keys
    num_tables = 1 if config.get("tie_word_embeddings") else 2
    tables = num_tables * _size(config, "vocab_size", name) * hidden
    return tables + _size(config, "num_hidden_layers", name) * layer + hidden
