"""A verifier is asked again what its trainer asked it at the end; served otherwise than trained, it is not to judge."""

from metamath_ray.errors import ModelError
from metamath_ray.inference import LabelScorer
from metamath_ray.inference.models import read_metadata
from metamath_ray.prompts import VerifierRenderer, load_tokenizer
from metamath_ray.prompts.verification import VerifierPrompt
from metamath_ray.solving.verifier import Verifier

GOLDEN_TOLERANCE = 0.02
"""Between S of the trainer and S of the server (in bfloat16); beyond it, they do not ask the same question."""


async def check_golden_scores(scorer: LabelScorer, model_path: str) -> None:
    """Compare with the scores that stand in a verifier's folder; a model without any passes.

    Raises:
        ModelError: One differs by more than `GOLDEN_TOLERANCE`, or the folder's description is damaged.
        EngineError: As `LabelScorer.label_logprobs`.
    """
    metadata = read_metadata(model_path)
    golden = metadata.get("golden_scores", [])
    if not golden:
        return
    try:
        prompt = VerifierPrompt.model_validate(metadata.get("verifier_prompt"))
    except ValueError as error:
        raise ModelError(f"{model_path}: its golden scores stand there without the verifier's prompt") from error
    verifier = Verifier(scorer, VerifierRenderer(prompt, load_tokenizer(model_path)))
    found = [(await verifier.score(one["question"], one["solution"])).score for one in golden]
    worst = max(abs(score - one["score"]) for score, one in zip(found, golden, strict=True))
    if worst > GOLDEN_TOLERANCE:
        raise ModelError(
            f"{scorer.model} gives scores up to {worst:.3f} away from those of its training "
            f"(allowed: {GOLDEN_TOLERANCE}): check dtype, engine_kwargs and that the folder is complete"
        )
