"""The vLLM deployment: Ray Serve's own LLM server, plus calls that take token ids and return one plain record."""

import math
from contextlib import aclosing
from typing import Any

from ray.serve.llm.deployment import LLMServer

LEAST_LOGPROB = -9999.0
"""What vLLM's OpenAI protocol writes for a probability of 0, which JSON has no word for."""


class CompletionServer(LLMServer):  # type: ignore[misc]
    """`ray.serve.llm`'s server with unary methods more.

    Their caller needs neither vLLM nor the OpenAI protocol's classes, and nothing is streamed. A call that is cancelled
    is aborted in vLLM: Serve cancels the replica's task, and vLLM's generator aborts its request when it is cancelled.
    """

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
        response = await self._complete(
            prompt=prompt_token_ids,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            seed=seed,
        )
        if (error := getattr(response, "error", None)) is not None:
            return {"code": error.code, "message": error.message}
        choice = response.choices[0]
        return {
            "text": choice.text,
            "finish_reason": choice.finish_reason,
            "num_prompt_tokens": response.usage.prompt_tokens,
            "num_completion_tokens": response.usage.completion_tokens,
        }

    async def label_logprobs(self, *, prompt_token_ids: list[int], label_token_ids: list[int]) -> dict[str, Any]:
        """Weigh two tokens as the continuation of a prompt.

        vLLM takes them from the model's own logits, before temperature or nucleus, whatever their rank; the one token
        that it must sample is thrown away.

        Returns:
            Either {"correct", "incorrect", "num_prompt_tokens"}, natural logarithms of the first and of the second
            label's probability, or {"code", "message"} of a refusal.
        """
        response = await self._complete(
            prompt=prompt_token_ids,
            temperature=0.0,
            max_tokens=1,
            logprobs=len(label_token_ids),
            logprob_token_ids=label_token_ids,
            return_tokens_as_token_ids=True,
        )
        if (error := getattr(response, "error", None)) is not None:
            return {"code": error.code, "message": error.message}
        found = response.choices[0].logprobs.top_logprobs[0]
        correct, incorrect = (_logprob(found[f"token_id:{token}"]) for token in label_token_ids)
        return {"correct": correct, "incorrect": incorrect, "num_prompt_tokens": response.usage.prompt_tokens}

    async def _complete(self, **arguments: Any) -> Any:  # noqa: ANN401
        """Put one request to vLLM; closed at once, the generator leaves nothing to the garbage collector."""
        from ray.serve.llm.openai_api_models import CompletionRequest  # noqa: PLC0415  (imports vLLM)

        request = CompletionRequest(add_special_tokens=False, **arguments)
        async with aclosing(await self.completions(request)) as responses:
            return await anext(responses)


def _logprob(value: float) -> float:
    return -math.inf if value <= LEAST_LOGPROB else value
