"""`cluster_answers`: the case table, the laws of a partition, and its costs."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.grading import pool
from metamath_ray.reranking import cluster_answers

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "data" / "clustering.json").read_text(encoding="utf-8")
)
ANSWERS = st.sampled_from(
    (
        "1/2", "0.5", r"\frac{2}{4}", "1/3", "0.33", "0.333", "12", "12 cm", "12 kg", "28%", "28", "0.28", "x+1", "1+x",
        "Monday", "(C)", "C", "(1,2)", "1, 2", "2, 1", r"\sqrt{12}", r"2\sqrt{3}", r"\pi", "3.14", None, "", r"\frac{",
        "x = 5", "y = 5", "5",
    )
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    found = [[cluster.answer, list(cluster.members)] for cluster in cluster_answers(case["answers"])]
    assert found == case["clusters"]


@settings(deadline=None)
@given(st.lists(ANSWERS, max_size=24), st.randoms(use_true_random=False))
def test_clusters_are_a_partition_that_does_not_depend_on_the_order(answers: list[str | None], random: Any) -> None:  # noqa: ANN401
    clusters = cluster_answers(answers)
    members = [index for cluster in clusters for index in cluster.members]
    assert len(members) == len(set(members))
    assert [cluster.num_votes for cluster in clusters] == sorted(
        (cluster.num_votes for cluster in clusters), reverse=True
    )
    order = list(range(len(answers)))
    random.shuffle(order)
    again = cluster_answers([answers[index] for index in order])
    assert {frozenset(cluster.members) for cluster in clusters} == {
        frozenset(order[index] for index in cluster.members) for cluster in again
    }


@pytest.mark.parametrize("bomb", ["$ a" * 1300, r"\pm " * 700, "x " * 1400, "x" + "!" * 900], ids=lambda bomb: bomb[:4])
def test_nested_answers_do_not_crash(bomb: str) -> None:
    assert 1 in cluster_answers([bomb, "7"])[-1].members


def test_many_numbers_are_fast_and_need_no_algebra() -> None:
    answers = [f"{n * 37 % 101}.{n % 10}" if n % 3 else f"{n % 17}/{n % 5 + 1}" for n in range(256)]
    before = pool.num_algebra_calls()
    cluster_answers(answers)
    fastest = min(_seconds(answers) for _ in range(5))
    assert fastest < 0.05
    assert pool.num_algebra_calls() == before


def _seconds(answers: list[str]) -> float:
    begin = time.process_time()
    cluster_answers(answers)
    return time.process_time() - begin


def test_algebra_is_asked_at_most_once_an_answer() -> None:
    pool.warm_up()
    before = pool.num_algebra_calls()
    answers = [rf"\sqrt{{{n * n + 1}+2\cdot {n}}}" if n % 2 else rf"{n}^{{9^{{9^9}}}}" for n in range(64)]
    cluster_answers(answers)
    assert pool.num_algebra_calls() - before <= len(answers)
