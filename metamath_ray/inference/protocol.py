"""What every engine can do: complete one prompt, once; and what a verifier's engine can do: weigh two labels."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequest:
    """One prompt whose continuation is one of two labels.

    Attributes:
        token_ids: The prompt.
        label_token_ids: First token of "correct" and of "incorrect", as `VerifierRenderer.label_token_ids` has them.
    """

    token_ids: tuple[int, ...]
    label_token_ids: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelLogprobs:
    """Natural logarithms of the two labels' probabilities, over the whole vocabulary, before any temperature."""

    correct: float
    incorrect: float
    num_prompt_tokens: int


class LabelScorer(Protocol):
    """A source of label probabilities: vLLM behind Ray Serve, or a script in tests."""

    @property
    def model(self) -> str:
        """Name of the model that judges."""

    async def label_logprobs(self, request: LabelRequest) -> LabelLogprobs:
        """Weigh the two labels; see `CompletionEngine.complete` for the errors."""
