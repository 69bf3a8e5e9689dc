import pytest

from metamath_ray.evaluation.problem_samples import SampleTable
from metamath_ray.evaluation.reading import read_problem_samples
from metamath_ray.evaluation.settings import DEFAULT_SETTINGS, choose_settings, cluster_numbers
from tests.unit.evaluation.tables import batches, sample_row

Votes = list[tuple[str, float]]


def table_of(votes: Votes, *, num_problems: int = 3) -> SampleTable:
    rows = [
        sample_row(answer, question=f"Q{place}?", index=index, score=score)
        for place in range(num_problems)
        for index, (answer, score) in enumerate(votes)
    ]
    return read_problem_samples(batches(rows))


@pytest.mark.parametrize(
    ("most", "numbers"), [(0, [1]), (1, [1]), (2, [1, 2]), (5, [1, 2, 3, 4, 6]), (12, [1, 2, 3, 4, 6, 8, 12])]
)
def test_numbers_of_clusters_go_on_until_all_are_covered(most: int, numbers: list[int]) -> None:
    assert cluster_numbers(most).tolist() == numbers


def test_the_smallest_of_equally_good_numbers_is_chosen() -> None:
    found = choose_settings(table_of([("7", 0.9), ("7", 0.8), ("3", 0.1)]), "train", num_orderings=4, seed=0)
    assert (found.num_clusters, found.num_best, found.chosen_on) == (1, 1, "train")


def test_more_clusters_where_the_right_answer_is_in_a_small_one() -> None:
    votes = [("1", 0.1), ("1", 0.1), ("1", 0.1), ("2", 0.1), ("2", 0.1), ("7", 0.9)]
    assert choose_settings(table_of(votes), "train", num_orderings=4, seed=0).num_clusters == 3


def test_fewer_clusters_where_a_small_one_deceives() -> None:
    votes = [("7", 0.5), ("7", 0.5), ("7", 0.5), ("2", 0.1), ("2", 0.1), ("3", 0.99)]
    assert choose_settings(table_of(votes), "train", num_orderings=4, seed=0).num_clusters == 1


def test_as_many_best_samples_as_outvote_a_deceiver() -> None:
    votes = [("3", 0.9), ("7", 0.8), ("7", 0.7), ("7", 0.6), *[("3", 0.5)] * 4]
    assert choose_settings(table_of(votes), "train", num_orderings=4, seed=0).num_best == 4


def test_without_scores_nothing_is_chosen() -> None:
    table = read_problem_samples(batches([sample_row()]))
    assert choose_settings(table, "train", num_orderings=4, seed=0) == DEFAULT_SETTINGS
    assert DEFAULT_SETTINGS.chosen_on is None
