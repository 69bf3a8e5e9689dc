"""From one table of samples to every figure, without a model: pass@k, votes, re-ranking, stopping, calibration."""

from metamath_ray.evaluation.all_models import evaluate
from metamath_ray.evaluation.curves import Precision
from metamath_ray.evaluation.inputs import open_sample_set, read_batches
from metamath_ray.evaluation.model_evaluation import SampleSet
from metamath_ray.evaluation.results import Evaluation, Results
from metamath_ray.evaluation.serialization import from_json, to_json

__all__ = [
    "Evaluation",
    "Precision",
    "Results",
    "SampleSet",
    "evaluate",
    "from_json",
    "open_sample_set",
    "read_batches",
    "to_json",
]
