"""cluster.yaml and deploy/gcp.yaml: valid to Ray itself, closed, without secrets, and large enough for every preset."""

import copy
import re
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.util import accelerators

from tests.unit.deploy.presets import GPU_PRESETS, ROOT, demands

FILES = {"aws": "cluster.yaml", "gcp": "deploy/gcp.yaml"}
ACCELERATORS = {value for name, value in vars(accelerators).items() if name.isupper() and isinstance(value, str)}
SECRETS = re.compile(
    r"hf_[A-Za-z0-9]{20}|AKIA[A-Z0-9]{16}|BEGIN .*PRIVATE KEY|[0-9a-f]{40}|(TOKEN|KEY|SECRET|PASSWORD)="
)


@pytest.fixture(scope="module", params=FILES)
def text(request: pytest.FixtureRequest) -> str:
    return (ROOT / FILES[request.param]).read_text(encoding="utf-8")


@pytest.fixture
def cluster(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = prepare_config(yaml.safe_load(text))
    return loaded


def workers(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: kind for name, kind in cluster["available_node_types"].items() if name != cluster["head_node_type"]}


def market(node: dict[str, Any]) -> str:
    on_aws = node.get("InstanceMarketOptions", {}).get("MarketType")
    return str(on_aws or node.get("scheduling", {}).get("provisioningModel")).lower()


def test_ray_takes_the_file(cluster: dict[str, Any]) -> None:
    validate_config(cluster)


@pytest.mark.parametrize("broken", ["idle_timeout_minutes", "cluster_name"])
def test_ray_s_schema_refuses_a_wrong_type(cluster: dict[str, Any], broken: str) -> None:
    wrong = {**copy.deepcopy(cluster), broken: []}
    with pytest.raises(Exception, match="is not of type"):
        validate_config(wrong)


def test_the_head_takes_no_work(cluster: dict[str, Any]) -> None:
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert head["max_workers"] == 0


def test_workers_come_from_nothing_and_are_bounded(cluster: dict[str, Any]) -> None:
    assert cluster["idle_timeout_minutes"] > 0
    for kind in workers(cluster).values():
        assert kind["min_workers"] == 0
        assert 0 < kind["max_workers"] <= cluster["max_workers"]


def test_every_size_is_there_as_spot_and_on_demand_with_spot_first(cluster: dict[str, Any]) -> None:
    kinds = workers(cluster)
    sizes = {name.removesuffix("_spot").removesuffix("_on_demand") for name in kinds}
    assert len(sizes) == 3
    for size in sizes:
        spot, on_demand = kinds[f"{size}_spot"], kinds[f"{size}_on_demand"]
        assert market(spot["node_config"]) == "spot"
        assert market(on_demand["node_config"]) == "none"
        assert spot["resources"] == on_demand["resources"]
        assert spot["priority"] > on_demand.get("priority", 0)


def test_a_node_with_gpus_says_their_type_in_ray_s_own_name(cluster: dict[str, Any]) -> None:
    for kind in workers(cluster).values():
        named = [name.removeprefix("accelerator_type:") for name in kind["resources"] if ":" in name]
        assert len(named) == ("GPU" in kind["resources"])
        assert set(named) <= ACCELERATORS


@pytest.mark.parametrize("preset", GPU_PRESETS)
def test_every_preset_fits_on_aws(preset: str) -> None:
    kinds = workers(prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))))
    for demand in demands(preset):
        fitting = [
            kind for kind in kinds.values() if f"accelerator_type:{demand.accelerator_type}" in kind["resources"]
        ]
        places = [
            min(kind["resources"]["GPU"] // demand.gpus, int(kind["resources"]["CPU"] // demand.cpus))
            for kind in fitting
        ]
        alone = [kind["max_workers"] * place for kind, place in zip(fitting, places, strict=True)]
        assert max(alone, default=0) >= demand.number, demand


def test_presets_are_read(text: str) -> None:
    assert text
    assert {demand.accelerator_type for preset in GPU_PRESETS for demand in demands(preset)} == {"A10G", "H100"}


def test_no_secret_stands_in_the_file(text: str) -> None:
    assert not SECRETS.search(text)


def test_every_node_asks_for_the_token_of_a_mounted_file(cluster: dict[str, Any]) -> None:
    options = " ".join(cluster["docker"]["run_options"])
    assert "-e RAY_AUTH_MODE=token" in options
    [path] = re.findall(r"RAY_AUTH_TOKEN_PATH=(\S+)", options)
    assert any(path.startswith(f"{mount}/") for mount in cluster["file_mounts"])


def test_nothing_is_open_to_the_world(text: str, cluster: dict[str, Any]) -> None:
    assert "0.0.0.0" not in text  # noqa: S104
    assert "--dashboard-host=127.0.0.1" in " ".join(cluster["head_start_ray_commands"])
    for kind in cluster["available_node_types"].values():
        node = kind["node_config"]
        assert node.get("SecurityGroupIds") or node.get("networkInterfaces"), "Ray would open SSH to everybody"


def test_objects_spill_to_disk_on_every_node(cluster: dict[str, Any]) -> None:
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        assert "--object-spilling-directory=/" in commands[-1]


def test_the_image_is_pinned_and_nothing_is_installed_over_it(cluster: dict[str, Any]) -> None:
    assert re.search(r":\d+\.\d+\.\d+$", cluster["docker"]["image"])
    for name in ("setup_commands", "head_setup_commands", "worker_setup_commands", "initialization_commands"):
        assert cluster[name] == []
