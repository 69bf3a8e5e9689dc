"""Whether the nodes that a run asks for can ever be there: its bundles against what a cluster has and may add."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metamath_ray.config import ServeEngineConfig, TrainersConfig
from metamath_ray.errors import ConfigError

ACCELERATOR = "accelerator_type:"
"""Ray's prefix of the resource that names a node's GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What is wanted on one node, so many times.

    Attributes:
        name: The setting that asks for it.
        cpus: Logical CPUs.
        accelerator_type: Ray's name of the GPU; None where any does, or none is wanted.
    """

    name: str
    count: int
    cpus: float = 0
    gpus: int = 0
    accelerator_type: str | None = None

    def times_on(self, resources: Mapping[str, float]) -> int:
        """Return how many of it one node of such resources holds."""
        if self.accelerator_type and not resources.get(f"{ACCELERATOR}{self.accelerator_type}"):
            return 0
        wanted = (("CPU", self.cpus), ("GPU", self.gpus))
        return min((int(resources.get(kind, 0) // much) for kind, much in wanted if much), default=self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """Nodes of one kind.

    Attributes:
        resources: Of one node, by Ray's names ("CPU", "GPU", "accelerator_type:H100", …).
        most: How many there are, or may be; None without a limit.
    """

    name: str
    resources: Mapping[str, float]
    most: int | None


def check_nodes(bundles: Iterable[Bundle], groups: Sequence[NodeGroup] | None) -> None:
    """Refuse what would wait for ever.

    Each kind of bundle is looked at as if it had the cluster for itself, so what is refused is certainly impossible.

    Args:
        groups: What the cluster may have at most; None where that is not known, and then nothing is refused.

    Raises:
        ConfigError: A bundle fits no node, or too many are wanted.
    """
    if groups is None:
        return
    for bundle in bundles:
        room = [_room(bundle, group) for group in groups]
        if None in room:
            continue
        if (most := sum(filter(None, room))) < bundle.count:
            raise ConfigError(_refusal(bundle, most, groups))


def _room(bundle: Bundle, group: NodeGroup) -> int | None:
    """Return how many of a bundle a group holds; None without a limit."""
    of_one = bundle.times_on(group.resources)
    return 0 if not of_one else None if group.most is None else of_one * group.most


def _refusal(bundle: Bundle, most: int, groups: Sequence[NodeGroup]) -> str:
    parts = [f"{bundle.cpus:g} CPUs"] if bundle.cpus else []
    if bundle.gpus:
        parts.append(f"{bundle.gpus} {bundle.accelerator_type or 'GPU'}{'s' if bundle.gpus > 1 else ''}")
    has = ", ".join(_described(groups)) or "nothing"
    return (
        f"{bundle.name} asks for {bundle.count} × ({' and '.join(parts)} on one node), and the cluster can have "
        f"{most} of them at most ({has}); ask for less, or raise the cluster's max_workers or add a node type"
    )


def _described(groups: Sequence[NodeGroup]) -> Iterator[str]:
    for group in groups:
        kinds = [kind.removeprefix(ACCELERATOR) for kind in group.resources if kind.startswith(ACCELERATOR)]
        gpus = f", {group.resources.get('GPU', 0):g} {'/'.join(kinds) or 'GPU'}" if group.resources.get("GPU") else ""
        many = "any number of" if group.most is None else f"{group.most} ×"
        yield f"{many} {group.name}: {group.resources.get('CPU', 0):g} CPUs{gpus}"


def engine_bundles(engine: ServeEngineConfig, *, name: str = "engine", num_replicas: int | None = None) -> list[Bundle]:
    """Return what the replicas of a deployment want; Ray may spread the GPUs of one over nodes, so each counts alone.

    Args:
        engine: How vLLM runs; one that runs already (`attach`) wants nothing.
        name: What the settings are called in the configuration.
        num_replicas: Replicas at the start, where they are not `num_replicas` of the engine.
    """
    if engine.attach or engine.accelerator_type is None:
        return []
    count = (num_replicas or engine.num_replicas) * engine.tensor_parallel_size
    return [Bundle(name=name, count=count, gpus=1, accelerator_type=engine.accelerator_type)]


def trainer_bundles(trainers: TrainersConfig) -> list[Bundle]:
    """Return what the workers of a training want, the fewest with which it goes on."""
    return [
        Bundle(
            name="trainers",
            count=trainers.min_workers or trainers.num_workers,
            cpus=trainers.cpus_per_worker,
            gpus=1 if trainers.accelerator_type else 0,
            accelerator_type=trainers.accelerator_type,
        )
    ]


def launcher_groups(config: Mapping[str, Any]) -> list[NodeGroup] | None:
    """Read what Ray's cluster launcher may start; None where its file does not say what a node has.

    Args:
        config: Content of `ray_bootstrap_config.yaml`, the launcher's file as it lies on a head.
    """
    types, most, head = config.get("available_node_types"), config.get("max_workers"), config.get("head_node_type")
    if not isinstance(types, Mapping) or not isinstance(most, int):
        return None
    groups = []
    for name, kind in types.items():
        resources = kind.get("resources") if isinstance(kind, Mapping) else None
        if not isinstance(resources, Mapping):
            return None
        limit = kind.get("max_workers")
        workers = most if limit is None else min(int(limit), most)
        groups.append(NodeGroup(name=str(name), resources=dict(resources), most=1 if name == head else workers))
    return groups
