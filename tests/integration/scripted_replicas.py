"""Replicas without a model that ask for GPUs: what a bootstrap attaches to where GPUs are declared and not there.

python -m tests.integration.scripted_replicas ACCELERATOR NUMBER    # deploys, says so, and stays until its input ends
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import ray
from ray import serve
from ray.serve.config import ProxyLocation

from metamath_ray.distributed.deployment import served_name
from metamath_ray.distributed.serve_engine import DEPLOYMENT_NAME
from tests.integration.scripted_server import completion

APPLICATION = "llm"
SECONDS = 0.5


class ScriptedReplica:
    """Answers as `CompletionServer` does."""

    def model_id(self) -> str:
        return served_name("embedded:teacher")

    async def answer_all(
        self,
        method: str,
        shared: list[dict[str, Any]],
        requests: list[tuple[int, dict[str, Any]]],
        **_: Any,  # noqa: ANN401
    ) -> AsyncIterator[list[tuple[int, dict[str, Any]]]]:
        assert method == "complete"
        await asyncio.sleep(SECONDS)
        yield [
            (number, _said(shared[place]["prompt_token_ids"], own["seed"]))
            for number, (place, own) in enumerate(requests)
        ]


def _said(prompt_token_ids: list[int], seed: int) -> dict[str, Any]:
    said = completion(prompt_token_ids, seed)
    [choice] = said["choices"]
    return {
        "text": choice["text"],
        "finish_reason": choice["finish_reason"],
        "num_prompt_tokens": said["usage"]["prompt_tokens"],
        "num_completion_tokens": said["usage"]["completion_tokens"],
    }


if __name__ == "__main__":
    ray.init(logging_level="ERROR", log_to_driver=False)
    serve.start(proxy_location=ProxyLocation.Disabled)
    wanted = {"num_cpus": 0, "num_gpus": 1, "accelerator_type": sys.argv[1]}
    deployed = serve.deployment(
        name=DEPLOYMENT_NAME, num_replicas=int(sys.argv[2]), max_ongoing_requests=64, ray_actor_options=wanted
    )
    serve.run(
        deployed(ScriptedReplica).bind(),
        name=APPLICATION,
        route_prefix=None,
    )
    print("deployed", flush=True)
    sys.stdin.read()
    serve.shutdown()
