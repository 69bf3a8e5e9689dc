from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.capacity import (
    Bundle,
    NodeGroup,
    check_nodes,
    engine_bundles,
    launcher_groups,
    trainer_bundles,
)
from metamath_ray.config import ServeEngineConfig, TrainersConfig
from metamath_ray.errors import ConfigError

ROOT = Path(__file__).parents[3]
AWS, GCP = (yaml.safe_load((ROOT / file).read_text("utf-8")) for file in ("cluster.yaml", "deploy/gcp.yaml"))


def engine(kind: str, **settings: Any) -> list[Bundle]:  # noqa: ANN401
    return engine_bundles(ServeEngineConfig(accelerator_type=kind, **settings))


@pytest.mark.parametrize(
    "bundles",
    [
        engine("A10G", num_replicas=16),
        engine("H100", num_replicas=4, tensor_parallel_size=8),
        trainer_bundles(TrainersConfig(num_workers=32, accelerator_type="H100", cpus_per_worker=24)),
        trainer_bundles(TrainersConfig(num_workers=64, min_workers=8, accelerator_type="H100")),
        engine_bundles(ServeEngineConfig(num_replicas=500)),
        engine("B200", attach="llm"),
        [Bundle(name="workers", count=256, cpus=1)],
    ],
)
def test_what_the_cluster_file_allows_is_let_through(bundles: list[Bundle]) -> None:
    check_nodes(bundles, launcher_groups(AWS))


@pytest.mark.parametrize(
    ("bundles", "cluster", "message"),
    [
        (engine("A10G", num_replicas=17), AWS, r"engine asks for 17 × \(1 A10G on one node\), .* 16 of them at most"),
        (engine("A10G"), GCP, "0 of them at most"),
        (engine("L4"), AWS, "0 of them at most"),
        (engine("H100", num_replicas=5, tensor_parallel_size=8), AWS, "asks for 40 × "),
        (
            trainer_bundles(TrainersConfig(num_workers=8, accelerator_type="H100", cpus_per_worker=193)),
            AWS,
            r"trainers asks for 8 × \(193 CPUs and 1 H100 on one node\)",
        ),
        ([Bundle(name="engine", count=1, gpus=16)], AWS, "16 GPUs on one node"),
    ],
)
def test_what_would_wait_for_ever_is_refused(bundles: list[Bundle], cluster: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_nodes(bundles, launcher_groups(cluster))


def test_the_refusal_says_what_the_cluster_can_have() -> None:
    groups = [NodeGroup(name="small", resources={"CPU": 8, "GPU": 1, "accelerator_type:L4": 1}, most=2)]
    with pytest.raises(ConfigError, match=r"\(2 × small: 8 CPUs, 1 L4\); ask for less"):
        check_nodes(engine("L4", num_replicas=3), groups)


def test_where_nothing_is_known_nothing_is_refused() -> None:
    check_nodes(engine("H100", num_replicas=10**6), None)


def test_nodes_without_a_limit_hold_any_number() -> None:
    groups = [NodeGroup(name="all", resources={"CPU": 8, "GPU": 1, "accelerator_type:L4": 1}, most=None)]
    check_nodes(engine("L4", num_replicas=10**6), groups)
    with pytest.raises(ConfigError, match="any number of all"):
        check_nodes(engine("H100"), groups)


def test_no_type_has_more_nodes_than_the_whole_cluster() -> None:
    groups = launcher_groups({**AWS, "max_workers": 3})
    assert groups is not None
    assert {group.name: group.most for group in groups}["a10g_spot"] == 3


def test_only_one_node_is_the_head() -> None:
    config = {"max_workers": 4, "head_node_type": "h", "available_node_types": {"h": {"resources": {"CPU": 4}}}}
    assert launcher_groups(config) == [NodeGroup(name="h", resources={"CPU": 4}, most=1)]


@pytest.mark.parametrize(
    "config",
    [{}, {"max_workers": 2}, {"max_workers": 2, "available_node_types": {"w": {}}}, {"available_node_types": {}}],
)
def test_a_file_that_does_not_say_what_a_node_has_is_no_knowledge(config: dict[str, Any]) -> None:
    assert launcher_groups(config) is None


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 8), st.integers(0, 12), st.integers(1, 4))
def test_a_larger_cluster_holds_what_a_smaller_one_holds(
    count: int, cpus: int, gpus: int, most: int, added: int
) -> None:
    bundle = Bundle(name="engine", count=count, cpus=cpus, gpus=gpus)

    def holds(nodes: int) -> bool:
        try:
            check_nodes([bundle], [NodeGroup(name="n", resources={"CPU": 16, "GPU": 4}, most=nodes)])
        except ConfigError:
            return False
        return True

    assert holds(most + added) or not holds(most)
    assert holds(most) == (gpus <= 4 and cpus <= 16 and most * min(16 // cpus, 4 // gpus if gpus else 16) >= count)
