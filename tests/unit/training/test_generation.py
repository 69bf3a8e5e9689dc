from collections.abc import Mapping
from random import Random
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from metamath_ray.embedded import checkpoint_path
from metamath_ray.prompts import Renderer, Task, load_prompt_set
from metamath_ray.training.generation import Generator
from metamath_ray.types import Completion, FinishReason

ASKED = [
    {"question": f"Ann has {first} pears{' and a hat' * number} and buys {number} more. How many has she?"}
    for number, first in enumerate([3, 12, 250, 4, 71])
]


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(checkpoint_path("base"), dtype=torch.float32)


def generator_of(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_new_tokens: int = 40, batch_size: int = 3
) -> Generator:
    renderer = Renderer(load_prompt_set("embedded"), tokenizer)
    return Generator(model, tokenizer, renderer, max_new_tokens=max_new_tokens, batch_size=batch_size)


def generated_alone(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, fields: Mapping[str, str]) -> list[int]:
    prompt = Renderer(load_prompt_set("embedded"), tokenizer).render(Task.SOLVE, fields, source="gsm8k").token_ids
    assert prompt is not None
    with torch.inference_mode():
        outputs = model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            max_new_tokens=40,
            do_sample=False,
        )
    found: list[int] = outputs[0, len(prompt) :].tolist()
    return found


@pytest.mark.parametrize("batch_size", [1, 2, 9])
def test_greedy_samples_are_those_of_one_prompt_at_a_time_in_the_order_asked(
    model: PreTrainedModel, embedded_tokenizer: PreTrainedTokenizerBase, batch_size: int
) -> None:
    asked = Random(0).sample(ASKED, len(ASKED))
    found = generator_of(model, embedded_tokenizer, batch_size=batch_size)(Task.SOLVE, asked, source="gsm8k")
    alone = [generated_alone(model, embedded_tokenizer, fields) for fields in asked]
    assert [sample.text for sample in found] == [
        embedded_tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in alone
    ]
    assert [sample.is_truncated for sample in found] == [embedded_tokenizer.eos_token_id not in ids for ids in alone]
    assert len({sample.text for sample in found}) > 1


def test_a_text_that_does_not_end_in_time_is_truncated(
    model: PreTrainedModel, embedded_tokenizer: PreTrainedTokenizerBase
) -> None:
    [cut] = generator_of(model, embedded_tokenizer, max_new_tokens=3)(Task.SOLVE, ASKED[:1], source="gsm8k")
    [whole] = generator_of(model, embedded_tokenizer, max_new_tokens=200)(Task.SOLVE, ASKED[:1], source="gsm8k")
    assert (cut.is_truncated, whole.is_truncated) == (True, False)
    assert whole.text.startswith(cut.text)


class _Scripted:
    """A model that says what it is told to, padded to one length with a word."""

    device = torch.device("cpu")
    padding = 0
    name_or_path = "scripted"

    def __init__(self, *answers: list[int], eos: int | list[int] | None) -> None:
        self._answers = answers
        self.generation_config = SimpleNamespace(eos_token_id=eos)

    def eval(self) -> None:
        pass

    def generate(self, input_ids: torch.Tensor, **settings: object) -> torch.Tensor:
        self.settings = settings
        longest = max(map(len, self._answers))
        padded = [[*answer, *[self.padding] * (longest - len(answer))] for answer in self._answers]
        return torch.cat([input_ids, torch.tensor(padded)], 1)


def said(tokenizer: PreTrainedTokenizerBase, *answers: str, eos: int | list[int] | None = None) -> list[Completion]:
    ids = [tokenizer.encode(answer, add_special_tokens=False) for answer in answers]
    model = _Scripted(*ids, eos=eos)
    [model.padding] = tokenizer.encode("7", add_special_tokens=False)
    generate = generator_of(model, tokenizer, batch_size=9)
    return generate(Task.SOLVE, [{"question": "Q"}] * len(answers), source="gsm8k")


def test_what_stands_behind_the_end_is_padding_also_where_padding_is_a_word(
    embedded_tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Without a pad token, token 0 pads, and in some vocabularies that is "!"."""
    samples = said(embedded_tokenizer, " It is 9.<|eos|>", " It is twelve, or a dozen.<|eos|>")
    assert (samples[0].text, samples[0].is_truncated) == ("It is 9.", False)
    assert samples[0].num_completion_tokens == len(embedded_tokenizer.encode(" It is 9.<|eos|>"))


def test_every_end_that_the_models_folder_names_ends_a_text(embedded_tokenizer: PreTrainedTokenizerBase) -> None:
    end, endless = embedded_tokenizer.bos_token_id, " It is 9 and on and on"
    samples = said(embedded_tokenizer, " It is 9.<|bos|> more", " It is 9.<|eos|> more", endless, eos=[end])
    assert [sample.is_truncated for sample in samples] == [False, False, True]
    assert [sample.text for sample in samples] == ["It is 9.", "It is 9.", "It is 9 and on and on"]


def test_a_stop_string_ends_a_text_as_it_does_in_serving(embedded_tokenizer: PreTrainedTokenizerBase) -> None:
    [sample] = said(embedded_tokenizer, " It is 9.\nQuestion: What else?")
    assert (sample.text, sample.finish_reason) == ("It is 9.", FinishReason.STOP)


def test_sampling_takes_all_of_the_distribution_at_its_temperature(
    embedded_tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = _Scripted([5, 2], eos=2)
    generate = generator_of(model, embedded_tokenizer)
    generate(Task.SOLVE, ASKED[:1], source="gsm8k", temperature=0.7)
    assert (model.settings["do_sample"], model.settings["temperature"], model.settings["top_k"]) == (True, 0.7, 0)
    generate(Task.SOLVE, ASKED[:1], source="gsm8k")
    assert model.settings["do_sample"] is False
