"""Equations and inequalities: what is a label, what is a value, and when two of them say the same."""

from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, all_of, decided, unknown
from metamath_ray.grading.scalars import compare_proportional, compare_scalars, sign_of_factor
from metamath_ray.grading.tree import Node

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!=", "~": "~", "==": "=="}
UNDECIDED = unknown("equations that may have the same solutions")
_EQUALITIES = frozenset(("=", "~", "=="))
_LABEL_HEADS = frozenset(("symbol", "indexed", "call", "abs", "ratio", "tuple", "div", "mul", "degree", "pow"))


def split_label(node: Node) -> tuple[Node | None, Node]:  # noqa: PLR0911
    """Split "x = 5", "f(x) = 5", "A:B = 1/2", "x in S" into what is named and its value; (None, node) otherwise."""
    if node.head != "relation":
        return None, node
    signs = node.text.split()
    if signs == ["in"]:
        return (node.args[0], node.args[1]) if is_label(node.args[0]) else (None, node)
    if any(sign not in _EQUALITIES for sign in signs):
        return None, node
    if not is_label(node.args[0], value=node.args[-1]):
        if "~" in signs:
            return None, node.args[0]
        constant = len(signs) > 1 or not node.symbols()
        return (node.args[0], node.args[-1]) if constant and not node.args[-1].symbols() else _reversed_label(node)
    values = node.args[1:]
    for value, sign in zip(values[1:], signs[1:], strict=True):
        if sign == "~":
            return node.args[0], values[max(0, values.index(value) - 1)]
    return node.args[0], values[-1]


def _reversed_label(node: Node) -> tuple[Node | None, Node]:
    """Read "5 = x" like "x = 5"."""
    first, last = node.args[0], node.args[-1]
    if len(node.args) == 2 and last.head == "symbol" and last.symbols() and not first.symbols():
        return last, first
    return None, node


def is_label(node: Node, value: Node | None = None) -> bool:
    """Whether a left side only names the value: it adds nothing up, has symbols, and they are not in the value."""
    names = node.symbols()
    if value is not None and names & value.symbols() and node.head not in ("call", "mul"):
        return False
    if not names or node.head not in _LABEL_HEADS:
        return False
    if node.head == "pow" or (node.head == "mul" and not _is_product_of_letters(node)):
        return False
    return not any(
        part.head in ("add", "neg", "plus_minus", "factorial", "pow") for part in node.walk() if part is not node
    )


def is_name(label: Node | None) -> bool:
    """Whether a label can be nothing but a name; a product or a fraction of letters may be half of an equation."""
    return label is not None and label.head not in ("mul", "div", "pow")


def _is_product_of_letters(node: Node) -> bool:
    """Whether a product is a name: "AB", "P(x)", "P(X = 2)", an angle; a number in it makes it an equation."""
    return node.args[-1].head == "relation" or not any(part.head in ("number", "div") for part in node.walk())


def compare_relations(a: Node, b: Node) -> Comparison:
    """Compare two relations as statements; unknown where they may still be equal as labelled values."""
    signs_a, signs_b = a.text.split(), b.text.split()
    if len(signs_a) != len(signs_b):
        return unknown("relations of different length")
    if signs_a == signs_b and a.args == b.args:
        return EQUAL
    if len(signs_a) == 1:
        return _compare_single(a, b)
    flipped = [_FLIPPED.get(sign, sign) for sign in reversed(signs_b)]
    for signs, args in ((signs_b, b.args), (flipped, b.args[::-1])):
        if signs == signs_a:
            found = all_of(compare_scalars(x, y) for x, y in zip(a.args, args, strict=True))
            if found.is_equal:
                return EQUAL
    return unknown("relations")


def _compare_single(a: Node, b: Node) -> Comparison:  # noqa: PLR0911
    """Compare f ~ g with f' ~ g' for one sign each."""
    if a.text == b.text and a.args[0] == b.args[0] and is_label(a.args[0]):
        return compare_scalars(a.args[1], b.args[1])
    if not {a.text, b.text} <= _FLIPPED.keys() or any(node.has("tuple") or node.has("matrix") for node in (a, b)):
        return unknown("relations of other things")
    if a.symbols() != b.symbols() or any(
        node.has(head) for node in (a, b) for head in ("plus_minus", "list", "set", "ratio")
    ):
        return unknown("relations between other symbols")
    equal_signs = {a.text, b.text}
    if a.text in _EQUALITIES or b.text in _EQUALITIES or "!=" in equal_signs:
        if (a.text in _EQUALITIES) != (b.text in _EQUALITIES):
            return DIFFERENT
        found = compare_proportional(_difference(a), _difference(b))
        return found if found.is_equal or (_is_polynomial(a) and _is_polynomial(b)) else UNDECIDED
    found = compare_proportional(_difference(a), _difference(b))
    if not found.is_equal:
        linear = all(_is_polynomial(node) and not node.has("pow") for node in (a, b))
        return found if linear else unknown("inequalities")
    sign = sign_of_factor(_difference(a), _difference(b))
    if sign == 0:
        return unknown("inequalities")
    return decided(a.text == (b.text if sign > 0 else _FLIPPED[b.text]))


def _is_polynomial(node: Node) -> bool:
    """Whether no symbol stands in a denominator, under a root or in an exponent."""
    for part in node.walk():
        if part.head in ("div", "pow") and part.args[1].symbols():
            return False
        if part.head not in ("relation", "add", "neg", "mul", "div", "pow", "number", "symbol"):
            return False
    return True


def _difference(node: Node) -> Node:
    left, right = node.args
    return Node("add", (left, Node("neg", (right,))))
