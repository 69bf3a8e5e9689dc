import pytest

from metamath_ray.capacity import check_versions
from metamath_ray.errors import ConfigError
from metamath_ray.storage.manifest import versions


@pytest.mark.parametrize(
    "by_node",
    [
        {},
        {"10.0.0.1": {"ray": "2.60.0"}},
        {"10.0.0.1": {"ray": "2.60.0", "torch": "2.13.0+cpu"}, "10.0.0.2": {"ray": "2.60.0", "torch": "2.13.0"}},
        {"10.0.0.1": {"ray": "2.60.0"}, "10.0.0.2": {"ray": "2.60.0", "vllm": "0.29.0"}},
        {"10.0.0.1": {"numpy": "1"}, "10.0.0.2": {"numpy": "2"}},
        {"10.0.0.1": versions(), "10.0.0.2": versions()},
    ],
)
def test_nodes_with_the_same_software_pass(by_node: dict[str, dict[str, str]]) -> None:
    check_versions(by_node)


def test_a_node_that_differs_is_named_with_what_differs() -> None:
    by_node = {f"10.0.0.{number}": {"ray": "2.60.0", "vllm": "0.29.0"} for number in range(1, 4)}
    by_node["10.0.0.9"] = {"ray": "2.61.0", "vllm": "0.28.0"}
    with pytest.raises(ConfigError) as caught:
        check_versions(by_node)
    assert str(caught.value) == (
        "the nodes differ in ray (2.60.0 on 10.0.0.1 and 2 more, 2.61.0 on 10.0.0.9); "
        "vllm (0.28.0 on 10.0.0.9, 0.29.0 on 10.0.0.1 and 2 more); start all of them from one image"
    )
