"""Whether two parsed answers are the same: labels, lists, sets, tuples, intervals, equations, matrices, ratios."""

from collections.abc import Sequence

from metamath_ray.grading.matrices import fold_matrices
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, all_of, unknown
from metamath_ray.grading.realsets import compare_real_sets, real_set
from metamath_ray.grading.relations import UNDECIDED, compare_relations, is_name, split_label
from metamath_ray.grading.scalars import compare_scalars
from metamath_ray.grading.tree import Node, symbol
from metamath_ray.grading.values import is_numbered, values_of
from metamath_ray.types import Verdict

_MAX_ITEMS = 64
_ELLIPSIS = symbol("...")


def compare_nodes(a: Node, b: Node) -> Comparison:
    """Compare two parsed answers."""
    if a == b:
        return EQUAL
    label_a, value_a = split_label(a)
    label_b, value_b = split_label(b)
    if a.head == b.head == "relation":
        found = compare_relations(a, b)
        if found.verdict is not Verdict.UNKNOWN or (found == UNDECIDED and not (is_name(label_a) and is_name(label_b))):
            return found
    if label_a and label_b and not _same_label(label_a, label_b):
        return DIFFERENT
    return compare_values(values_of(value_a), values_of(value_b))


def _same_label(a: Node, b: Node) -> bool:
    """Whether two left sides may name the same thing; only two different plain letters cannot."""
    if a.head != "symbol" or b.head != "symbol":
        return True
    return a.text.partition("_")[0] == b.text.partition("_")[0]


def compare_values(a: Node, b: Node) -> Comparison:  # noqa: PLR0911
    """Compare two answers without labels."""
    if a == b:
        return EQUAL
    if a.text.startswith("set of ") and b.text.startswith("set of "):
        return DIFFERENT
    heads = {a.head, b.head}
    if heads & {"cup", "cap", "setminus", "relation", "symbol"} or {a.text, b.text} & {"or", "and"}:
        sets = real_set(a), real_set(b)
        if sets[0] is not None and sets[1] is not None:
            return compare_real_sets(sets[0], sets[1])
    if "record" in heads:
        return _compare_records(a, b)
    if heads & {"list", "set", "tuple"}:
        return _compare_collections(a, b)
    if "ratio" in heads:
        return _compare_ratios(a, b)
    if a.has("matrix") or b.has("matrix"):
        return _compare_matrices(a, b)
    if heads & {"relation", "cup", "cap", "setminus"}:
        return _compare_other(a, b)
    if _has_collection(a) != _has_collection(b):
        return DIFFERENT
    return compare_scalars(a, b)


def _has_collection(node: Node) -> bool:
    return any(part.head in ("tuple", "set", "list") for part in node.walk())


def _describes_set(node: Node) -> bool:
    """Whether the node may stand for a set: an inequality, a union, an interval; an equation of two does not."""
    return node.head in ("cup", "cap", "setminus", "tuple", "set") or (
        node.head == "relation" and "=" not in node.text.split()
    )


def _compare_other(a: Node, b: Node) -> Comparison:
    """Compare relations and set operations that have no simpler form: part by part."""
    if a.head == b.head == "relation":
        return compare_relations(a, b)
    if a.head != b.head:
        return unknown("two ways to write a set") if _describes_set(a) and _describes_set(b) else DIFFERENT
    return all_of(compare_values(x, y) for x, y in zip(a.args, b.args, strict=True))


def _compare_collections(a: Node, b: Node) -> Comparison:
    """Compare lists, sets and tuples; order counts where one side is a tuple."""
    if not {a.head, b.head} <= {"list", "set", "tuple"} or any(_holds_one_tuple(node) for node in (a, b)):
        return _compare_with_single(a, b)
    if (_ELLIPSIS in a.args) != (_ELLIPSIS in b.args):
        return unknown("a list with an ellipsis")
    if a.head == b.head == "tuple" and not _same_brackets(a, b):
        return DIFFERENT
    if "tuple" in (a.head, b.head):
        if "set" in (a.head, b.head) or len(a.args) != len(b.args):
            return DIFFERENT
        return all_of(compare_nodes(x, y) for x, y in zip(a.args, b.args, strict=True))
    return compare_unordered(a.args, b.args)


def _holds_one_tuple(node: Node) -> bool:
    return node.head == "set" and len(node.args) == 1 and node.args[0].head == "tuple"


