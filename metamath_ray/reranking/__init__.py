"""From many sampled answers to one: clusters of equal answers, strategies that choose, and when to stop sampling."""

from metamath_ray.reranking.adaptive import AdaptiveSampling, next_round, probability_of_staying, should_stop
from metamath_ray.reranking.clustering import cluster_answers
from metamath_ray.reranking.strategies import Choice, Strategy, choose, samples_to_score

__all__ = [
    "AdaptiveSampling",
    "Choice",
    "Strategy",
    "choose",
    "cluster_answers",
    "next_round",
    "probability_of_staying",
    "samples_to_score",
    "should_stop",
]
