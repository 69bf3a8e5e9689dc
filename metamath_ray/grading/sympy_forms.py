"""Expressions as sympy prints them ("Matrix([[1], [2]])", "Interval(0, oo)"): programs that models write answer so."""

from collections.abc import Callable
from functools import reduce

from metamath_ray.grading.tree import Node, symbol

Args = tuple[Node, ...]


def _big(name: str) -> Callable[[Args], Node | None]:
    """Return the reader of Sum(body, (index, low, high))."""

    def read(args: Args) -> Node | None:
        if len(args) != 2 or args[1].head != "tuple" or len(args[1].args) != 3:
            return None
        return Node("big", (args[0], *args[1].args), name)

    return read


def _matrix(args: Args) -> Node | None:
    """Read rows; brackets around a single value were taken off, so a flat list is a column."""
    rows = args[0].args if args[0].head == "tuple" else args
    return Node("matrix", tuple(Node("row", row.args if row.head == "tuple" else (row,)) for row in rows))


def _interval(brackets: str) -> Callable[[Args], Node | None]:
    return lambda args: Node("tuple", args[:2], brackets) if len(args) >= 2 else None


def _chain(head: str) -> Callable[[Args], Node | None]:
    return lambda args: reduce(lambda a, b: Node(head, (a, b)), args)


def _pair(head: str) -> Callable[[Args], Node | None]:
    return lambda args: Node(head, args) if len(args) == 2 else None


FORMS: dict[str, Callable[[Args], Node | None]] = {
    "Sum": _big("sum"),
    "Product": _big("prod"),
    "Matrix": _matrix,
    "ImmutableMatrix": _matrix,
    "Interval": _interval("[]"),
    "Interval.open": _interval("()"),
    "Interval.Lopen": _interval("(]"),
    "Interval.Ropen": _interval("[)"),
    "Union": _chain("cup"),
    "Intersection": _chain("cap"),
    "Complement": _pair("setminus"),
    "FiniteSet": lambda args: Node("set", args),
    "Rational": _pair("div"),
    "Integer": lambda args: args[0],
    "Mod": _pair("mod"),
    "Abs": lambda args: Node("abs", args),
    "Max": lambda args: Node("call", args, "max"),
    "Min": lambda args: Node("call", args, "min"),
    "Eq": lambda args: Node("relation", args, "=") if len(args) == 2 else None,
}
"""What each name with arguments stands for; None where the arguments do not fit."""

NAMES: dict[str, Node] = {
    "EmptySet": Node("set"),
    "Reals": symbol("set of R"),
    "Integers": symbol("set of Z"),
    "Rationals": symbol("set of Q"),
    "Naturals": symbol("set of N"),
    "Complexes": symbol("set of C"),
}
"""Names without arguments."""
