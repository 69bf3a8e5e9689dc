"""Sums, products and scalar multiples of matrices, folded into one matrix of expressions."""

from collections.abc import Callable
from functools import reduce

from metamath_ray.grading.tree import Node

_MAX_SIDE = 12


def fold_matrices(node: Node) -> Node | None:
    """Return a matrix of scalar expressions, or a node without matrices; None where the shapes do not fit."""
    try:
        return _fold(node)
    except _ShapeError:
        return None


class _ShapeError(Exception):
    """The shapes do not fit, or the operation is not one of matrices."""


def _fold(node: Node) -> Node:  # noqa: PLR0911
    if node.head == "matrix":
        if max(len(node.args), len(node.args[0].args)) > _MAX_SIDE:
            raise _ShapeError
        return node
    if not node.has("matrix"):
        return node
    args = [_fold(arg) for arg in node.args]
    match node.head:
        case "add":
            return reduce(_add, args)
        case "neg":
            return _map(args[0], lambda cell: Node("neg", (cell,)))
        case "mul":
            return _multiply(args[0], args[1])
        case "div" if args[1].head != "matrix":
            return _map(args[0], lambda cell: Node("div", (cell, args[1])))
        case "call" if node.text == "det":
            return _determinant(_rows(args[0]))
        case "pow" if args[1].head == "number" and args[1].text in ("2", "3", "4"):
            return reduce(_multiply, [args[0]] * int(args[1].text))
    raise _ShapeError


def _rows(matrix: Node) -> list[tuple[Node, ...]]:
    return [row.args for row in matrix.args]


def _matrix(rows: list[list[Node]]) -> Node:
    return Node("matrix", tuple(Node("row", tuple(row)) for row in rows))


def _map(matrix: Node, change: Callable[[Node], Node]) -> Node:
    return _matrix([[change(cell) for cell in row] for row in _rows(matrix)])


def _add(a: Node, b: Node) -> Node:
    if a.head != "matrix" or b.head != "matrix" or len(a.args) != len(b.args):
        raise _ShapeError
    pairs = zip(_rows(a), _rows(b), strict=True)
    if any(len(x) != len(y) for x, y in zip(_rows(a), _rows(b), strict=True)):
        raise _ShapeError
    return _matrix([[Node("add", cells) for cells in zip(x, y, strict=True)] for x, y in pairs])


def _multiply(a: Node, b: Node) -> Node:
    if a.head != "matrix":
        return _map(b, lambda cell: Node("mul", (a, cell)))
    if b.head != "matrix":
        return _map(a, lambda cell: Node("mul", (b, cell)))
    rows, columns = _rows(a), list(zip(*_rows(b), strict=True))
    if len(rows[0]) != len(b.args):
        raise _ShapeError
    return _matrix(
        [[_total([Node("mul", pair) for pair in zip(row, column, strict=True)]) for column in columns] for row in rows]
    )


def _total(terms: list[Node]) -> Node:
    return terms[0] if len(terms) == 1 else Node("add", tuple(terms))


def _determinant(rows: list[tuple[Node, ...]]) -> Node:
    """Expand along the first row; up to 4 by 4."""
    if len(rows) > 4 or any(len(row) != len(rows) for row in rows):
        raise _ShapeError
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for place, cell in enumerate(rows[0]):
        minor = _determinant([row[:place] + row[place + 1 :] for row in rows[1:]])
        term = Node("mul", (cell, minor))
        terms.append(term if place % 2 == 0 else Node("neg", (term,)))
    return _total(terms)
