"""An engine without a model, behind the OpenAI protocol: what it says follows from prompt and seed, how soon, too.

python -m tests.integration.scripted_server PORT [SECONDS]
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from metamath_ray.types import content_id

ANSWERS = 20
"""Solutions end in so many different answers; a few of them happen to be right."""


def completion(prompt: list[int], seed: int) -> dict[str, Any]:
    """Say what a model would: a number of the prompt's own."""
    answer = int(content_id([*prompt, seed])[:8], 16) % ANSWERS
    choice = {"index": 0, "text": f"It is {answer}.\nThe answer is: {answer}", "finish_reason": "stop"}
    usage = {"prompt_tokens": len(prompt), "completion_tokens": 8, "total_tokens": len(prompt) + 8}
    return {
        "id": "scripted",
        "object": "text_completion",
        "created": 0,
        "model": "scripted",
        "choices": [choice],
        "usage": usage,
    }


def started(port: int, seconds: float, prefix: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """Start the server as a process, perhaps on another host, and wait until it is up."""
    command = [*prefix, sys.executable, "-m", "tests.integration.scripted_server", str(port), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@asynccontextmanager
async def announced(_: FastAPI) -> AsyncIterator[None]:
    """Say that it is up."""
    print("up", flush=True)
    yield


def build(seconds: float) -> FastAPI:
    """Build the server.

    Args:
        seconds: Each completion takes up to twice as long.
    """
    app = FastAPI(lifespan=announced)

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": []}

    @app.post("/v1/completions")
    async def complete(request: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(random.Random(request["seed"]).uniform(0, 2 * seconds))
        return completion(request["prompt"], request["seed"])

    return app


if __name__ == "__main__":
    uvicorn.run(build(float(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
