"""Answers that were sampled already, ranked by another strategy: no model is asked."""

from metamath_ray.reranking import Strategy, choose, cluster_answers
from metamath_ray.solving import scored_clusters
from services.solve.schemas import ChooseBody, ChooseResponse
from services.solve.translation import clusters as on_the_wire


def choose_among(body: ChooseBody) -> ChooseResponse:
    """Cluster the answers and choose one; takes algebra's time where answers are expressions, so off the event loop."""
    clusters = cluster_answers([one.answer for one in body.candidates])
    scores = {index: one.score for index, one in enumerate(body.candidates) if one.score is not None}
    strategy = body.strategy or (Strategy.WEIGHTED_VOTE if scores else Strategy.MAJORITY_VOTE)
    choice = choose(clusters, scores, strategy, num_clusters=body.num_clusters, num_best=body.num_best)
    return ChooseResponse(
        answer=None if choice.cluster is None else clusters[choice.cluster].answer,
        confidence=choice.confidence,
        clusters=on_the_wire(scored_clusters(clusters, choice, scores)),
        chosen=choice.sample,
    )
