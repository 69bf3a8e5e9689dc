"""A Ray Serve deployment as a `CompletionEngine`, and as a `LabelScorer`."""

from metamath_ray.distributed.grouped_calls import Arguments, GroupedCalls, Grouping
from metamath_ray.errors import RequestRejected
from metamath_ray.inference.openai_compatible import finish_reason
from metamath_ray.inference.protocol import CompletionRequest, LabelLogprobs, LabelRequest
from metamath_ray.types import Completion

DEPLOYMENT_NAME = "CompletionServer:generator"
"""As `ray.serve.llm` composes it: the server's class, then the name we give."""


class ServeEngine:
    """Has `CompletionServer` sample."""

    def __init__(
        self,
        *,
        application: str,
        model: str,
        timeout_seconds: float,
        grouping: Grouping,
        max_model_len: int | None = None,
    ) -> None:
        self._model = model
        self._max_model_len = max_model_len
        self._calls = GroupedCalls(
            "complete",
            deployment=DEPLOYMENT_NAME,
            application=application,
            grouping=grouping,
            timeout_seconds=timeout_seconds,
        )

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._model

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion; see `CompletionEngine.complete` for the errors."""
        answer = await self._calls.ask(
            (request.prompt, request.sampling), self._shared(request), {"seed": request.seed}
        )
        return Completion(
            text=answer["text"],
            finish_reason=finish_reason(answer["finish_reason"]),
            num_prompt_tokens=answer["num_prompt_tokens"],
            num_completion_tokens=answer["num_completion_tokens"],
            seed=request.seed,
            model=self._model,
        )

    def _shared(self, request: CompletionRequest) -> Arguments:
        """Return what all samples of a prompt have in common."""
        if request.prompt.token_ids is None:
            raise RequestRejected("the Serve engine takes token ids, and this prompt was rendered as chat messages")
        token_ids = list(request.prompt.token_ids)
        return {
            "prompt_token_ids": token_ids,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "max_tokens": self._max_tokens(request, len(token_ids)),
            "stop": list(request.sampling.stop),
        }

    def _max_tokens(self, request: CompletionRequest, num_prompt_tokens: int) -> int:
        """Return the wanted length, or what the model's context leaves of it: such a completion ends as truncated."""
        if self._max_model_len is None:
            return request.sampling.max_tokens
        room = self._max_model_len - num_prompt_tokens
        if room < 1:
            raise RequestRejected(
                f"the prompt has {num_prompt_tokens} tokens, and the model holds {self._max_model_len} with the answer"
            )
        return min(request.sampling.max_tokens, room)


class ServeLabelScorer:
    """Has `CompletionServer` weigh labels, of the verifier's deployment.

    The verifier may be the generator's own deployment, where one model is both.
    """

    def __init__(
        self,
        *,
        application: str,
        model: str,
        timeout_seconds: float,
        grouping: Grouping,
        deployment: str = DEPLOYMENT_NAME,
    ) -> None:
        self._model = model
        self._calls = GroupedCalls(
            "label_logprobs",
            deployment=deployment,
            application=application,
            grouping=grouping,
            timeout_seconds=timeout_seconds,
        )

    @property
    def model(self) -> str:
        """Name of the model that judges."""
        return self._model

    async def label_logprobs(self, request: LabelRequest) -> LabelLogprobs:
        """Weigh the two labels; see `CompletionEngine.complete` for the errors."""
        shared = {
            "prompt_token_ids": list(request.token_ids),
            "label_token_ids": list(request.label_token_ids),
        }
        answer = await self._calls.ask(request, shared, {})
        return LabelLogprobs(
            correct=answer["correct"], incorrect=answer["incorrect"], num_prompt_tokens=answer["num_prompt_tokens"]
        )
