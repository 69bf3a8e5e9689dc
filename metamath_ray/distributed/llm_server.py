"""The vLLM deployment: Ray Serve's own LLM server, plus calls that take token ids and return one plain record."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from ray.serve.llm.deployment import LLMServer

from metamath_ray.errors import RequestRejected
from metamath_ray.inference import LabelLogprobs, LabelRequest
from metamath_ray.inference.openai_compatible import BROKEN_OFF
from metamath_ray.solving import check_golden_scores

if TYPE_CHECKING:
    from vllm import RequestOutput

REFUSED, FAILED = 400, 500
REQUEST_NUMBERS = count()
SHORTEST_WAIT_SECONDS, SHARE_WAITED = 0.1, 0.2
"""An answer waits for others of its call as long as this, or this share of what it took: a message of Serve's costs
more than an answer in it."""


class CompletionServer(LLMServer):  # type: ignore[misc]
    """`ray.serve.llm`'s server with calls of our own, of many requests each.

    Their caller needs neither vLLM nor the OpenAI protocol's classes, and gets whole answers. A call that is cancelled
    is aborted in vLLM: Serve cancels the replica's task, and vLLM's generator aborts its request when it is cancelled.
    """

    async def start(self) -> None:
        """Start the engine; a verifier then shows that it scores as its trainer did, before anybody may ask it.

        Raises:
            ModelError: It does not; the replica does not come up.
        """
        await super().start()
        await check_golden_scores(_OwnScorer(self), str(self._llm_config.model_loading_config.model_source))

    async def model_id(self) -> str:
        """Return the name of the model behind this deployment."""
        return str(self._llm_config.model_id)

    async def num_unfinished(self) -> int:
        """Return how many requests vLLM has in work here; 0 once all that were cancelled are aborted."""
        return int(self.engine._engine_client.output_processor.get_num_unfinished_requests())

    async def complete(
        self,
        *,
        prompt_token_ids: list[int],
        temperature: float,
        top_p: float,
        max_tokens: int,
        stop: list[str],
        seed: int,
    ) -> dict[str, Any]:
        """Sample one completion.

        Returns:
            Either {"text", "finish_reason", "num_prompt_tokens", "num_completion_tokens"}, or {"code", "message"} of
            a refusal.
        """
        return await self._generate(
            prompt_token_ids,
            _as_completion,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            seed=seed,
        )

    async def label_logprobs(self, *, prompt_token_ids: list[int], label_token_ids: list[int]) -> dict[str, Any]:
        """Weigh two tokens as the continuation of a prompt.

        vLLM takes them from the model's own logits, before temperature or nucleus, whatever their rank; the one token
        that it must sample is thrown away.

        Returns:
            Either {"correct", "incorrect", "num_prompt_tokens"}, natural logarithms of the first and of the second
            label's probability, or {"code", "message"} of a refusal.
        """
        return await self._generate(
            prompt_token_ids,
            partial(_as_label_logprobs, label_token_ids),
            temperature=0.0,
            max_tokens=1,
            logprob_token_ids=label_token_ids,
        )

    async def answer_all(
        self,
        method: Literal["complete", "label_logprobs"],
        shared: list[dict[str, Any]],
        requests: list[tuple[int, dict[str, Any]]],
        *,
        longest_wait_seconds: float,
    ) -> AsyncGenerator[list[tuple[int, dict[str, Any]]], None]:
        """Answer many requests, in one call of Serve's.

        Args:
            method: Answers one of them.
            shared: Arguments of that method that several requests have in common.
            requests: (place in `shared`, the rest of its arguments) of each.
            longest_wait_seconds: No answer waits longer for others; when all are there, none waits.

        Yields:
            (place in `requests`, answer), of those that came together.
        """
        answer = self.complete if method == "complete" else self.label_logprobs
        places = {
            asyncio.create_task(answer(**shared[place], **own)): number for number, (place, own) in enumerate(requests)
        }
        pending, began = set(places), time.monotonic()
        try:
            while pending:
                ended, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if pending:
                    share = SHARE_WAITED * (time.monotonic() - began)
                    wait_seconds = min(longest_wait_seconds, max(SHORTEST_WAIT_SECONDS, share))
                    others, pending = await asyncio.wait(pending, timeout=wait_seconds)
                    ended |= others
                yield [(places[task], _record(task)) for task in ended]
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*places, return_exceptions=True)

    async def _generate(
        self,
        prompt_token_ids: list[int],
        described: Callable[["RequestOutput"], dict[str, Any]],
        **sampling: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Put one request to vLLM's engine itself: its OpenAI layer is a sixth of what a short one costs a replica."""
        from vllm import SamplingParams  # noqa: PLC0415  (imports vLLM)
        from vllm.exceptions import VLLMClientError, VLLMError  # noqa: PLC0415
        from vllm.inputs.engine import tokens_input  # noqa: PLC0415
        from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

        try:
            parameters = SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, **sampling)
            made = self.engine._engine_client.generate(
                tokens_input(prompt_token_ids), parameters, str(next(REQUEST_NUMBERS))
            )
            async with aclosing(made):  # closed at once, it leaves nothing to the garbage collector
                (last,) = [output async for output in made]
        except VLLMError as error:
            return {"code": REFUSED if isinstance(error, VLLMClientError) else FAILED, "message": str(error)}
        return described(last)


def _record(ended: "asyncio.Task[dict[str, Any]]") -> dict[str, Any]:
    """Return what came of a request; one that broke something spoils no other."""
    if error := ended.exception():
        return {"code": FAILED, "message": f"{type(error).__name__}: {error}"}
    return ended.result()


def _as_completion(output: "RequestOutput") -> dict[str, Any]:
    (sample,) = output.outputs
    if sample.finish_reason in BROKEN_OFF:
        return {"code": FAILED, "message": f"vLLM broke the request off ({sample.finish_reason})"}
    return {
        "text": sample.text,
        "finish_reason": sample.finish_reason,
        "num_prompt_tokens": len(output.prompt_token_ids),
        "num_completion_tokens": len(sample.token_ids),
    }


def _as_label_logprobs(label_token_ids: list[int], output: "RequestOutput") -> dict[str, Any]:
    (found,) = output.outputs[0].logprobs
    correct, incorrect = (found[token].logprob for token in label_token_ids)
    return {"correct": correct, "incorrect": incorrect, "num_prompt_tokens": len(output.prompt_token_ids)}


class _OwnScorer:
    """A replica as the `LabelScorer` of itself."""

    def __init__(self, server: CompletionServer) -> None:
        self._server = server

    @property
    def model(self) -> str:
        return str(self._server._llm_config.model_id)

    async def label_logprobs(self, request: LabelRequest) -> LabelLogprobs:
        found = await self._server.label_logprobs(
            prompt_token_ids=list(request.token_ids), label_token_ids=list(request.label_token_ids)
        )
        if "code" in found:
            raise RequestRejected(f"{found['code']}: {found['message']}")
        return LabelLogprobs(**found)