def _compare_records(a: Node, b: Node) -> Comparison:
    """Compare labelled values by label, or in their order with values that have no labels."""
    if a.head != b.head:
        record, other = (a, b) if a.head == "record" else (b, a)
        if other.head not in ("list", "set", "tuple"):
            return DIFFERENT
        values = Node("list", tuple(item.args[1] for item in record.args))
        if other.head != "tuple" and is_numbered(record):
            return compare_unordered(values.args, other.args)
        return _compare_collections(Node("tuple", values.args, "()"), Node("tuple", other.args, "()"))
    first = {item.args[0]: item.args[1] for item in a.args}
    second = {item.args[0]: item.args[1] for item in b.args}
    if first.keys() == second.keys():
        return all_of(compare_nodes(first[label], second[label]) for label in first)
    if len(first) != len(second) or not all(map(_same_label, first, second)):
        return DIFFERENT
    return all_of(map(compare_nodes, first.values(), second.values()))


def _compare_with_single(a: Node, b: Node) -> Comparison:
    """Compare a collection with something that is none: a column vector, or a set of one element."""
    if b.head in ("list", "set", "tuple") and not _holds_one_tuple(a):
        a, b = b, a
    if b.head == "matrix" and all(arg.head == "tuple" and arg.text == "[]" for arg in (a, *a.args)):
        return _compare_matrices(Node("matrix", tuple(Node("row", arg.args) for arg in a.args)), b)
    if b.head == "matrix" and 1 in (len(b.args), len(b.args[0].args)) and a.head in ("tuple", "list"):
        cells = [cell for row in b.args for cell in row.args]
        if len(cells) != len(a.args):
            return DIFFERENT
        return all_of(compare_nodes(x, y) for x, y in zip(a.args, cells, strict=True))
    if len(set(a.args)) == 1 and a.head != "tuple":
        return compare_nodes(a.args[0], b)
    return DIFFERENT


def _same_brackets(a: Node, b: Node) -> bool:
    """Whether the brackets mean the same: they are ends of an interval around two values, else mere style."""
    return len(a.args) != 2 or len(b.args) != 2 or a.text == b.text


def compare_unordered(a: Sequence[Node], b: Sequence[Node]) -> Comparison:
    """Compare two sets, in which repeated elements count once."""
    if max(len(a), len(b)) > _MAX_ITEMS:
        return unknown("too many elements")
    first, second = _distinct(a), _distinct(b)
    if len(first) != len(second):
        return DIFFERENT
    doubt = None
    for item in first:
        for place, other in enumerate(second):
            found = compare_nodes(item, other)
            if found.is_equal:
                del second[place]
                break
            if found.verdict is Verdict.UNKNOWN:
                doubt = found
        else:
            return doubt or DIFFERENT
    return EQUAL


def _distinct(items: Sequence[Node]) -> list[Node]:
    return list(dict.fromkeys(items))


def _compare_ratios(a: Node, b: Node) -> Comparison:
    """Compare a:b:c with a multiple of it, or a:b with the fraction a/b."""
    if a.head != b.head:
        ratio, other = (a, b) if a.head == "ratio" else (b, a)
        if len(ratio.args) != 2 or other.head in ("list", "set", "tuple", "matrix", "relation"):
            return DIFFERENT
        return compare_scalars(Node("div", ratio.args), other)
    if len(a.args) != len(b.args):
        return DIFFERENT
    (x, *xs), (y, *ys) = a.args, b.args
    return all_of(
        compare_scalars(Node("mul", (x, other)), Node("mul", (y, one))) for one, other in zip(xs, ys, strict=True)
    )


def _compare_matrices(a: Node, b: Node) -> Comparison:
    first, second = fold_matrices(a), fold_matrices(b)
    if first is None or second is None:
        return unknown("matrix expression")
    if "matrix" not in (first.head, second.head):
        return compare_scalars(first, second)
    if first.head != second.head:
        return DIFFERENT
    if [len(row.args) for row in first.args] != [len(row.args) for row in second.args]:
        return DIFFERENT
    cells_a = [cell for row in first.args for cell in row.args]
    cells_b = [cell for row in second.args for cell in row.args]
    return all_of(compare_nodes(x, y) for x, y in zip(cells_a, cells_b, strict=True))
