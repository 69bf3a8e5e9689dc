import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from metamath_ray.capacity import NodeGroup
from metamath_ray.config import BootstrapConfig, PlanCommand, ServeEngineConfig
from metamath_ray.distributed import preflight
from metamath_ray.distributed.machines import node_versions, present_groups
from metamath_ray.distributed.preflight import check, check_fits, require_writable
from metamath_ray.distributed.trial import Estimate, KindEstimate, gpu_plan
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import ConfigError, ModelError, RunFailed
from metamath_ray.storage import RunDirectory
from metamath_ray.terminal import estimate_lines
from metamath_ray.types import Augmentation
from tests.unit.capacity.models import shape_of

PROBLEMS = {"format": "word_problems", "limit": 1}


class Watcher:
    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, name: str) -> None:
        del name

    def notice(self, line: str) -> None:
        self.said.append(line)

    def progress(self, counts: object, total: int) -> None:
        raise AssertionError


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub that knows one model."""
    monkeypatch.setattr(preflight, "hub_shape", lambda name: shape_of(name) if name.startswith("Qwen/") else None)


def config_of(**engine: Any) -> BootstrapConfig:  # noqa: ANN401
    return BootstrapConfig.model_validate({"source": PROBLEMS, "engine": {"kind": "serve", **engine}})


def test_the_embedded_model_passes_and_nothing_is_said() -> None:
    watcher = Watcher()
    check(config_of(), observer=watcher)
    assert watcher.said == []


def test_a_model_that_lacks_a_file_is_refused_before_anything_starts(tmp_path: Path) -> None:
    shutil.copytree(checkpoint_path("teacher"), tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="incomplete: no model"):
        check(config_of(model=str(tmp_path / "model")))


def test_a_split_that_its_heads_forbid_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="3 attention heads"):
        check(config_of(tensor_parallel_size=2))


@pytest.mark.usefixtures("hub")
def test_a_model_of_the_hub_is_measured_by_its_metadata() -> None:
    engine = ServeEngineConfig(model="Qwen/Qwen2.5-72B-Instruct", accelerator_type="H100", max_model_len=4096)
    with pytest.raises(ConfigError, match=r"set verifier\.tensor_parallel_size to 2"):
        check_fits(engine, model_path=engine.model, observer=Watcher(), name="verifier")


@pytest.mark.usefixtures("hub")
def test_what_could_not_be_checked_is_said_in_one_line() -> None:
    watcher, engine = Watcher(), ServeEngineConfig(model="a/b", accelerator_type="H100")
    check_fits(engine, model_path=engine.model, observer=watcher)
    assert watcher.said == ["not checked: whether a/b fits (its config.json is neither here nor to be had)"]


@pytest.mark.usefixtures("hub")
def test_a_model_that_runs_already_needs_no_room() -> None:
    watcher = Watcher()
    engine = ServeEngineConfig(model="Qwen/Qwen2.5-72B-Instruct", accelerator_type="T4", attach="llm")
    check_fits(engine, model_path=engine.model, observer=watcher)
    assert watcher.said == []


def test_a_probe_leaves_nothing_in_a_folder(tmp_path: Path) -> None:
    require_writable(RunDirectory(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_nodes_that_are_there_are_groups_of_one() -> None:
    resources = {"CPU": 8.0, "GPU": 1.0, "accelerator_type:L4": 1.0}
    node = {"NodeManagerAddress": "10.0.0.1", "Resources": resources, "Alive": True, "NodeID": "a"}
    assert present_groups([node]) == [NodeGroup(name="10.0.0.1", resources=resources, most=1)]


def test_living_nodes_are_asked_for_their_versions_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"NodeManagerAddress": f"10.0.0.{number}", "NodeID": str(number), "Alive": number != 2, "Resources": {}}
        for number in range(4)
    ]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    asked: list[list[str]] = []

    def ask(node_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        asked.append(list(node_ids))
        return {node_id: {"ray": f"2.6{node_id}"} for node_id in node_ids if node_id != "1"}

    assert node_versions(ask) == {"10.0.0.0": {"ray": "2.60"}, "10.0.0.3": {"ray": "2.63"}}
    assert asked == [["0", "1", "3"]]


def test_a_node_alone_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"NodeManagerAddress": "127.0.0.1", "NodeID": "a", "Alive": True, "Resources": {}}
    monkeypatch.setattr("ray.nodes", lambda: [node])
    assert node_versions(lambda _: pytest.fail("there is nothing to compare")) == {}


def estimate(*, tokens_per_second: float, num_gpus: int) -> Estimate:
    kind = KindEstimate(
        num_items=10, num_sampled=2, num_requests=10, num_prompt_tokens=1e6, num_completion_tokens=36_000_000
    )
    found = Estimate(tokens_per_second=tokens_per_second, num_gpus=num_gpus)
    found.by_augmentation[Augmentation.ANSWER_AUGMENTATION] = kind
    return found


def plan_command(**settings: Any) -> PlanCommand:  # noqa: ANN401
    return PlanCommand.model_validate({"source": PROBLEMS, **settings})


ON_H100 = {"kind": "serve", "accelerator_type": "H100", "model": "a/b"}


def test_a_plan_for_other_gpus_takes_the_speed_that_the_user_gives() -> None:
    measured = estimate(tokens_per_second=50, num_gpus=0)
    command = plan_command(gpu="Z9", num_gpus=4, tokens_per_second=1000, price_per_gpu_hour=2)
    measured.on_gpus = gpu_plan(command, measured, {})
    here, there, money = estimate_lines(measured)
    assert here.startswith("here: about 200.00 hours at the 50 completion tokens/s that the sample made here")
    assert there.startswith("on 4 × Z9: about 2.50 hours, 10.0 GPU-hours")
    assert "(given by --tokens-per-second, not measured here)" in there
    assert money == "about 20.00 at 2 a GPU-hour (price_per_gpu_hour)"


def test_a_plan_for_more_of_the_same_gpus_takes_the_speed_of_the_sample() -> None:
    found = gpu_plan(
        plan_command(gpu="H100", num_gpus=8, engine=ON_H100), estimate(tokens_per_second=4000, num_gpus=4), {}
    )
    assert found is not None
    assert (found.tokens_per_second, found.hours, found.money) == (1000, 1.25, None)
    assert "measured on the sample here, on 4 × H100" in found.speed_source


def test_a_sample_without_a_token_has_no_speed() -> None:
    with pytest.raises(RunFailed, match="made no tokens"):
        gpu_plan(plan_command(gpu="H100", engine=ON_H100), estimate(tokens_per_second=0, num_gpus=1), {})


def test_a_plan_without_gpus_to_price_prices_none() -> None:
    assert gpu_plan(plan_command(), estimate(tokens_per_second=1, num_gpus=0), {}) is None
