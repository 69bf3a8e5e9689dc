"""Sets of real numbers: intervals, unions, inequalities in one unknown, written as disjoint pieces in order."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

from metamath_ray.grading.balls import ball_at
from metamath_ray.grading.evaluate import rational_value
from metamath_ray.grading.outcome import DIFFERENT, Comparison, all_of
from metamath_ray.grading.scalars import compare_scalars
from metamath_ray.grading.tree import Node, number, symbol

_INFINITY = symbol("oo")
_BRACKETS = {"()": (False, False), "[]": (True, True), "[)": (True, False), "(]": (False, True)}


@dataclass(frozen=True, slots=True)
class End:
    """One end of a piece; `place` orders ends, `side` is -1 just before the point, +1 just behind it, 0 never."""

    node: Node
    place: float
    side: int

    @property
    def key(self) -> tuple[float, int]:
        """Return what ends are sorted by."""
        return self.place, self.side


@dataclass(frozen=True, slots=True)
class Piece:
    """All numbers between two ends."""

    low: End
    high: End


_LEFT = End(Node("neg", (_INFINITY,)), -math.inf, 1)
_RIGHT = End(_INFINITY, math.inf, -1)
_LINE = (Piece(_LEFT, _RIGHT),)


def real_set(node: Node) -> tuple[Piece, ...] | None:  # noqa: PLR0911
    """Return the pieces of a set of real numbers, None when the node is none that can be read so."""
    match node.head:
        case "tuple" if len(node.args) == 2 and node.text in _BRACKETS:
            return _interval(node)
        case "set":
            return _points(node)
        case "symbol" if node.text == "set of R":
            return _LINE
        case "cup" | "cap" | "setminus":
            return _operation(node)
        case "relation":
            return _inequality(node)
        case "list" if node.text and len({arg.symbols() for arg in node.args}) == 1:
            return _joined(node)
    return None


def compare_real_sets(a: tuple[Piece, ...], b: tuple[Piece, ...]) -> Comparison:
    """Compare two sets piece by piece."""
    if len(a) != len(b):
        return DIFFERENT
    ends_a = [end for piece in a for end in (piece.low, piece.high)]
    ends_b = [end for piece in b for end in (piece.low, piece.high)]
    if any(x.side != y.side for x, y in zip(ends_a, ends_b, strict=True)):
        return DIFFERENT
    return all_of(compare_scalars(x.node, y.node) for x, y in zip(ends_a, ends_b, strict=True))


def _place(node: Node) -> float | None:
    """Return the place of a constant on the line."""
    if node == _INFINITY:
        return math.inf
    if node.head == "neg" and node.args[0] == _INFINITY:
        return -math.inf
    ball = None if node.symbols() else ball_at(node, 0)
    return float(ball.value.real) if ball is not None and ball.is_real else None


def _piece(low: Node, low_closed: bool, high: Node, high_closed: bool) -> tuple[Piece, ...] | None:
    left, right = _place(low), _place(high)
    if left is None or right is None or left > right:
        return None
    if left == right and not (low_closed and high_closed):
        return None
    closed_left, closed_right = low_closed and left != -math.inf, high_closed and right != math.inf
    return (Piece(End(low, left, -1 if closed_left else 1), End(high, right, 1 if closed_right else -1)),)


def _interval(node: Node) -> tuple[Piece, ...] | None:
    low_closed, high_closed = _BRACKETS[node.text]
    return _piece(node.args[0], low_closed, node.args[1], high_closed)


def _points(node: Node) -> tuple[Piece, ...] | None:
    return _union_all(_piece(arg, True, arg, True) for arg in node.args)


def _union_all(sets: Iterable[tuple[Piece, ...] | None]) -> tuple[Piece, ...] | None:
    """Unite sets; None as soon as one of them is None."""
    pieces: list[Piece] = []
    for one in sets:
        if one is None:
            return None
        pieces.extend(one)
    merged: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: piece.low.key):
        if merged and piece.low.key <= merged[-1].high.key:
            high = max(merged[-1].high, piece.high, key=lambda end: end.key)
            merged[-1] = Piece(merged[-1].low, high)
        else:
            merged.append(piece)
    return tuple(merged)


def _joined(node: Node) -> tuple[Piece, ...] | None:
    """Read "… or …" as a union and inequalities with "and" as an intersection."""
    sets = [real_set(arg) for arg in node.args]
    if node.text == "or":
        return _union_all(sets)
    known = [one for one in sets if one is not None]
    if len(known) < len(sets) or any(arg.head != "relation" for arg in node.args):
        return None
    return reduce(_intersection, known)


def _operation(node: Node) -> tuple[Piece, ...] | None:
    first, second = (real_set(Node("set", arg.args) if arg.head == "list" else arg) for arg in node.args)
    if first is None or second is None:
        return None
    if node.head == "cup":
        return _union_all((first, second))
    return _intersection(first, second if node.head == "cap" else _complement(second))


def _complement(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """Return what is left of the line; an end keeps its side, which then belongs to the other piece."""
    ends = [_LEFT, *(end for piece in pieces for end in (piece.low, piece.high)), _RIGHT]
    gaps = zip(ends[::2], ends[1::2], strict=True)
    return tuple(Piece(low, high) for low, high in gaps if low.key < high.key)


def _intersection(a: tuple[Piece, ...], b: tuple[Piece, ...]) -> tuple[Piece, ...]:
    found = []
    for x in a:
        for y in b:
            low = max(x.low, y.low, key=lambda end: end.key)
            high = min(x.high, y.high, key=lambda end: end.key)
            if low.key < high.key:
                found.append(Piece(low, high))
    return tuple(found)


def _inequality(node: Node) -> tuple[Piece, ...] | None:
    """Solve x < a, a <= x < b, x != a and linear ones; |x| between bounds has two pieces."""
    signs = node.text.split()
    if not set(signs) <= {"<", "<=", ">", ">=", "!="}:
        return None
    if len(signs) == 2:
        middle = node.args[1]
        halves = [Node("relation", node.args[:2], signs[0]), Node("relation", node.args[1:], signs[1])]
        sets = [_single(half, middle) for half in halves]
        return None if sets[0] is None or sets[1] is None else _unfold(middle, _intersection(sets[0], sets[1]))
    if len(signs) != 1:
        return None
    left, right = node.args
    unknown = (
        left
        if _is_unknown(left) and not right.symbols()
        else right
        if _is_unknown(right) and not left.symbols()
        else None
    )
    if unknown is not None:
        found = _single(node, unknown)
        return None if found is None else _unfold(unknown, found)
    return _linear(node)


def _is_unknown(node: Node) -> bool:
    return (node.head in ("symbol", "call", "indexed") and bool(node.symbols())) or (
        node.head == "abs" and node.args[0].head == "symbol"
    )


def _single(relation: Node, unknown: Node) -> tuple[Piece, ...] | None:
    """Solve "unknown sign constant" or "constant sign unknown"."""
    left, right = relation.args
    sign = relation.text
    if right == unknown:
        left, right = right, left
        sign = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)
    if left != unknown or not _is_unknown(unknown) or right.symbols():
        return None
    minus = _LEFT.node
    match sign:
        case "<" | "<=":
            return _piece(minus, False, right, sign == "<=")
        case ">" | ">=":
            return _piece(right, sign == ">=", _INFINITY, False)
    point = _piece(right, True, right, True)
    return None if point is None else _complement(point)


def _unfold(unknown: Node, pieces: tuple[Piece, ...]) -> tuple[Piece, ...] | None:
    """Return the numbers whose absolute value is in the pieces, where the unknown is an absolute value."""
    if unknown.head != "abs":
        return pieces
    zero = number("0")
    right = _intersection(pieces, _piece(zero, True, _INFINITY, False) or ())
    return _union_all((right, tuple(_mirrored(piece) for piece in right)))


def _mirrored(piece: Piece) -> Piece:
    return Piece(*(End(_negative(end.node), -end.place, -end.side) for end in (piece.high, piece.low)))


def _negative(node: Node) -> Node:
    return node.args[0] if node.head == "neg" else Node("neg", (node,))


def _linear(node: Node) -> tuple[Piece, ...] | None:
    """Solve a linear inequality with rational coefficients in one unknown."""
    names = node.symbols()
    if len(names) != 1:
        return None
    name = next(iter(names))
    difference = Node("add", (node.args[0], Node("neg", (node.args[1],))))
    at = [rational_value(difference, {name: value}) for value in (0, 1, 2, 5)]
    if at[0] is None or at[1] is None or at[2] is None or at[3] is None:
        return None
    slope = at[1] - at[0]
    if slope == 0 or at[2] != at[0] + 2 * slope or at[3] != at[0] + 5 * slope:
        return None
    root = -at[0] / slope
    sign = node.text if slope > 0 else {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(node.text, node.text)
    return _single(Node("relation", (symbol(name), _rational(root)), sign), symbol(name))


def _rational(value: Fraction) -> Node:
    node = number(str(abs(value)))
    return Node("neg", (node,)) if value < 0 else node
