"""From a question to an answer: sample, group, score, choose; without Ray."""

from metamath_ray.solving.events import ClustersChanged, Event, SampleDone, SampleScored, Solved
from metamath_ray.solving.golden_scores import check_golden_scores
from metamath_ray.solving.request import SolveRequest
from metamath_ray.solving.result import Candidate, ScoredCluster, Solution, StopReason, Usage, scored_clusters
from metamath_ray.solving.solver import Solver
from metamath_ray.solving.verifier import Verifier

__all__ = [
    "Candidate",
    "ClustersChanged",
    "Event",
    "SampleDone",
    "SampleScored",
    "ScoredCluster",
    "Solution",
    "SolveRequest",
    "Solved",
    "Solver",
    "StopReason",
    "Usage",
    "Verifier",
    "check_golden_scores",
    "scored_clusters",
]
