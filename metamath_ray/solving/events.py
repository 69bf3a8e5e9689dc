"""What the solver tells while it works."""

from dataclasses import dataclass

from metamath_ray.solving.result import Candidate, ScoredCluster, Solution


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDone:
    """A sample ended."""

    candidate: Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class ClustersChanged:
    """The candidates so far were grouped anew; weights and scores are those known by now."""

    clusters: tuple[ScoredCluster, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleScored:
    """The verifier scored a candidate."""

    index: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """The last event."""

    solution: Solution


Event = SampleDone | ClustersChanged | SampleScored | Solved
