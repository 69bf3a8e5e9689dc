from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from metamath_ray.training.losses import PackedLoss, log_scores, pairwise_loss, pointwise_loss
from metamath_ray.training.packing import pack
from metamath_ray.training.units import UnitKind
from metamath_ray.verifier import score
from tests.unit.training.tiny import LABELS, VOCABULARY, logits_alone, make_model, make_units

logits = st.floats(-30, 30, width=32)
two_logits = st.tuples(logits, logits)


def judged(*pairs: tuple[float, float]) -> Tensor:
    """Scores over the vocabulary that are random but for the two labels."""
    scores = torch.randn(len(pairs), VOCABULARY, generator=torch.Generator().manual_seed(0))
    for row, (correct, incorrect) in zip(scores, pairs, strict=True):
        row[LABELS.correct], row[LABELS.incorrect] = correct, incorrect
    return scores


def s_by_hand(scores: Tensor) -> list[float]:
    """S = p(correct) / (p(correct) + p(incorrect)), in double precision."""
    probabilities = scores.double().softmax(1)
    correct, incorrect = probabilities[:, LABELS.correct], probabilities[:, LABELS.incorrect]
    found: list[float] = (correct / (correct + incorrect)).tolist()
    return found


@given(st.lists(two_logits, min_size=1, max_size=5))
def test_log_scores_are_the_logarithms_of_what_the_served_verifier_says(pairs: list[tuple[float, float]]) -> None:
    scores = judged(*pairs)
    logprobs = scores.double().log_softmax(1)[:, [LABELS.correct, LABELS.incorrect]].tolist()
    found = log_scores(scores, LABELS).tolist()
    assert found == pytest.approx([log(score(*pair)) for pair in logprobs], rel=1e-4, abs=1e-6)


@given(st.lists(st.tuples(two_logits, two_logits), max_size=4), st.floats(0, 5))
def test_the_pairwise_loss_is_equation_8(
    pairs: list[tuple[tuple[float, float], tuple[float, float]]], margin: float
) -> None:
    scores = judged(*(pair for right_and_wrong in pairs for pair in right_and_wrong))
    by_hand = s_by_hand(scores)
    expected = sum(
        max(0.0, log(wrong) - log(right) + margin) for right, wrong in zip(by_hand[0::2], by_hand[1::2], strict=True)
    )
    assert float(pairwise_loss(log_scores(scores, LABELS), margin)) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_pairwise_loss_of_two_known_scores() -> None:
    right, wrong = log(0.8), log(0.4)
    assert float(pairwise_loss(torch.tensor([right, wrong]), 1.0)) == pytest.approx(1 + log(0.5))
    assert float(pairwise_loss(torch.tensor([wrong, right]), 1.0)) == pytest.approx(1 + log(2))
    assert float(pairwise_loss(torch.tensor([right, wrong, wrong, right]), 0.0)) == pytest.approx(log(2))


def test_a_pair_that_meets_the_margin_teaches_nothing_and_one_that_does_not_moves_both() -> None:
    scores = judged((4.0, -4.0), (-4.0, 4.0), (0.1, 0.0), (0.0, 0.1)).requires_grad_()
    torch.autograd.backward(pairwise_loss(log_scores(scores, LABELS), 1.0))
    assert scores.grad is not None
    assert not scores.grad[:2].any()
    assert (scores.grad[2, LABELS.correct] < 0 < scores.grad[2, LABELS.incorrect]).item()
    assert (scores.grad[3, LABELS.incorrect] < 0 < scores.grad[3, LABELS.correct]).item()
    others = torch.ones(VOCABULARY, dtype=torch.bool)
    others[[LABELS.correct, LABELS.incorrect]] = False
    assert not scores.grad[:, others].any()


@given(st.lists(st.tuples(logits, logits, st.booleans()), min_size=1, max_size=5))
def test_the_pointwise_loss_is_the_right_labels_probability_among_all_words(
    rows: list[tuple[float, float, bool]],
) -> None:
    scores = judged(*((correct, incorrect) for correct, incorrect, _ in rows))
    probabilities = scores.double().softmax(1)
    expected = sum(
        -log(float(row[LABELS.correct if is_right else LABELS.incorrect]))
        for row, (*_, is_right) in zip(probabilities, rows, strict=True)
    )
    is_right = torch.tensor([row[2] for row in rows])
    assert float(pointwise_loss(scores, is_right, LABELS)) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_pointwise_loss_also_teaches_to_say_one_of_the_two_labels() -> None:
    scores = torch.zeros(1, VOCABULARY, requires_grad=True)
    loss = pointwise_loss(scores, torch.tensor([True]), LABELS)
    torch.autograd.backward(loss)
    assert float(loss.detach()) == pytest.approx(log(VOCABULARY))
    assert scores.grad is not None
    assert float(scores.grad[0, 0]) == pytest.approx(1 / VOCABULARY)


@pytest.mark.parametrize("kinds", [[kind] for kind in UnitKind] + [list(UnitKind), list(UnitKind) * 2])
def test_the_losses_of_a_batch_are_sums_over_its_units_of_each_kind(kinds: list[UnitKind]) -> None:
    units, plain = make_units(4, *kinds), make_model(attention="sdpa")
    expected = {"solution": 0.0, "pairwise": 0.0, "pointwise": 0.0}
    for unit in units:
        scores = [logits_alone(plain, sequence).double().detach() for sequence in unit.token_ids]
        if unit.kind is UnitKind.SOLUTION:
            logprobs = scores[0].log_softmax(1)
            learned = range(unit.num_prompt_tokens[0], len(unit.token_ids[0]))
            expected["solution"] -= sum(float(logprobs[place - 1, unit.token_ids[0][place]]) for place in learned)
        for row, is_right in zip(scores, unit.labels, strict=False):
            label = LABELS.correct if is_right else LABELS.incorrect
            expected["pointwise"] -= float(row[-1].log_softmax(0)[label])
        if unit.kind is UnitKind.PAIR:
            right, wrong = s_by_hand(torch.stack([row[-1] for row in scores]))
            expected["pairwise"] += max(0.0, log(wrong) - log(right) + 0.7)
    found = PackedLoss(make_model(), label_tokens=LABELS, margin=0.7)(pack(units))
    assert found.tolist() == pytest.approx(list(expected.values()), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("kinds", [[kind] for kind in UnitKind])
def test_every_kind_of_batch_gives_every_weight_a_gradient(kinds: list[UnitKind]) -> None:
    """A worker without a gradient where others have one would hang the step."""
    model = make_model()
    torch.autograd.backward(PackedLoss(model, label_tokens=LABELS, margin=50.0)(pack(make_units(4, *kinds))).sum())
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_judged_solutions_are_not_passed_over_for_want_of_label_tokens() -> None:
    with pytest.raises(ValueError, match="no label tokens"):
        PackedLoss(make_model())(pack(make_units(0, UnitKind.JUDGED)))


def test_a_score_of_one_half_costs_the_margin_and_log_two() -> None:
    even = log_scores(judged((3.0, 3.0), (3.0, 3.0)), LABELS)
    assert even.exp().tolist() == pytest.approx([0.5, 0.5])
    assert float(pairwise_loss(even, 1.5)) == pytest.approx(1.5)
    assert exp(float(even[0])) == pytest.approx(score(-1.0, -1.0))
