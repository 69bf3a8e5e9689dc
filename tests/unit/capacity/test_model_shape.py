import pytest
from safetensors import safe_open

from metamath_ray.capacity import ModelShape, read_shape
from metamath_ray.capacity.model_shape import shape_from_config
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import ModelError
from tests.unit.capacity.models import MODELS, shape_of


@pytest.mark.parametrize("model", MODELS)
def test_parameters_counted_from_dimensions_are_those_of_the_model_card(model: str) -> None:
    assert shape_of(model).num_parameters == MODELS[model]["num_parameters"]


@pytest.mark.parametrize("name", ["base", "teacher", "verifier"])
def test_parameters_counted_from_dimensions_are_those_in_the_file(name: str) -> None:
    folder = checkpoint_path(name)  # type: ignore[arg-type]
    with safe_open(folder / "model.safetensors", framework="numpy") as weights:
        sizes = [weights.get_slice(tensor).get_shape() for tensor in weights.keys()]  # noqa: SIM118  (no mapping)
    in_file = sum(rows * (columns[0] if columns else 1) for rows, *columns in sizes)
    shape = read_shape(folder)
    assert shape is not None
    assert shape.num_parameters == in_file
    config = CONFIG_OF_EMBEDDED | {"num_hidden_layers": shape.num_layers}
    assert shape_from_config(config, name=name).num_parameters == in_file


CONFIG_OF_EMBEDDED = {
    "model_type": "llama",
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 1024,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}


def test_a_token_of_the_cache_holds_keys_and_values_of_all_layers() -> None:
    assert shape_of("Qwen/Qwen2.5-72B-Instruct").kv_token_bytes(2) == 2 * 80 * 8 * 128 * 2
    assert shape_of("Qwen/Qwen3-0.6B").kv_token_bytes(2) == 2 * 28 * 8 * 128 * 2  # its heads are wider than its width


def test_the_cache_keeps_no_more_than_the_window() -> None:
    mistral = shape_of("mistralai/Mistral-7B-v0.1")
    assert mistral.kv_bytes(32768, value_bytes=2) == mistral.kv_bytes(4096, value_bytes=2)
    assert shape_of("Qwen/Qwen2.5-Math-7B").window is None


def test_biases_of_attention_and_mlp_are_parameters() -> None:
    model = "meta-llama/Llama-3.1-8B-Instruct"
    plain, biased = shape_of(model), shape_of(model, attention_bias=True, mlp_bias=True)
    added = 32 * ((4096 + 1024 + 1024 + 4096) + (14336 + 14336 + 4096))
    assert (biased.num_parameters or 0) - (plain.num_parameters or 0) == added


def test_an_unknown_family_has_heads_but_no_size() -> None:
    shape = shape_of("Qwen/Qwen3-8B", model_type="moe_of_next_year")
    assert (shape.num_parameters, shape.num_kv_heads, shape.layer_matrices) == (None, 8, ())


def test_a_quantized_model_is_as_large_as_its_files() -> None:
    config = {**MODELS["Qwen/Qwen2.5-7B-Instruct"]["config"], "quantization_config": {"quant_method": "awq"}}
    shape = shape_from_config(config, name="awq", stored_bytes=5_600_000_000)
    assert (shape.num_parameters, shape.quantized_bytes) == (None, 5_600_000_000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"num_hidden_layers": "80"}, "num_hidden_layers is '80'; expected a positive whole number"),
        ({"num_key_value_heads": 0}, "num_key_value_heads is 0"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
        ({"head_dim": -1}, "head_dim is -1"),
        ({"num_attention_heads": 60}, "no multiple of num_attention_heads 60"),
        ({"vocab_size": 1.5}, "vocab_size is 1.5"),
        ({"intermediate_size": []}, "intermediate_size is "),
        ({"max_position_embeddings": None}, "max_position_embeddings is missing"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message.replace("(", r"\(")):
        shape_of("Qwen/Qwen2.5-72B-Instruct", **changes)


def test_heads_split_as_vllm_splits_them() -> None:
    qwen = shape_of("Qwen/Qwen2.5-7B-Instruct")  # 28 heads, 4 of keys and values
    assert [size for size in range(1, 33) if qwen.splits_over(size)] == [1, 2, 4, 28]
    assert isinstance(qwen, ModelShape)
