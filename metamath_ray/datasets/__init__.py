"""Problems out of files, the Hugging Face Hub and the synthetic generator; decontamination."""

from metamath_ray.datasets.decontamination import Contamination, ContaminationKind, Decontaminator
from metamath_ray.datasets.reading import ProblemReading, read_problems
from metamath_ray.datasets.source import ProblemSource, SourceFormat

__all__ = [
    "Contamination",
    "ContaminationKind",
    "Decontaminator",
    "ProblemReading",
    "ProblemSource",
    "SourceFormat",
    "read_problems",
]
