import pytest

from metamath_ray.config import HttpConfig, SolveConfig
from metamath_ray.distributed.serving import _required, local_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("math.example", "http://math.example:8000"),
    ],
)
def test_the_address_is_one_that_can_be_called(host: str, url: str) -> None:
    assert local_url(HttpConfig(host=host)) == url


def test_what_is_needed_follows_the_replicas_that_there_may_be() -> None:
    gpu = {"model": "a/b", "accelerator_type": "L4", "tensor_parallel_size": 2, "num_replicas": 7}
    settings = {
        "generator": gpu,
        "verifier": {"model": "c/d"},
        "prompt_set": "chat",
        "verifier_prompt": "paper",
        "autoscaling": {"generator": {"min_replicas": 2, "max_replicas": 4}, "ingress": {"max_replicas": 3}},
    }
    assert _required(SolveConfig.model_validate(settings)) == (2 * (4 + 1) + 3, 4)


def test_one_deployment_serves_a_generator_that_judges() -> None:
    both = {"generator": {"model": "embedded:teacher"}, "verifier": {"model": "embedded:teacher"}}
    assert _required(SolveConfig.model_validate(both)) == (2 + 1, 0)
