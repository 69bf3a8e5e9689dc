"""Any OpenAI-compatible URL as an engine: a hosted teacher, `vllm serve`, or our own Serve endpoint."""

import openai
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion
from openai.types.completion import Completion as TextCompletion

from metamath_ray.errors import AccessDenied, BackPressure, ConfigError, EngineUnavailable, RequestRejected
from metamath_ray.inference.protocol import CompletionRequest
from metamath_ray.types import Completion, FinishReason

SERVER_AT_FAULT = 500
"""HTTP statuses from here on are the server's."""

BROKEN_OFF = ("abort", "error")
"""Finish reasons of vLLM's where it is stopped, or fails, with requests in work: what is there is no completion."""

PASSING_STATUSES = (408, 409, 425)
"""Statuses below that another attempt may not see again: timeout, conflict, too early."""

PROBE_SECONDS = 20.0


def probe(*, base_url: str, api_key: str) -> None:
    """Ask once whether anybody is there and takes the key, so that a long run does not find out slowly.

    Raises:
        AccessDenied: The key is refused.
        ConfigError: Nobody answers at the address.
    """
    try:
        OpenAI(base_url=base_url, api_key=api_key, timeout=PROBE_SECONDS, max_retries=0).models.list()
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise AccessDenied(f"{base_url} refuses the key ({error.status_code}); check its variable") from error
    except openai.APIConnectionError as error:
        raise ConfigError(f"nobody answers at {base_url}; check engine.base_url") from error
    except openai.APIError:
        return  # somebody is there; not every server lists its models


class OpenAICompatibleEngine:
    """Sends token ids to `/completions`, or chat messages to `/chat/completions`, whichever the prompt holds.

    Retries are left to `RetryingEngine`: the client's own would hide how long an engine has been away.
    """

    def __init__(self, *, base_url: str, model: str, api_key: str, timeout_seconds: float) -> None:
        self._model = model
        self._client = AsyncOpenAI(base_url=base_url, api_key=api_key, timeout=timeout_seconds, max_retries=0)

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._model

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion over HTTP; see `CompletionEngine.complete` for the errors."""
        try:
            if request.prompt.token_ids is not None:
                return self._from_text(await self._complete_text(request), request.seed)
            return self._from_chat(await self._complete_chat(request), request.seed)
        except openai.RateLimitError as error:
            raise BackPressure(_describe(error)) from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise AccessDenied(f"{self._client.base_url} refuses the key ({error.status_code})") from error
        except openai.NotFoundError as error:
            raise AccessDenied(f"{self._client.base_url} has no model {self._model!r} (404)") from error
        except openai.APIStatusError as error:
            passing = error.status_code >= SERVER_AT_FAULT or error.status_code in PASSING_STATUSES
            kind = EngineUnavailable if passing else RequestRejected
            raise kind(_describe(error)) from error
        except openai.APIConnectionError as error:
            raise EngineUnavailable(f"{self._client.base_url} does not answer ({error})") from error
        except (openai.APIError, ValueError, AttributeError, TypeError) as error:
            raise EngineUnavailable(f"{self._client.base_url} answers what is no completion ({error})") from error

    async def _complete_text(self, request: CompletionRequest) -> TextCompletion:
        return await self._client.completions.create(
            model=self._model,
            prompt=list(request.prompt.token_ids or ()),
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            max_tokens=request.sampling.max_tokens,
            stop=list(request.sampling.stop) or None,
            seed=request.seed,
        )

    async def _complete_chat(self, request: CompletionRequest) -> ChatCompletion:
        return await self._client.chat.completions.create(
            model=self._model,
            messages=[
                {"role": message.role, "content": message.content}  # type: ignore[misc]
                for message in request.prompt.messages or ()
            ],
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            max_tokens=request.sampling.max_tokens,
            stop=list(request.sampling.stop) or None,
            seed=request.seed,
        )

    def _from_text(self, answer: TextCompletion, seed: int) -> Completion:
        if not answer.choices:
            return self._completion(answer, None, None, seed)
        choice = answer.choices[0]
        return self._completion(answer, choice.text, choice.finish_reason, seed)

    def _from_chat(self, answer: ChatCompletion, seed: int) -> Completion:
        if not answer.choices:
            return self._completion(answer, None, None, seed)
        choice = answer.choices[0]
        return self._completion(answer, choice.message.content, choice.finish_reason, seed)

    def _completion(
        self, answer: TextCompletion | ChatCompletion, text: str | None, reason: str | None, seed: int
    ) -> Completion:
        if reason in BROKEN_OFF:
            raise EngineUnavailable(f"{self._client.base_url} broke the request off (finish reason {reason!r})")
        if text is None:
            raise RequestRejected(f"{self._client.base_url} answered without a text (finish reason {reason!r})")
        return Completion(
            text=text.encode("utf-8", "replace").decode(),  # JSON can hold half a character, which no file takes
            finish_reason=finish_reason(reason),
            num_prompt_tokens=(answer.usage and answer.usage.prompt_tokens) or 0,
            num_completion_tokens=(answer.usage and answer.usage.completion_tokens) or 0,
            seed=seed,
            model=self._model,
        )


def finish_reason(name: str | None) -> FinishReason:
    """Translate the wire's finish reason; whatever is neither "stop" nor "length" is `OTHER`."""
    match name:
        case "stop":
            return FinishReason.STOP
        case "length":
            return FinishReason.LENGTH
        case _:
            return FinishReason.OTHER


def _describe(error: openai.APIStatusError) -> str:
    return f"HTTP {error.status_code}: {error.message[:300]}"
