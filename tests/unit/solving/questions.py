"""A generator and a verifier by script, and what they are asked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import EngineError
from metamath_ray.inference import CompletionRequest, LabelRequest
from metamath_ray.inference.scripted import Reply, ScriptedEngine, ScriptedLabelScorer
from metamath_ray.prompts import Renderer, VerifierRenderer, load_prompt_set, load_tokenizer, load_verifier_prompt
from metamath_ray.solving import Solver, SolveRequest, Verifier
from metamath_ray.types import Completion, FinishReason

QUESTION = "Ann has 3 pears and buys 4 more. How many has she?"
TOKENIZER = load_tokenizer(str(checkpoint_path("base")))
RENDERER = Renderer(load_prompt_set("embedded"), TOKENIZER)
VERIFIER_RENDERER = VerifierRenderer(load_verifier_prompt("paper"), TOKENIZER)


def ask(**settings: Any) -> SolveRequest:  # noqa: ANN401
    return SolveRequest(**{"question": QUESTION, "num_samples": 8, **settings})


def cut(text: str) -> Completion:
    """A text that the token limit cut off."""
    return Completion(
        text=text,
        finish_reason=FinishReason.LENGTH,
        num_prompt_tokens=1,
        num_completion_tokens=9,
        seed=0,
        model="scripted",
    )


def by_index(request: SolveRequest, replies: Sequence[Reply]) -> Callable[[CompletionRequest], Reply]:
    """Reply to the sample of each index with the reply of that index."""
    script = {request.sample_seed(index): reply for index, reply in enumerate(replies)}
    return lambda asked: script[asked.seed]


def generator(
    request: SolveRequest,
    replies: Sequence[Reply],
    *,
    delay_seconds: float | Callable[[CompletionRequest], float] = 0.0,
) -> ScriptedEngine:
    return ScriptedEngine(by_index(request, replies), delay_seconds=delay_seconds)


def scorer(scores: Mapping[str, float | EngineError], *, delay_seconds: float = 0.0) -> ScriptedLabelScorer:
    """Score a solution by the first of the texts that it contains."""

    def script(asked: LabelRequest) -> float | EngineError:
        solution = TOKENIZER.decode(list(asked.token_ids)).partition("candidate solution:")[2]
        return next(score for text, score in scores.items() if text in solution)

    return ScriptedLabelScorer(script, delay_seconds=delay_seconds)


def solver(engine: ScriptedEngine, judge: ScriptedLabelScorer | None = None) -> Solver:
    verifier = Verifier(judge, VERIFIER_RENDERER) if judge else None
    return Solver(generator=engine, renderer=RENDERER, verifier=verifier)


def says(*answers: str) -> list[str]:
    """Solutions that state these answers, no two with the same text."""
    return [f"Way {number} leads there.\nThe answer is: {answer}" for number, answer in enumerate(answers)]
