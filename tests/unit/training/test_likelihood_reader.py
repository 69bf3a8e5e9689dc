"""Layers on a generator: nothing below changes, what they learn is its own likelihood, and where a solution stands."""

import random
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from metamath_ray.embedded import checkpoint_path
from metamath_ray.prompts import VerifierRenderer, load_verifier_prompt
from metamath_ray.training.examples import Example
from metamath_ray.training.likelihood_reader import (
    Judged,
    LikelihoodReader,
    ReaderSettings,
    SolutionEncoder,
    alter,
    deepen,
    drawn,
    train_reader,
)
from metamath_ray.training.losses import LabelTokens
from metamath_ray.training.units import UnitKind

QUESTION = "Ann has 3 red cups and 4 blue cups. How many cups does Ann have?"
SOLUTION = "3 + 4 = 7.\nThe answer is: 7"
EXAMPLES = [
    Example(kind=UnitKind.JUDGED, source="w", question=QUESTION, solutions=(f"{SOLUTION}{n}",), labels=(n % 2 == 0,))
    for n in range(6)
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    loaded: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(checkpoint_path("teacher"))
    return loaded


@pytest.fixture(scope="module")
def renderer(tokenizer: PreTrainedTokenizerFast) -> VerifierRenderer:
    return VerifierRenderer(load_verifier_prompt("embedded"), tokenizer)


@pytest.fixture(scope="module")
def encoder(renderer: VerifierRenderer) -> SolutionEncoder:
    return SolutionEncoder(renderer, 0)


@pytest.fixture
def teacher() -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(checkpoint_path("teacher"), dtype=torch.float32)


def test_added_layers_change_nothing_before_they_have_learned(teacher: LlamaForCausalLM) -> None:
    ids = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(deepen(teacher, 2)(ids).logits, teacher(ids).logits)


def test_only_the_added_layers_and_the_last_norm_learn(teacher: LlamaForCausalLM) -> None:
    learning = {name for name, p in deepen(teacher, 1).named_parameters() if p.requires_grad}
    assert learning
    assert all(name == "model.norm.weight" or name.startswith("model.layers.4.") for name in learning)


def test_the_solution_is_found_in_its_prompt(encoder: SolutionEncoder, tokenizer: PreTrainedTokenizerFast) -> None:
    found = encoder.encode(QUESTION, SOLUTION, is_correct=True)
    assert tokenizer.decode(found.token_ids[found.begin : found.end]).strip() == SOLUTION


def test_a_batch_marks_solutions_and_their_last_places(encoder: SolutionEncoder) -> None:
    rows = [Judged((1, 5, 6, 7), 1, 3, True), Judged((1, 5), 1, 2, False)]
    [batch] = encoder.batches(rows, 1)
    assert batch.input_ids.tolist() == [[1, 5, 0, 0], [1, 5, 6, 7]]
    assert batch.is_solution.tolist() == [[False, True, False, False], [False, True, True, False]]
    assert batch.last.tolist() == [1, 3]
    assert batch.is_correct.tolist() == [0.0, 1.0]


def test_what_is_learned_is_the_generators_own_likelihood(
    teacher: LlamaForCausalLM, encoder: SolutionEncoder, renderer: VerifierRenderer
) -> None:
    row = encoder.encode(QUESTION, SOLUTION, is_correct=True)
    ids = torch.tensor([row.token_ids])
    reader = LikelihoodReader(teacher, 1, LabelTokens(*renderer.label_token_ids))
    with torch.no_grad():
        probabilities = teacher(ids).logits[0].softmax(-1)
        hidden = reader.model.model(ids, output_hidden_states=True).hidden_states[teacher.config.num_hidden_layers]
    expected = torch.stack([probabilities[place - 1, row.token_ids[place]] for place in range(row.begin, row.end)])
    [batch] = encoder.batches([row], 1)
    assert torch.allclose(reader.likelihoods(hidden, batch), expected, atol=1e-5)


def test_tokens_are_read_twice_and_the_verdict_once(
    teacher: LlamaForCausalLM, encoder: SolutionEncoder, renderer: VerifierRenderer
) -> None:
    row = encoder.encode(QUESTION, SOLUTION, is_correct=True)
    reader = LikelihoodReader(teacher, 1, LabelTokens(*renderer.label_token_ids))
    torch.nn.init.zeros_(reader.probe)
    reader.direction.zero_()
    [batch] = encoder.batches([row], 1)
    tokens, verdict = reader.losses(batch, "labels")
    coin = torch.log(torch.tensor(2.0))  # the loss of a logit of 0, whatever the target
    assert torch.allclose(tokens, 2 * coin * (row.end - row.begin), rtol=1e-5)
    assert torch.allclose(verdict, coin)
    with torch.no_grad():
        logprobs = teacher(batch.input_ids).logits[0, -1].log_softmax(-1)
    said = reader.losses(batch, "vocabulary")[1]
    assert torch.allclose(said, -logprobs[renderer.label_token_ids[0]], rtol=1e-4)


def test_training_lowers_the_loss_and_leaves_the_generator(
    teacher: LlamaForCausalLM, encoder: SolutionEncoder, renderer: VerifierRenderer
) -> None:
    before = {name: p.clone() for name, p in teacher.state_dict().items()}
    torch.manual_seed(0)
    reader = LikelihoodReader(teacher, 1, LabelTokens(*renderer.label_token_ids))
    settings = ReaderSettings(
        verdict_among="labels", num_steps=6, rows_per_step=6, micro_batches=2, warmup_steps=1, eval_every=1
    )
    losses: list[float] = []
    source = drawn(EXAMPLES, encoder, 0.5, "seed")
    num_tokens = train_reader(reader, encoder, source, settings, lambda _, figures: losses.append(figures["loss"]))
    assert num_tokens > 0
    assert losses[-1] < losses[0]
    for name, value in before.items():
        if name != "model.norm.weight":
            assert torch.equal(reader.model.state_dict()[name], value)


def test_solutions_repeat_with_their_seed_and_come_once_before_any_again(encoder: SolutionEncoder) -> None:
    first = list(islice(drawn(EXAMPLES, encoder, 0.0, "a"), 6))
    assert first == list(islice(drawn(EXAMPLES, encoder, 0.0, "a"), 6))
    assert len({row.token_ids for row in first}) == 6


def test_an_altered_solution_is_incorrect(encoder: SolutionEncoder) -> None:
    assert not any(row.is_correct for row in islice(drawn(EXAMPLES, encoder, 1.0, "a"), 12))


@given(st.text(), st.integers())
def test_one_or_two_digits_become_others(text: str, seed: int) -> None:
    altered = alter(text, random.Random(seed))
    changed = [(a, b) for a, b in zip(text, altered, strict=True) if a != b]
    digits = sum(character in "0123456789" for character in text)
    assert min(1, digits) <= len(changed) <= min(2, digits)
    assert all(a in "0123456789" and b in "0123456789" for a, b in changed)
