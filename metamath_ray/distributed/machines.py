"""What a running cluster is made of: its nodes, what may join them, and the software on each."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from metamath_ray.capacity import NodeGroup, launcher_groups
from metamath_ray.config import read_yaml
from metamath_ray.storage.manifest import versions

LAUNCHER_FILE = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves its file on a head, which is where submitted jobs have their driver."""
VERSIONS_SECONDS = 60
"""All nodes are asked at once; one that has not answered by then is left out, and will show itself when it is used."""


def node_groups(launcher_file: Path = LAUNCHER_FILE) -> list[NodeGroup] | None:
    """Return what the cluster has and may have at most; None where that cannot be known, as on Kubernetes.

    A cluster that was started here cannot grow. Of another one, Ray 2.60 tells a driver what there is, and not what an
    autoscaler may add; the launcher's file on its head does.

    Raises:
        ConfigError: The launcher's file is malformed.
    """
    file = launcher_file.expanduser()
    allowed = launcher_groups(read_yaml(file)) if file.is_file() and _is_on_head() else None
    return None if allowed is None else [*allowed, *present_groups(_alive())]


def present_groups(nodes: Sequence[Mapping[str, Any]]) -> list[NodeGroup]:
    """Turn nodes, as `ray.nodes` lists them, into groups of one."""
    return [NodeGroup(name=node["NodeManagerAddress"], resources=dict(node["Resources"]), most=1) for node in nodes]


def _is_on_head() -> bool:
    here = ray.get_runtime_context().get_node_id()
    return any(node["NodeID"] == here and "node:__internal_head__" in node["Resources"] for node in _alive())


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def node_versions(
    ask: Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]] | None = None,
) -> dict[str, Mapping[str, str]]:
    """Ask the nodes of a cluster for the versions of their software; one alone has nothing to be compared with.

    Args:
        ask: Asks nodes, by their ids, all at once; a Ray task on each by default.
    """
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in _alive()}
    found = (ask or _ask)(list(addresses)) if len(addresses) > 1 else {}
    return {addresses[node_id]: known for node_id, known in found.items()}


def _ask(node_ids: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Ask all nodes, and wait for them together; who is gone or busy by then is left out."""
    task = ray.remote(num_cpus=0, max_retries=0)(versions)
    places = (NodeAffinitySchedulingStrategy(node_id=node_id, soft=False) for node_id in node_ids)
    asked = {
        task.options(scheduling_strategy=place).remote(): node_id
        for place, node_id in zip(places, node_ids, strict=True)
    }
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=VERSIONS_SECONDS)
    for reference in late:
        ray.cancel(reference, force=True)
    found: dict[str, Mapping[str, str]] = {}
    for reference in done:
        with suppress(RayError):
            found[asked[reference]] = ray.get(reference)
    return found
