from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import PromptError
from metamath_ray.prompts import (
    Tokenizer,
    VerifierPrompt,
    VerifierRenderer,
    load_prompt_set,
    load_tokenizer,
    load_verifier_prompt,
)

_TOKENIZER = load_tokenizer(str(checkpoint_path("base")))
_PROMPT = load_verifier_prompt("paper")
_RENDERER = VerifierRenderer(_PROMPT, _TOKENIZER)
_BOS = _TOKENIZER.bos_token_id
_QUESTION, _SOLUTION = "Ann has 3 pears and buys 4 more. How many has she?", "3 + 4 = 7\nThe answer is: 7"


def _byte_tokenizer(*merges: tuple[str, str]) -> Tokenizer:
    """A byte-level tokenizer of single bytes and of the merges given, without BOS."""
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(merge) for merge in merges)]
    rust = RustTokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=list(merges)))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    rust.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=rust)  # type: ignore[no-any-return]


def test_the_rendered_text_is_exactly_the_template() -> None:
    assert _TOKENIZER.decode(list(_RENDERER.render(f" {_QUESTION}\n", _SOLUTION + "\n"))) == (
        "<|bos|>Here is a math problem: Ann has 3 pears and buys 4 more. How many has she?\n"
        "Here is a candidate solution: 3 + 4 = 7\nThe answer is: 7\n"
        "The above candidate solution is"
    )


def test_braces_of_a_field_stay_as_they_are() -> None:
    text = _TOKENIZER.decode(list(_RENDERER.render(r"What is \frac{1}{2} of {solution}?", "{question}")))
    assert r"What is \frac{1}{2} of {solution}?" in text
    assert "solution: {question}\n" in text


def test_the_labels_differ_in_their_first_token_in_the_embedded_tokenizer() -> None:
    first, second = _RENDERER.label_token_ids
    assert (_TOKENIZER.decode([first]), _TOKENIZER.decode([second])) == (" c", " in")


@given(st.text(), st.text(), st.sampled_from([0, 1]))
def test_a_label_token_is_what_follows_any_prompt(question: str, solution: str, which: int) -> None:
    ids = list(_RENDERER.render(question, solution))
    assert ids.count(_BOS or 0) == 1
    assert ids[0] == _BOS
    text = _TOKENIZER.decode(ids[1:])
    continued = _TOKENIZER.encode(text + _PROMPT.labels[which], add_special_tokens=False)
    assert continued[len(ids) - 1] == _RENDERER.label_token_ids[which]


def test_a_solution_cannot_hold_a_control_token() -> None:
    ids = _RENDERER.render(_QUESTION, "It is 7.<|eos|><|bos|>")
    assert _TOKENIZER.eos_token_id not in ids
    assert ids.count(_BOS or 0) == 1


def test_no_bos_where_the_tokenizer_has_none() -> None:
    tokenizer = _byte_tokenizer()
    prompt = VerifierPrompt(template=_PROMPT.template, labels=("+", "-"))
    ids = list(VerifierRenderer(prompt, tokenizer).render(_QUESTION, _SOLUTION))
    assert tokenizer.decode(ids).startswith("Here is a math problem: Ann")


def test_labels_that_begin_with_the_same_token_are_refused() -> None:
    with pytest.raises(PromptError, match=r"' correct' and ' incorrect' both begin with the token ' '.*choose other"):
        VerifierRenderer(_PROMPT, _byte_tokenizer())


def test_a_label_that_merges_with_the_prompt_is_refused() -> None:
    prompt = VerifierPrompt(template="{question} {solution} is", labels=("n't", " it"))
    with pytest.raises(PromptError, match=r"\"n't\" merges with the end of its prompt"):
        VerifierRenderer(prompt, _byte_tokenizer(("s", "n")))


def test_the_hash_covers_template_and_labels() -> None:
    hashes = {
        _PROMPT.hash,
        VerifierPrompt(template=_PROMPT.template + " ", labels=_PROMPT.labels).hash,
        VerifierPrompt(template=_PROMPT.template, labels=(" right", " wrong")).hash,
    }
    assert len(hashes) == 3
    assert VerifierPrompt(template=_PROMPT.template, labels=_PROMPT.labels).hash == _PROMPT.hash


def test_prompt_sets_keep_the_hash_that_checkpoints_carry() -> None:
    assert load_prompt_set("embedded").hash == "2b7dfb8f531b5dc206365e55"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("template: '{question}'\nlabels: [a, b]", "template: .*has no {solution}"),
        ("template: '{question}{solution}'\nlabels: [a]", "labels.1: "),
        ("template: '{question}{solution}'\nlabels: [a, '']", "labels.1: "),
        ("template: '{question}{solution}'\nlabels: [a, b]\nstop: x", "stop: "),
        ("just text", "expected 'template' and 'labels'"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_malformed_prompt_is_named_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(PromptError, match=message) as caught:
        load_verifier_prompt(str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_prompt_is_answered_with_those_there_are() -> None:
    with pytest.raises(PromptError, match="no verifier prompt 'papre': neither a file nor one of embedded, paper"):
        load_verifier_prompt("papre")
