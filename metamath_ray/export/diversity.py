"""How far new questions lie from old ones: diversity gain (MetaMath, arXiv 2309.12284, section 4.3)."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from metamath_ray.datasets.folding import fold

Vectors = npt.NDArray[np.float32]
Embedding = Callable[[Sequence[str]], Vectors]
"""Texts → one vector each: shape [number of texts, dimension]."""

DIMENSION = 512
_CHARACTERS = 3
_TEXTS_AT_A_TIME = 1024
_BASE_AT_A_TIME = 8192


def hashed_ngrams(texts: Sequence[str]) -> Vectors:
    """Embed texts by their words, pairs of words and runs of three characters within words, without any model.

    Each feature is counted in one of 512 places, with a sign, both by CRC-32; the vector has length 1, so that the
    squared distance of two texts lies between 0 (the same features) and 4. Case, spaces and punctuation do not count.

    Returns:
        Shape [number of texts, 512]; the same on every machine. A text without words is the zero vector.
    """
    vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
    for row, text in enumerate(texts):
        features = np.fromiter(_features(fold(text).split()), dtype=np.int64)
        np.add.at(vectors[row], features >> 1, (2 * (features & 1) - 1).astype(np.float32))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


def _features(words: Sequence[str]) -> Iterator[int]:
    for word in words:
        yield from _word_features(word)
    for one, other in pairwise(words):
        yield _hashed(f"{one} {other}")


@lru_cache(maxsize=2**16)
def _word_features(word: str) -> tuple[int, ...]:
    framed = f"^{word}$"
    parts = (framed[start : start + _CHARACTERS] for start in range(len(framed) - _CHARACTERS + 1))
    return tuple(map(_hashed, {framed, *parts}))


def _hashed(feature: str) -> int:
    """Return the place of a feature, and in the last bit its sign."""
    code = zlib.crc32(feature.encode())
    return (code % DIMENSION) << 1 | (code >> 31)


def distances(new: Sequence[str], base: Sequence[str], embed: Embedding = hashed_ngrams) -> npt.NDArray[np.float64]:
    """Return each new text's squared distance to the nearest base text: min ‖f(x) − f(y)‖² over y.

    Memory grows with the number of base texts, not with new × base.

    Args:
        embed: f.

    Returns:
        Shape [number of new texts].

    Raises:
        ValueError: There is no base text.
    """
    if not base:
        raise ValueError("no base texts to measure the distance from")
    anchors = np.concatenate([embed(chunk) for chunk in _chunks(base, _TEXTS_AT_A_TIME)])
    found = [_nearest(embed(chunk), anchors) for chunk in _chunks(new, _TEXTS_AT_A_TIME)]
    return np.concatenate(found) if found else np.zeros(0)


def _nearest(vectors: Vectors, anchors: Vectors) -> npt.NDArray[np.float64]:
    """Return ‖x‖² + ‖y‖² − 2 x·y for the y that makes it least."""
    points = vectors.astype(np.float64)  # what nearly cancels needs the digits
    least: npt.NDArray[np.float64] = np.full(len(points), np.inf)
    for start in range(0, len(anchors), _BASE_AT_A_TIME):
        block = anchors[start : start + _BASE_AT_A_TIME].astype(np.float64)
        partial = np.square(block).sum(axis=1) - 2 * points @ block.T
        least = np.minimum(least, partial.min(axis=1))
    least += np.square(points).sum(axis=1)
    return np.maximum(least, 0.0)


def _chunks(texts: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))
