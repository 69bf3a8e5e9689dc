from pathlib import Path

import pytest

from metamath_ray.config import TrainersConfig
from metamath_ray.distributed.stage_files import (
    CHECKPOINTS,
    check_layout,
    forget_failure,
    keep_failure,
    kept_failure,
    read_json,
    write_json,
    write_layout,
)
from metamath_ray.errors import ConfigError, MetamathRayError, ModelError, RunFailed
from metamath_ray.storage import RunDirectory


@pytest.fixture
def folder(tmp_path: Path) -> RunDirectory:
    return RunDirectory(str(tmp_path))


def local(folder: RunDirectory) -> Path:
    assert folder.local_path
    return folder.local_path


ZERO_2 = TrainersConfig(zero_stage=2)


def test_a_file_is_replaced_whole(folder: RunDirectory) -> None:
    write_json({"a": 1}, folder, "data.json")
    write_json({"b": [2]}, folder, "data.json")
    assert read_json(folder, "data.json") == {"b": [2]}
    assert [file.name for file in local(folder).iterdir()] == ["data.json"]
    assert read_json(folder, "other.json") is None


@pytest.mark.parametrize("now", [TrainersConfig(zero_stage=3), TrainersConfig(zero_stage=2, accelerator_type="H100")])
def test_checkpoints_of_another_layout_are_refused_in_one_line(now: TrainersConfig, folder: RunDirectory) -> None:
    write_layout(folder, ZERO_2)
    (local(folder) / CHECKPOINTS).mkdir()
    with pytest.raises(ConfigError, match=r"trainers.zero_stage 2 and precision float32; finish with that, or delete"):
        check_layout(folder, now)
    (local(folder) / CHECKPOINTS).rmdir()
    check_layout(folder, now)


def test_more_workers_or_other_batches_are_no_other_layout(folder: RunDirectory) -> None:
    check_layout(folder, ZERO_2)
    write_layout(folder, ZERO_2)
    (local(folder) / CHECKPOINTS).mkdir()
    check_layout(folder, TrainersConfig(zero_stage=2, num_workers=3, micro_batch_size=9, offload=True))


@pytest.mark.parametrize("error", [RunFailed("the loss is nan"), ModelError("no row"), ConfigError("lower it")])
def test_a_failure_comes_back_as_it_was_until_it_is_forgotten(error: MetamathRayError, folder: RunDirectory) -> None:
    assert kept_failure(folder) is None
    keep_failure(folder, error)
    found = kept_failure(folder)
    assert (type(found), str(found)) == (type(error), str(error))
    forget_failure(folder)
    forget_failure(folder)
    assert kept_failure(folder) is None
