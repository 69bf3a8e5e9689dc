"""The values that stand for symbols when expressions are evaluated: fixed for a name and a point, else random."""

from fractions import Fraction
from hashlib import blake2b

from metamath_ray.grading.tree import Node

WHOLE_NAMES = frozenset(("n", "k", "m", "N"))
"""Symbols that stand for whole numbers, so that they may be bounds of a sum."""

_SIZES = (Fraction(3, 10), Fraction(1), Fraction(4), Fraction(17))


def random_bits(name: str, point: int) -> int:
    """Return 64 bits that depend on nothing but a name and the number of a point."""
    return int.from_bytes(blake2b(f"{point}:{name}".encode(errors="replace"), digest_size=8).digest())


def whole_samples(node: Node, point: int) -> dict[str, int]:
    """Return the values of the whole-number symbols of a node at a point."""
    return {name: 2 + random_bits(name, point) % 11 for name in node.symbols() & WHOLE_NAMES}


def sample(name: str, point: int) -> Fraction:
    """Return the value of a symbol at a point; at every third point some are negative."""
    bits = random_bits(name, point)
    sign = -1 if point % 3 == 2 and bits & 1 else 1
    return sign * _SIZES[point % 4] * Fraction(1_000 + bits % 9_973, 10_973)
