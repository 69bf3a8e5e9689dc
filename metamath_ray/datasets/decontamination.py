"""Whether a text to train on repeats a question of a test set.

Three ways to overlap, looked for in this order:

* exact: both are the same text once case, white space, punctuation and digit grouping are folded away.
* template: both are the same text with other numbers. Common in school problems, and no proof of a leak: reported, and
  removed only on demand. With the same numbers in another order it counts as a template too.
* ngram: thirteen words in a row of the test question occur in the text. Numbers count as words; operators, brackets,
  diagram code and the fixed words of backward questions ("If we know the answer to the above question is 110, what is
  the value of unknown variable x?") do not. A test question of fewer than thirteen words can only match as a whole.

Thirteen words can be a phrase of the genre ("where $m$ and $n$ are relatively prime positive integers. Find $m+n$"), so
every hit says what was shared, and the kinds that remove are a choice.
"""

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum

from metamath_ray.datasets.folding import fold, words

NGRAM_WORDS = 13
"""Length of a telling run of words; 13 as in the GPT-3 report (arXiv 2005.14165, appendix C)."""

_BACKWARD_WORDS = re.compile(
    r"(?:if we know the answer (?:to|of) the above question is (?:\S+ ){1,20}?)?"
    r"what is the value of (?:the )?unknown variable \w+"
)
_NUMBER = re.compile(r"[\d.]+")


class ContaminationKind(StrEnum):
    """How a text overlaps with a test question."""

    EXACT = "exact"
    TEMPLATE = "template"
    NGRAM = "ngram"


REMOVED_KINDS = frozenset({ContaminationKind.EXACT, ContaminationKind.NGRAM})
"""What is kept out of training data unless the user says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """One overlap.

    Attributes:
        test_set: Name of the test set.
        test_question: The test question as it stands there.
        overlap: What both share: the run of words, or the whole folded text.
        is_removed: Whether the text must not be trained on; otherwise the overlap is only reported.
    """

    kind: ContaminationKind
    test_set: str
    test_question: str
    overlap: str
    is_removed: bool


class Decontaminator:
    """An index of test questions; building and checking take time linear in the text.

    Args:
        test_questions: Pairs of (name of the test set, question). A question that repeats is kept once, under the name
            that came first.
        removed_kinds: Which kinds of overlap keep a text out; the others are reported.
    """

    def __init__(
        self, test_questions: Iterable[tuple[str, str]], *, removed_kinds: Set[ContaminationKind] = REMOVED_KINDS
    ) -> None:
        self._removed_kinds = removed_kinds
        self._questions: list[tuple[str, str]] = []
        self._exact: dict[int, int] = {}
        self._templates: dict[int, int] = {}
        self._ngrams: dict[int, int] = {}
        for name, question in test_questions:
            folded = fold(question)
            if folded and hash(folded) not in self._exact:
                self._add(name, question, folded)

    @property
    def num_questions(self) -> int:
        """Number of distinct test questions."""
        return len(self._questions)

    def check(self, text: str) -> Contamination | None:
        """Return the first overlap found, in the order of the module's list; None for a clean text."""
        folded = fold(text)
        if (index := self._exact.get(hash(folded))) is not None:
            return self._hit(ContaminationKind.EXACT, index, folded)
        if (index := self._templates.get(hash(_template(folded)))) is not None:
            return self._hit(ContaminationKind.TEMPLATE, index, folded)
        ngrams = _ngrams(folded)
        if self._ngrams.keys().isdisjoint(map(hash, ngrams)):
            return None
        shared = next(ngram for ngram in ngrams if hash(ngram) in self._ngrams)
        return self._hit(ContaminationKind.NGRAM, self._ngrams[hash(shared)], " ".join(shared))

    def _add(self, name: str, question: str, folded: str) -> None:
        index = len(self._questions)
        self._questions.append((name, question))
        self._exact[hash(folded)] = index
        self._templates.setdefault(hash(_template(folded)), index)
        for ngram in _ngrams(folded):
            self._ngrams.setdefault(hash(ngram), index)

    def _hit(self, kind: ContaminationKind, index: int, overlap: str) -> Contamination:
        test_set, question = self._questions[index]
        return Contamination(
            kind=kind,
            test_set=test_set,
            test_question=question,
            overlap=overlap,
            is_removed=kind in self._removed_kinds,
        )


def _template(folded: str) -> str:
    """Replace every number by one slot; folded tokens stand between single spaces."""
    return _NUMBER.sub("0", folded)


def _ngrams(folded: str) -> list[tuple[str, ...]]:
    """Return every run of words; indexed by a hash of 64 bits: about one false hit in 10^13 runs."""
    tokens = words(folded)
    if "unknown" in tokens:
        tokens = _BACKWARD_WORDS.sub("|", " ".join(tokens)).split(" ")
    return list(zip(*(tokens[start:] for start in range(NGRAM_WORDS)), strict=False))
