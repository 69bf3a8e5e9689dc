"""From many sampled answers to one: clusters of equal answers and the strategies that choose among them."""

from metamath_ray.reranking.clustering import cluster_answers

__all__ = ["cluster_answers"]
