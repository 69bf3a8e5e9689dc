"""The vLLM deployment: Ray Serve's own LLM server, plus a call that takes token ids and returns one plain record."""

from typing import Any

from ray.serve.llm.deployment import LLMServer


class CompletionServer(LLMServer):  # type: ignore[misc]
    """`ray.serve.llm`'s server with one unary method more.

    Its caller needs neither vLLM nor the OpenAI protocol's classes, and nothing is streamed.
    """

    async def model_id(self) -> str:
        """Return the name of the model behind this deployment."""
        return str(self._llm_config.model_id)

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
        from ray.serve.llm.openai_api_models import CompletionRequest  # noqa: PLC0415  (imports vLLM)

        request = CompletionRequest(
            prompt=prompt_token_ids,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            seed=seed,
            add_special_tokens=False,
        )
        response = await anext(await self.completions(request))
        if (error := getattr(response, "error", None)) is not None:
            return {"code": error.code, "message": error.message}
        choice = response.choices[0]
        return {
            "text": choice.text,
            "finish_reason": choice.finish_reason,
            "num_prompt_tokens": response.usage.prompt_tokens,
            "num_completion_tokens": response.usage.completion_tokens,
        }
