"""A verifier as the solver asks it: a question and a solution in, S out."""

import math
from dataclasses import dataclass

from metamath_ray.errors import EngineUnavailable
from metamath_ray.inference import LabelRequest, LabelScorer
from metamath_ray.prompts import VerifierRenderer
from metamath_ray.verifier import score


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """S of one solution, and what it cost."""

    score: float
    num_prompt_tokens: int


class Verifier:
    """A label scorer with the prompt that it was trained on."""

    def __init__(self, scorer: LabelScorer, renderer: VerifierRenderer) -> None:
        self._scorer = scorer
        self._renderer = renderer

    @property
    def model(self) -> str:
        """Name of the model that judges."""
        return self._scorer.model

    @property
    def prompt_hash(self) -> str:
        """Hash of the prompt and its labels."""
        return self._renderer.prompt.hash

    async def score(self, question: str, solution: str) -> Judgement:
        """Score one solution: S = p(correct) / (p(correct) + p(incorrect)), arXiv 2310.10047, section 3.2.

        Raises:
            EngineError: As `LabelScorer.label_logprobs`.
        """
        request = LabelRequest(
            token_ids=self._renderer.render(question, solution), label_token_ids=self._renderer.label_token_ids
        )
        found = await self._scorer.label_logprobs(request)
        value = score(found.correct, found.incorrect)
        if math.isnan(value):
            raise EngineUnavailable(f"{self.model} gave a label log-probability that is not a number")
        return Judgement(score=value, num_prompt_tokens=found.num_prompt_tokens)
