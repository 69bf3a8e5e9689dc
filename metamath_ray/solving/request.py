"""What is asked of the solver."""

from dataclasses import dataclass, field

from metamath_ray.errors import ConfigError
from metamath_ray.reranking import AdaptiveSampling, Strategy
from metamath_ray.types import SamplingParameters, content_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveRequest:
    """One question, and how to answer it.

    Attributes:
        num_samples: N, the most samples drawn.
        num_clusters: K of the "top clusters" strategies.
        num_best: N of "majority of best".
        adaptive: When sampling may end earlier; None draws all.
        time_limit_seconds: After it the best answer so far is given.
    """

    question: str
    num_samples: int = 16
    strategy: Strategy = Strategy.MAJORITY_VOTE
    num_clusters: int = 8
    num_best: int = 16
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    seed: int = 0
    adaptive: AdaptiveSampling | None = None
    time_limit_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise ConfigError("question is empty")
        for name in ("num_samples", "num_clusters", "num_best"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected 1 or more")
        if not self.time_limit_seconds > 0:
            raise ConfigError(f"time_limit_seconds is {self.time_limit_seconds}: expected more than 0")

    def sample_seed(self, index: int) -> int:
        """Return the seed (31 bits) of one sample; more samples leave those of the first as they are."""
        return int(content_id((self.seed, self.question, index))[:8], 16) & 0x7FFFFFFF
