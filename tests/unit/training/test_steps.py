"""What a step teaches does not depend on who does it."""

from itertools import pairwise
from math import log
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from metamath_ray.config import SamplesConfig, StageConfig, TrainersConfig
from metamath_ray.training.deepspeed_config import accumulation_steps
from metamath_ray.training.losses import PackedLoss
from metamath_ray.training.packing import PackedBatch
from metamath_ray.training.steps import StepResult, StepShare, Workers, share_of_step
from metamath_ray.training.unit_store import UnitStore
from metamath_ray.training.units import Unit, UnitKind, step_positions
from tests.unit.training.tiny import LABELS, logits_alone, make_model, make_store, make_units

SEED = 5
UNITS = make_units(6, *[UnitKind.SOLUTION] * 7, *[UnitKind.PAIR] * 5, *[UnitKind.JUDGED] * 5)
SOLUTIONS = UNITS[:7]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> UnitStore:
    return make_store(UNITS, tmp_path_factory.mktemp("store"))


def stage_of(global_batch_size: int) -> StageConfig:
    return StageConfig(
        samples=SamplesConfig(path=("samples",)),
        solution_weight=0.5,
        pairwise_weight=2.0,
        pointwise_weight=0.25,
        margin=0.7,
        global_batch_size=global_batch_size,
    )


def shares_of(
    store: UnitStore, step: int, *, global_batch_size: int, num_workers: int, micro_batch_size: int
) -> list[StepShare]:
    stage = stage_of(global_batch_size)
    accumulation = accumulation_steps(stage, TrainersConfig(micro_batch_size=micro_batch_size), num_workers)
    return [
        share_of_step(
            step, store, stage, Workers(rank=rank, size=num_workers, accumulation_steps=accumulation), seed=SEED
        )
        for rank in range(num_workers)
    ]


def sequences_in(batch: PackedBatch) -> list[tuple[int, ...]]:
    ids, bounds = batch.input_ids[0].tolist(), batch.boundaries.tolist()
    return [tuple(ids[start:end]) for start, end in pairwise(bounds)]


def units_of(step: int, global_batch_size: int) -> list[Unit]:
    positions = step_positions(step, num_units=len(UNITS), global_batch_size=global_batch_size, seed=SEED)
    return [UNITS[position] for position in positions]


@given(
    step=st.integers(0, 9),
    num_workers=st.integers(1, 5),
    micro_batch_size=st.integers(1, 9),
    more_rows=st.integers(0, 35),
)
@example(step=0, num_workers=4, micro_batch_size=1, more_rows=1)  # no second round for each of the four
def test_the_workers_shares_are_the_step_in_equally_many_batches(
    store: UnitStore, step: int, num_workers: int, micro_batch_size: int, more_rows: int
) -> None:
    global_batch_size = num_workers + more_rows
    shares = shares_of(
        store,
        step,
        global_batch_size=global_batch_size,
        num_workers=num_workers,
        micro_batch_size=micro_batch_size,
    )
    batches = [list(share.batches) for share in shares]
    found = [sequence for worker in batches for batch in worker for sequence in sequences_in(batch)]
    expected = units_of(step, global_batch_size)
    assert sorted(found) == sorted(sequence for unit in expected for sequence in unit.token_ids)
    assert len({len(worker) for worker in batches}) == 1
    assert {share.num_tokens for share in shares} == {sum(unit.num_tokens for unit in expected)}


def mean_loss_alone(units: list[Unit]) -> list[float]:
    """The three weighted means of a step, each sequence by itself, in double precision, as the paper writes them."""
    model, stage = make_model(attention="sdpa").double(), stage_of(len(units))
    tokens, pairs, points = list[float](), list[float](), list[float]()
    for unit in units:
        rows = [logits_alone(model, sequence).softmax(1) for sequence in unit.token_ids]
        if unit.kind is UnitKind.SOLUTION:
            learned = range(unit.num_prompt_tokens[0], len(unit.token_ids[0]))
            tokens.extend(-log(float(rows[0][place - 1, unit.token_ids[0][place]])) for place in learned)
            continue
        ends = [(float(row[-1, LABELS.correct]), float(row[-1, LABELS.incorrect])) for row in rows]
        points.extend(-log(right if label else wrong) for (right, wrong), label in zip(ends, unit.labels, strict=True))
        if unit.kind is UnitKind.PAIR:
            right, wrong = (correct / (correct + incorrect) for correct, incorrect in ends)
            pairs.append(max(0.0, log(wrong) - log(right) + stage.margin))
    weights = (stage.solution_weight, stage.pairwise_weight, stage.pointwise_weight)
    return [
        weight * sum(values) / max(1, len(values))
        for weight, values in zip(weights, (tokens, pairs, points), strict=True)
    ]


@pytest.mark.parametrize("num_workers", [1, 2, 3])
@pytest.mark.parametrize("global_batch_size", [3, 8, 20])
def test_all_batches_of_all_workers_add_up_to_the_mean_over_the_step(
    store: UnitStore, num_workers: int, global_batch_size: int
) -> None:
    loss = PackedLoss(make_model(), label_tokens=LABELS, margin=0.7)
    shares = shares_of(store, 1, global_batch_size=global_batch_size, num_workers=num_workers, micro_batch_size=2)
    with torch.inference_mode():
        found = sum(loss(batch) * share.weights for share in shares for batch in share.batches)
        expected = mean_loss_alone(units_of(1, global_batch_size))
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert global_batch_size < 8 or all(found > 0)


def test_the_gradient_of_a_step_is_the_same_for_any_number_of_workers(store: UnitStore) -> None:
    gradients = []
    for num_workers in (1, 3):
        model = make_model()
        loss = PackedLoss(model, label_tokens=LABELS, margin=0.7)
        shares = shares_of(store, 0, global_batch_size=17, num_workers=num_workers, micro_batch_size=2)
        for share in shares:
            for batch in share.batches:
                torch.autograd.backward((loss(batch) * share.weights).sum())
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_what_a_step_does_not_hold_weighs_nothing(tmp_path: Path) -> None:
    shares = shares_of(make_store(SOLUTIONS, tmp_path), 0, global_batch_size=4, num_workers=1, micro_batch_size=4)
    [batch] = shares[0].batches
    total = (PackedLoss(make_model())(batch) * shares[0].weights).detach()
    assert total[1:].tolist() == [0, 0]
    assert float(total[0]) > 0


def test_more_batches_than_rows_are_refused_before_a_worker_waits_for_ever(store: UnitStore) -> None:
    with pytest.raises(ValueError, match="3 units do not fill 4 parts"):
        share_of_step(0, store, stage_of(3), Workers(rank=0, size=2, accumulation_steps=2), seed=0)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"loss": 0.5, "grad_norm": 3.0}, ""),
        ({"loss": 0.5, "grad_norm": None}, ""),
        ({"loss": float("nan"), "grad_norm": 1.0}, "the loss is nan"),
        ({"loss": 0.5, "grad_norm": float("inf")}, "the gradients' norm is inf"),
    ],
)
def test_a_step_says_what_of_it_is_no_number(figures: dict[str, float | None], said: str) -> None:
    result = StepResult(solution=0.5, pairwise=0.0, pointwise=0.0, num_tokens=8, **figures)  # type: ignore[arg-type]
    assert result.not_finite() == said
