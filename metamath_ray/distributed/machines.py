"""What a running cluster is made of: its nodes, what may join them, and the software on each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from metamath_ray.capacity import NodeGroup, launcher_groups
from metamath_ray.config import read_yaml
from metamath_ray.storage.manifest import versions

LAUNCHER_FILE = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves its file on a head, which is where submitted jobs have their driver."""
VERSIONS_SECONDS = 60
"""A node that does not answer by then is left out; it will show itself when it is used."""


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


def node_versions(ask: Callable[[str], Mapping[str, str]] | None = None) -> dict[str, Mapping[str, str]]:
    """Ask each node of a cluster for the versions of its software; one alone has nothing to be compared with.

    Args:
        ask: Asks one node, by its id; a Ray task there by default.
    """
    asked, nodes = ask or _ask, _alive()
    return {node["NodeManagerAddress"]: asked(node["NodeID"]) for node in nodes} if len(nodes) > 1 else {}


def _ask(node_id: str) -> Mapping[str, str]:
    here = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    task = ray.remote(num_cpus=0)(versions).options(scheduling_strategy=here)
    done, _ = ray.wait([reference := task.remote()], timeout=VERSIONS_SECONDS)
    found: dict[str, str] = ray.get(reference) if done else {}
    return found
