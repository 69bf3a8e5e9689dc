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

ZERO_2 = TrainersConfig(zero_stage=2)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_json({"a": 1}, tmp_path, "data.json")
    write_json({"b": [2]}, tmp_path, "data.json")
    assert read_json(tmp_path, "data.json") == {"b": [2]}
    assert [file.name for file in tmp_path.iterdir()] == ["data.json"]
    assert read_json(tmp_path, "other.json") is None


@pytest.mark.parametrize("now", [TrainersConfig(zero_stage=3), TrainersConfig(zero_stage=2, accelerator_type="H100")])
def test_checkpoints_of_another_layout_are_refused_in_one_line(now: TrainersConfig, tmp_path: Path) -> None:
    write_layout(tmp_path, ZERO_2)
    (tmp_path / CHECKPOINTS).mkdir()
    with pytest.raises(ConfigError, match=r"trainers.zero_stage 2 and precision float32; finish with that, or delete"):
        check_layout(tmp_path, now)
    (tmp_path / CHECKPOINTS).rmdir()
    check_layout(tmp_path, now)


def test_more_workers_or_other_batches_are_no_other_layout(tmp_path: Path) -> None:
    check_layout(tmp_path, ZERO_2)
    write_layout(tmp_path, ZERO_2)
    (tmp_path / CHECKPOINTS).mkdir()
    check_layout(tmp_path, TrainersConfig(zero_stage=2, num_workers=3, micro_batch_size=9, offload=True))


@pytest.mark.parametrize("error", [RunFailed("the loss is nan"), ModelError("no row"), ConfigError("lower it")])
def test_a_failure_comes_back_as_it_was_until_it_is_forgotten(error: MetamathRayError, tmp_path: Path) -> None:
    assert kept_failure(tmp_path) is None
    keep_failure(tmp_path, error)
    found = kept_failure(tmp_path)
    assert (type(found), str(found)) == (type(error), str(error))
    forget_failure(tmp_path)
    forget_failure(tmp_path)
    assert kept_failure(tmp_path) is None
