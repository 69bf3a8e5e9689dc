from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.training.units import Unit, UnitKind, num_steps, partition, step_positions
from tests.unit.training.tiny import make_units

sizes = st.integers(1, 40)
seeds = st.integers(-(2**70), 2**70)


def first_positions(num_steps: int, num_units: int, global_batch_size: int, seed: int) -> list[int]:
    steps = range(num_steps)
    return [
        position
        for step in steps
        for position in step_positions(step, num_units=num_units, global_batch_size=global_batch_size, seed=seed)
    ]


@pytest.mark.parametrize(
    ("num_units", "epochs", "max_steps", "expected"),
    [
        (100, 1, None, 10),
        (101, 1, None, 11),
        (100, 3, None, 30),
        (100, 0.5, None, 5),
        (100, 0.01, None, 1),
        (1, 1, None, 1),
        (4, 5, None, 2),
        (100, 3, 7, 7),
        (1, 1, 50, 50),
    ],
)
def test_the_number_of_steps_covers_the_epochs_or_is_stated(
    num_units: int, epochs: float, max_steps: int | None, expected: int
) -> None:
    assert num_steps(num_units, epochs=epochs, max_steps=max_steps, global_batch_size=10) == expected


@given(sizes, sizes, seeds, st.integers(1, 4))
def test_every_unit_is_seen_once_an_epoch(num_units: int, global_batch_size: int, seed: int, epochs: int) -> None:
    steps = num_steps(num_units, epochs=epochs, max_steps=None, global_batch_size=global_batch_size)
    positions = first_positions(steps, num_units, global_batch_size, seed)
    assert len(positions) == steps * global_batch_size >= epochs * num_units
    for start in range(0, epochs * num_units, num_units):
        assert sorted(positions[start : start + num_units]) == list(range(num_units))


@given(sizes, sizes, seeds, st.integers(1, 9))
def test_steps_of_any_size_cut_one_order_that_goes_on_into_the_next_epoch(
    num_units: int, global_batch_size: int, seed: int, steps: int
) -> None:
    positions = first_positions(steps, num_units, global_batch_size, seed)
    assert positions == first_positions(steps * global_batch_size, num_units, 1, seed)


@given(sizes, sizes, seeds, st.integers(0, 99), st.integers(0, 99))
def test_a_step_depends_on_nothing_that_was_asked_before(
    num_units: int, global_batch_size: int, seed: int, step: int, other: int
) -> None:
    def ask(step: int) -> list[int]:
        return step_positions(step, num_units=num_units, global_batch_size=global_batch_size, seed=seed)

    expected = ask(step)
    ask(other)
    step_positions(other, num_units=num_units + 1, global_batch_size=3, seed=seed + 1)
    assert ask(step) == expected


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [
        tuple(step_positions(epoch, num_units=50, global_batch_size=50, seed=seed))
        for epoch in range(3)
        for seed in (-1, 0, 1)
    ]
    assert len(set(orders)) == len(orders)
    assert tuple(range(50)) not in orders


@given(st.lists(st.integers(1, 600), min_size=1, max_size=60), st.data())
def test_parts_hold_each_unit_once_and_about_equally_many_tokens(num_tokens: list[int], data: st.DataObject) -> None:
    num_parts = data.draw(st.integers(1, len(num_tokens)))
    parts = partition(num_tokens, num_parts)
    assert sorted(position for part in parts for position in part) == list(range(len(num_tokens)))
    assert len(parts) == num_parts
    assert all(parts)
    sums = [sum(num_tokens[position] for position in part) for part in parts]
    assert max(sums) <= mean(sums) + max(num_tokens)
    assert max(sums) - min(sums) <= max(num_tokens)
    assert partition(list(num_tokens), num_parts) == parts


def test_more_parts_than_units_are_refused() -> None:
    with pytest.raises(ValueError, match="2 units do not fill 3 parts"):
        partition([5, 5], 3)


@pytest.mark.parametrize("kind", list(UnitKind))
def test_a_unit_survives_its_row(kind: UnitKind) -> None:
    [unit] = make_units(5, kind)
    assert Unit.from_row(unit.to_row()) == unit


def test_only_a_solution_has_tokens_to_learn() -> None:
    solution = Unit(kind=UnitKind.SOLUTION, token_ids=((1, 5, 6, 7, 2),), num_prompt_tokens=(2,))
    pair = Unit(kind=UnitKind.PAIR, token_ids=((1, 5), (1, 6, 7)), num_prompt_tokens=(2, 3), labels=(True, False))
    assert (solution.num_tokens, solution.num_targets) == (5, 3)
    assert (pair.num_tokens, pair.num_targets) == (5, 0)
