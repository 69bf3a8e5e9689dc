"""pitfalls of every trainer: a mask off by one, an eos that is never learned, rows cut to fit (trl#1623, trl#6668)."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from metamath_ray.embedded import checkpoint_path
from metamath_ray.prompts import (
    PromptFormat,
    PromptSet,
    Renderer,
    Task,
    VerifierRenderer,
    load_prompt_set,
    load_verifier_prompt,
)
from metamath_ray.prompts.prompt_set import available_prompt_sets
from metamath_ray.training.examples import Example, LeftOut, UnitMaker
from metamath_ray.training.packing import pack
from metamath_ray.training.units import Unit, UnitKind

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
QUESTION = "Ann has 12 pears and gives 5 away.\nHow many has she left?"
SOLUTION = "12 - 5 = 7\nThe answer is: 7"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_path("base"))
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


@pytest.fixture(scope="module")
def verifier(tokenizer: PreTrainedTokenizerBase) -> VerifierRenderer:
    return VerifierRenderer(load_verifier_prompt("paper"), tokenizer)


def example_of(kind: UnitKind = UnitKind.SOLUTION, **changes: Any) -> Example:  # noqa: ANN401
    labels = {UnitKind.SOLUTION: (), UnitKind.JUDGED: (True,), UnitKind.PAIR: (True, False)}[kind]
    solutions = (SOLUTION, "12 + 5 = 17\nThe answer is: 17")[: max(1, len(labels))]
    fields = {"source": "gsm8k", "question": QUESTION, "solutions": solutions, "labels": labels}
    return Example(kind=kind, **{**fields, **changes})


def unit_of(maker: UnitMaker, example: Example) -> Unit:
    unit = maker.unit(example)
    assert isinstance(unit, Unit)
    return unit


SOLVING = [name for name in available_prompt_sets() if Task.SOLVE in load_prompt_set(name).tasks]


def test_sets_of_both_formats_are_tried() -> None:
    assert {load_prompt_set(name).format for name in SOLVING} == set(PromptFormat)


@pytest.mark.parametrize("name", SOLVING)
@pytest.mark.parametrize("source", ["gsm8k", "math"])
def test_what_is_learned_reads_as_the_response_and_its_end_alone(
    name: str, source: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    prompt_set = load_prompt_set(name)
    maker = UnitMaker(Renderer(prompt_set, tokenizer), None, max_length=10_000)
    unit = unit_of(maker, example_of(source=source))
    batch = pack([unit, unit_of(maker, example_of(question="What is 1 + 1?", solutions=("It is 2.",)))])
    learned = tokenizer.decode(batch.targets.tolist())
    prefix, eos = prompt_set.response_prefix, tokenizer.eos_token
    assert learned == f"{prefix}{SOLUTION}{eos}{prefix}It is 2.{eos}"
    served = Renderer(prompt_set, tokenizer).render(Task.SOLVE, {"question": QUESTION}, source=source).token_ids
    assert unit.token_ids[0][: unit.num_prompt_tokens[0]] == served


@pytest.mark.parametrize("name", SOLVING)
def test_a_sequence_begins_with_the_only_bos(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    maker = UnitMaker(Renderer(load_prompt_set(name), tokenizer), None, max_length=10_000)
    [sequence] = unit_of(maker, example_of()).token_ids
    assert (sequence[0], sequence.count(tokenizer.bos_token_id)) == (tokenizer.bos_token_id, 1)


def _shared_maker() -> tuple[PreTrainedTokenizerBase, UnitMaker]:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_path("base"))
    return tokenizer, UnitMaker(Renderer(load_prompt_set("embedded"), tokenizer), None, max_length=10_000)


@given(question=st.text(), solution=st.text() | st.sampled_from(["<|eos|>", "a<|bos|>b", "<|pad|>"]))
def test_any_text_is_learned_whole_with_one_end_or_left_out(question: str, solution: str) -> None:
    unit = _MAKER.unit(example_of(question=question, solutions=(solution,)))
    if not question.strip():
        assert unit is LeftOut.EMPTY_QUESTION
    elif not solution.strip():
        assert unit is LeftOut.EMPTY_SOLUTION
    else:
        assert isinstance(unit, Unit)
        targets = pack([unit]).targets.tolist()
        assert targets.count(_TOKENIZER.eos_token_id) == 1
        assert targets[-1] == _TOKENIZER.eos_token_id
        assert not {_TOKENIZER.bos_token_id, _TOKENIZER.pad_token_id} & set(targets)
        assert unit.num_targets == len(targets)


_TOKENIZER, _MAKER = _shared_maker()


def test_the_right_solution_of_a_pair_is_judged_first(
    tokenizer: PreTrainedTokenizerBase, verifier: VerifierRenderer
) -> None:
    maker = UnitMaker(Renderer(load_prompt_set("embedded"), tokenizer), verifier, max_length=512)
    pair = example_of(UnitKind.PAIR)
    unit = unit_of(maker, pair)
    assert unit.token_ids == tuple(verifier.render(QUESTION, solution) for solution in pair.solutions)
    assert (unit.labels, unit.num_targets) == ((True, False), 0)
    texts = [tokenizer.decode(list(sequence)) for sequence in unit.token_ids]
    assert "The answer is: 7\n" in texts[0]
    assert all(text.endswith("The above candidate solution is") for text in texts)


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        (UnitKind.SOLUTION, {"question": " \n"}, LeftOut.EMPTY_QUESTION),
        (UnitKind.SOLUTION, {"solutions": ("",)}, LeftOut.EMPTY_SOLUTION),
        (UnitKind.SOLUTION, {"solutions": ("\t\n ",)}, LeftOut.EMPTY_SOLUTION),
        (UnitKind.SOLUTION, {"solutions": ("1 + " * 200,)}, LeftOut.TOO_LONG),
        (UnitKind.SOLUTION, {"question": "1 + " * 200}, LeftOut.TOO_LONG),
        (UnitKind.JUDGED, {"question": ""}, LeftOut.EMPTY_QUESTION),
        (UnitKind.JUDGED, {"solutions": (" ",)}, LeftOut.EMPTY_SOLUTION),
        (UnitKind.JUDGED, {"solutions": ("1 + " * 200,)}, LeftOut.TOO_LONG),
        (UnitKind.PAIR, {"solutions": ("7", "")}, LeftOut.EMPTY_SOLUTION),
        (UnitKind.PAIR, {"solutions": ("7", "1 + " * 200)}, LeftOut.TOO_LONG),
        (UnitKind.PAIR, {"solutions": ("1 + " * 200, "7")}, LeftOut.TOO_LONG),
    ],
)
def test_what_cannot_be_learned_whole_is_left_out_for_a_reason(
    kind: UnitKind,
    changes: Mapping[str, Any],
    reason: LeftOut,
    tokenizer: PreTrainedTokenizerBase,
    verifier: VerifierRenderer,
) -> None:
    maker = UnitMaker(Renderer(load_prompt_set("embedded"), tokenizer), verifier, max_length=200)
    assert isinstance(maker.unit(example_of(kind)), Unit)
    assert maker.unit(example_of(kind, **changes)) is reason


@pytest.mark.parametrize("kind", list(UnitKind))
def test_a_sequence_of_just_the_longest_length_stays_whole_and_one_token_more_is_too_long(
    kind: UnitKind, tokenizer: PreTrainedTokenizerBase, verifier: VerifierRenderer
) -> None:
    renderer = Renderer(load_prompt_set("embedded"), tokenizer)
    unit = unit_of(UnitMaker(renderer, verifier, max_length=10_000), example_of(kind))
    length = max(map(len, unit.token_ids))
    assert UnitMaker(renderer, verifier, max_length=length).unit(example_of(kind)) == unit
    assert UnitMaker(renderer, verifier, max_length=length - 1).unit(example_of(kind)) is LeftOut.TOO_LONG


def test_judging_without_a_verifier_prompt_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    maker = UnitMaker(Renderer(load_prompt_set("embedded"), tokenizer), None, max_length=512)
    with pytest.raises(ValueError, match="no verifier prompt"):
        maker.unit(example_of(UnitKind.JUDGED))


@pytest.mark.parametrize("kind", list(UnitKind))
def test_an_example_survives_its_row(kind: UnitKind) -> None:
    assert Example.from_row(example_of(kind).to_row()) == example_of(kind)


def test_a_prompt_set_of_ones_own_is_learned_with_its_own_prefix(tokenizer: PreTrainedTokenizerBase) -> None:
    prompt_set = PromptSet.model_validate(
        {
            "name": "mine",
            "format": "completion",
            "response_prefix": "\n=> ",
            "tasks": {"solve": {"template": "Q {question}"}},
        }
    )
    unit = unit_of(UnitMaker(Renderer(prompt_set, tokenizer), None, max_length=512), example_of(solutions=("7",)))
    assert tokenizer.decode(pack([unit]).targets.tolist()) == f"\n=> 7{tokenizer.eos_token}"
