import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from metamath_ray.capacity import check_complete, read_shape
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import ModelError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint_path("base"), folder)
    return folder


@pytest.fixture
def sharded(model: Path) -> Path:
    """The same folder with its weights in two files and an index."""
    (model / "model.safetensors").unlink()
    names = {f"weight{number}": f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    for tensor, file in names.items():
        save_file({tensor: np.zeros((3, 4), dtype=np.float16)}, model / file)
    index = {"metadata": {"total_size": 48}, "weight_map": names}
    (model / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return model


@pytest.mark.parametrize("name", ["base", "teacher", "verifier"])
def test_the_embedded_models_are_complete(name: str) -> None:
    check_complete(checkpoint_path(name))  # type: ignore[arg-type]


def test_a_model_in_several_files_is_complete_and_counted(sharded: Path) -> None:
    check_complete(sharded)
    shape = read_shape(sharded)
    assert shape is not None
    assert shape.num_parameters == 24


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def stop_after_header_length(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:8])


SPOILT: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no configuration": ("config.json", Path.unlink, "no config.json"),
    "no tokenizer": ("tokenizer.json", Path.unlink, "no one of tokenizer.json, tokenizer.model, vocab.json"),
    "no weights": ("model.safetensors", Path.unlink, "no model.safetensors or model.safetensors.index.json"),
    "a download cut off": ("model.safetensors", cut_off, "its header says"),
    "a download cut off at once": ("model.safetensors", stop_after_header_length, "cut off"),
    "an empty file": ("model.safetensors", lambda file: file.write_bytes(b""), "cut off"),
    "a page instead of weights": (
        "model.safetensors",
        lambda file: file.write_text("<html>404</html>"),
        "no safetensors file",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_folder_that_lacks_something_is_refused_in_one_line(model: Path, case: str) -> None:
    name, spoil, message = SPOILT[case]
    spoil(model / name)
    with pytest.raises(ModelError, match=message) as caught:
        check_complete(model)
    assert "\n" not in str(caught.value)


def test_a_file_that_the_index_names_must_be_there(sharded: Path) -> None:
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model-00002-of-00002\.safetensors; copy or download"):
        check_complete(sharded)


def test_of_many_missing_files_three_are_named(sharded: Path) -> None:
    names = {str(number): f"model-{number}.safetensors" for number in range(9)}
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"model-2\.safetensors and 6 more"):
        check_complete(sharded)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', '{"weight_map": 7}']
)
def test_an_index_that_names_no_files_is_refused(sharded: Path, text: str) -> None:
    (sharded / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"index\.json"):
        check_complete(sharded)


def test_an_index_names_no_file_outside_its_folder(sharded: Path) -> None:
    index = {"weight_map": {"a": "../../etc/model.safetensors"}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelError, match=r"no model\.safetensors;"):
        check_complete(sharded)


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"shape": [2], "data_offsets": [0]}},
        {"w": {"shape": "x", "data_offsets": [0, 4]}},
        {"w": {"data_offsets": [0, 4]}},
        {"w": 7},
    ],
)
def test_a_damaged_header_is_refused(model: Path, header: dict[str, object]) -> None:
    text = json.dumps(header).encode()
    (model / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 4)
    with pytest.raises(ModelError, match="header is damaged"):
        check_complete(model)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_configuration_that_is_no_object_is_refused(model: Path, text: str) -> None:
    (model / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"config\.json"):
        read_shape(model)
