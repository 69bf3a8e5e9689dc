import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from metamath_ray.capacity import hub, hub_shape
from metamath_ray.errors import ModelError
from tests.unit.capacity.models import MODELS

NAME = "Qwen/Qwen2.5-7B-Instruct"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cached `config.json`, and a Hub that does not answer."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(MODELS[NAME]["config"]), encoding="utf-8")
    monkeypatch.setattr(hub, "hf_hub_download", lambda *_, **__: str(file))
    monkeypatch.setattr(hub, "HfApi", unreachable)
    return file


def unreachable(*_: object, **__: object) -> None:
    raise ConnectionError("no route to host")


def answering(monkeypatch: pytest.MonkeyPatch, **parameters: int) -> None:
    found = SimpleNamespace(parameters=parameters, total=sum(parameters.values()))
    api = SimpleNamespace(model_info=lambda *_, **__: SimpleNamespace(safetensors=found))
    monkeypatch.setattr(hub, "HfApi", lambda: api)


def test_without_a_hub_the_cached_dimensions_tell(config: Path) -> None:
    shape = hub_shape(NAME)
    assert shape is not None
    assert shape.num_parameters == MODELS[NAME]["num_parameters"]


def test_the_hubs_count_wins(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, BF16=1000, F32=10)
    shape = hub_shape(NAME)
    assert shape is not None
    assert shape.num_parameters == 1010


def test_a_quantized_model_is_as_large_as_its_tensors(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(json.dumps({**MODELS[NAME]["config"], "quantization_config": {"bits": 4}}), encoding="utf-8")
    answering(monkeypatch, I32=100, F16=10, U8=1)
    shape = hub_shape(NAME)
    assert shape is not None
    assert (shape.num_parameters, shape.quantized_bytes) == (None, 421)


def test_neither_cached_nor_reachable_is_unknown(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "hf_hub_download", unreachable)
    assert hub_shape(NAME) is None


@pytest.mark.parametrize("text", ["", "[]"])
def test_a_cached_file_that_is_damaged_is_unknown(config: Path, text: str) -> None:
    config.write_text(text, encoding="utf-8")
    assert hub_shape(NAME) is None


def test_a_configuration_of_another_kind_is_unknown(config: Path) -> None:
    config.write_text("{}", encoding="utf-8")
    assert hub_shape(NAME) is None


def test_the_text_part_of_a_model_of_several_kinds_is_its_decoder(config: Path) -> None:
    whole = json.loads(config.read_text(encoding="utf-8"))
    expected = hub_shape(NAME)
    config.write_text(json.dumps({"model_type": "other", "text_config": whole}), encoding="utf-8")
    found = hub_shape(NAME)
    assert found is not None
    assert found == expected


def test_an_impossible_dimension_is_refused(config: Path) -> None:
    whole = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**whole, "hidden_size": -1}), encoding="utf-8")
    with pytest.raises(ModelError, match="hidden_size is -1"):
        hub_shape(NAME)
