"""Several values in one answer: ± spelled out, labels taken off lists, solutions grouped."""

from metamath_ray.grading.relations import split_label
from metamath_ray.grading.tree import Node


def values_of(node: Node) -> Node:
    """Return the node with ± spelled out and the labels of its items taken off where they do not matter."""
    if node.has("plus_minus"):
        node = _spell_out(node)
    if node.head == "list":
        return _unlabelled(node)
    return node


def _spell_out(node: Node) -> Node:
    """Replace ± by its two signs: in each item of a collection on its own, together within one item."""
    if node.head in ("list", "set"):
        items: list[Node] = []
        for arg in node.args:
            spelled = _spell_out(arg) if arg.has("plus_minus") else arg
            items.extend(spelled.args if spelled.head == "list" and arg.head != "list" else [spelled])
        return Node(node.head, tuple(items), node.text)
    return Node("list", (_with_sign(node, "+-"), _with_sign(node, "-+")))


def _with_sign(node: Node, positive: str) -> Node:
    """Take every sign that equals `positive` as plus and the other as minus."""
    args = tuple(_with_sign(arg, positive) for arg in node.args)
    if node.head == "plus_minus":
        return args[0] if node.text == positive else Node("neg", args)
    return Node(node.head, args, node.text)


def _unlabelled(node: Node) -> Node:
    """Take labels off: "x = 1, x = 2" is a set, "p = 5, q = 2" a pair, repeated pairs are a list of pairs."""
    pairs = [split_label(item) for item in node.args]
    labels = [label for label, _ in pairs]
    values = tuple(values_of(value) for _, value in pairs)
    named = [label for label in labels if label is not None]
    if not named:
        return _flat(node)
    if len(named) < len(labels):
        return _flat(Node("list", values)) if labels[0] is not None and len(named) == 1 else node
    period = len(set(labels))
    if period == 1:
        return _flat(Node("list", values))
    if len(labels) % period == 0 and labels == labels[:period] * (len(labels) // period):
        groups = [Node("tuple", values[start : start + period], "()") for start in range(0, len(values), period)]
        if len(groups) > 1:
            return Node("list", tuple(groups))
        return Node("record", tuple(Node("relation", pair, "=") for pair in zip(named, values, strict=True)))
    return node


def is_numbered(record: Node) -> bool:
    """Whether the labels of a record are x_1, x_2, …: then they number the elements of a set."""
    labels = [item.args[0] for item in record.args]
    return (
        all(label.head == "symbol" for label in labels) and len({label.text.partition("_")[0] for label in labels}) == 1
    )


def _flat(node: Node) -> Node:
    """Put lists in a list into one."""
    items: list[Node] = []
    for item in node.args:
        inner = values_of(item) if item.head in ("list", "relation") or item.has("plus_minus") else item
        if item.head == "list" and inner.head == "list":
            items.append(Node("tuple", inner.args, "()"))
        else:
            items.extend(inner.args if inner.head == "list" else [inner])
    return Node(node.head, tuple(items), node.text)
