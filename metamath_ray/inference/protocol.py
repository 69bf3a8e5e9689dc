"""What every engine can do: complete one prompt, once."""

from dataclasses import dataclass
from typing import Protocol

from metamath_ray.types import Completion, RenderedPrompt, SamplingParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One prompt, sampled once with one seed."""

    prompt: RenderedPrompt
    sampling: SamplingParameters
    seed: int


class CompletionEngine(Protocol):
    """A source of completions: vLLM behind Ray Serve, an OpenAI-compatible URL, or a script in tests."""

    @property
    def model(self) -> str:
        """Name of the model that answers, stored with every completion."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion.

        Raises:
            RequestRejected: This request is at fault (too long, malformed); do not retry.
            EngineUnavailable: The engine is at fault or full; another attempt may succeed.
            AccessDenied: The credentials are wrong; nothing will succeed.
        """
