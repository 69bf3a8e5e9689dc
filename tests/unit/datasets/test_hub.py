import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from metamath_ray.datasets import ProblemSource, read_problems
from metamath_ray.datasets.hub import is_hub_name
from metamath_ray.errors import DataError


def answer_with(monkeypatch: pytest.MonkeyPatch, load: Callable[..., object]) -> None:
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("openai/gsm8k", True),
        ("HuggingFaceH4/MATH-500", True),
        ("data/train.jsonl", False),
        ("train", False),
        ("a/b/c", False),
        ("/etc/passwd", False),
    ],
)
def test_hub_names(text: str, is_name: bool) -> None:
    assert is_hub_name(text) is is_name


def test_rows_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, subset: str | None, *, split: str) -> list[dict[str, str]]:
        asked.append((name, subset, split))
        return [{"question": "One?", "answer": "It is 1.\n#### 1"}]

    answer_with(monkeypatch, load)
    (problem,) = read_problems(ProblemSource(path="openai/gsm8k", subset="main", split="test"))
    assert asked == [("openai/gsm8k", "main", "test")]
    assert (problem.source, problem.split, problem.source_id) == ("gsm8k", "test", "gsm8k[test]:1")


def test_any_failure_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the Hub\nwith a long story")

    answer_with(monkeypatch, load)
    with pytest.raises(DataError) as raised:
        list(read_problems(ProblemSource(path="openai/gsm8k")))
    assert str(raised.value) == (
        "openai/gsm8k[train]: cannot be loaded from the Hugging Face Hub: Couldn't reach the Hub. "
        "Check the name, the subset and the network, or give the path of a local file."
    )


def test_a_named_table_is_tagged_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, lambda *_, **__: [{"q": "One?", "a": 1}])
    source = ProblemSource(format="huggingface", path="org/Sums-v1.0", fields={"question": "q", "answer": "a"})
    (problem,) = read_problems(source)
    assert problem.source == "Sums-v1"
