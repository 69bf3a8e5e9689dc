"""What takes rows out of a data set, each by its own rule: ours, datasketch's MinHash, datatrove's n-grams."""

import hashlib
import importlib.util
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from export_rows import Row, outcome_of

from metamath_ray.datasets import Decontaminator
from metamath_ray.datasets.decontamination import NGRAM_WORDS
from metamath_ray.export import Rejected, select_rows
from metamath_ray.types import Outcome

Remove = Callable[[Sequence[Row]], list[bool]]
"""Rows → whether each is taken out; what was seen before counts."""

OURS, OURS_TESTS = "ours", "ours, test questions alone"
DATASKETCH, DATATROVE = "datasketch MinHashLSH", "datatrove NGramsDecontFilter, test questions alone"
RIVAL_OF = {DATASKETCH: OURS, DATATROVE: OURS_TESTS}

PERMUTATIONS, SIMILARITY, SHINGLE_WORDS = 128, 0.8, 3
"""Of MinHash: its own default, and usual choices for near-duplicates."""


def systems(tests: Sequence[tuple[str, str]]) -> dict[str, Remove]:
    """Build each that is installed, its index of the test questions included; say what is not."""
    found = {OURS: ours(tests), OURS_TESTS: our_test_questions(tests)}
    for name, package, build in (
        (DATASKETCH, "datasketch", datasketch_lsh),
        (DATATROVE, "datatrove", datatrove_filter),
    ):
        if importlib.util.find_spec(package):
            found[name] = build(tests)
        else:
            print(f"{package} is not installed: left out.")
    return found


def ours(tests: Iterable[tuple[str, str]]) -> Remove:
    """Decide as `export` does: test questions, then duplicates of earlier rows."""
    waiting: deque[Outcome] = deque()
    decisions = select_rows(iter(waiting.popleft, None), decontaminator=Decontaminator(tests))

    def remove(rows: Sequence[Row]) -> list[bool]:
        waiting.extend(outcome_of(row, number) for number, row in enumerate(rows))
        return [isinstance(decision, Rejected) for decision in islice(decisions, len(rows))]

    return remove


def our_test_questions(tests: Iterable[tuple[str, str]]) -> Remove:
    """Look for test questions alone."""
    decontaminator = Decontaminator(tests)

    def remove(rows: Sequence[Row]) -> list[bool]:
        hits = [decontaminator.check(row.query) for row in rows]
        return [hit is not None and hit.is_removed for hit in hits]

    return remove


def datasketch_lsh(tests: Iterable[tuple[str, str]]) -> Remove:
    """Take out a row whose text is like an earlier row's, or whose question is like a test question."""
    from datasketch import MinHash, MinHashLSH  # noqa: PLC0415  (a rival that need not be there)

    def sketch(text: str) -> MinHash:
        tokens = text.lower().split()
        last = max(1, len(tokens) - SHINGLE_WORDS + 1)
        found = MinHash(num_perm=PERMUTATIONS)
        found.update_batch([" ".join(tokens[at : at + SHINGLE_WORDS]).encode() for at in range(last)])
        return found

    questions, earlier = (MinHashLSH(threshold=SIMILARITY, num_perm=PERMUTATIONS) for _ in range(2))
    for text in {question for _, question in tests}:
        questions.insert(hashlib.blake2b(text.encode()).digest(), sketch(text))

    def remove(rows: Sequence[Row]) -> list[bool]:
        removed = []
        for row in rows:
            whole = sketch(f"{row.query}\n{row.response}")
            is_removed = bool(questions.query(sketch(row.query)) or earlier.query(whole))
            if not is_removed:
                earlier.insert(len(earlier.keys), whole)
            removed.append(is_removed)
        return removed

    return remove


def datatrove_filter(tests: Iterable[tuple[str, str]]) -> Remove:
    """Take out a row whose question shares as many words in a row with a test question as ours asks for."""
    from datatrove.data import Document  # noqa: PLC0415
    from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter  # noqa: PLC0415
    from datatrove.utils.text import ngrams, simplify_text  # noqa: PLC0415

    config = NGramsDecontConfig(n_grams=NGRAM_WORDS)
    with tempfile.TemporaryDirectory() as folder:
        found = NGramsDecontFilter(folder, config=config)
    # Its indexer reads what lighteval downloads; this is what it computes of a text.
    found._index_hashes = {
        found.hash_func(" ".join(ngram)): name
        for name, question in tests
        for ngram in ngrams(found.tokenizer.word_tokenize(simplify_text(question, config.norm_config)), NGRAM_WORDS)
    }

    def remove(rows: Sequence[Row]) -> list[bool]:
        return [found.filter(Document(text=row.query, id="")) is not True for row in rows]

    return remove
