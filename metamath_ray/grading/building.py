"""Nodes out of their parts, as the parser meets them."""

from metamath_ray.grading.tree import Node, number, symbol


def items(node: Node) -> tuple[Node, ...]:
    """Return the items of a bare list; any other node is one item."""
    return node.args if node.head == "list" else (node,)


def signed(sign: str, node: Node) -> Node:
    """Return the node behind a sign: "+", "-", "+-" for ± and "-+" for ∓."""
    match sign:
        case "+":
            return node
        case "-":
            return Node("neg", (node,))
    return Node("plus_minus", (node,), sign)


def function_call(name: str, args: tuple[Node, ...], base: Node | None, root: Node | None) -> Node:
    """Return the call of a named function, with the base of a logarithm and the degree of a root where it has one."""
    if name == "conjugate":
        return overlined(args[0])
    heads = {"abs": "abs", "factorial": "factorial", "binomial": "binom", "cbrt": "root", "lg": "log"}
    first = {"cbrt": number("3"), "lg": number("10")}.get(name)
    if name == "sqrt" and root is not None:
        return Node("root", (root, *args))
    if name == "log" and (base is not None or len(args) == 2):
        return Node("log", (base, *args) if base is not None else args[::-1])
    args = args if first is None else (first, *args)
    return Node(heads[name], args) if name in heads else Node("call", args, name)


def overlined(node: Node) -> Node:
    """Return the conjugate of a complex number; over letters the line is part of the name."""
    if symbol("i") in node.walk():
        return Node("call", (node,), "conjugate")
    return symbol(f"overline {spelling(node)}")


def is_proper_fraction(node: Node) -> bool:
    """Whether the node is a fraction of whole numbers below 1, the second half of a mixed number."""
    if node.head != "div" or any(arg.head != "number" or not arg.text.isdecimal() for arg in node.args):
        return False
    return int(node.args[0].text) < int(node.args[1].text)


def is_minus_one(node: Node) -> bool:
    """Whether the node is -1, the exponent that makes an inverse function."""
    return node == Node("neg", (number("1"),))


def in_base(digits: str, base: str) -> bool:
    """Whether a subscript can be the base of a number with these digits."""
    return len(base) <= 2 and 2 <= int(base) <= 36 and all(int(digit) < int(base) for digit in digits)


def spelling(node: Node) -> str:
    """Return one flat spelling of a node, for the names of subscripted symbols."""
    if not node.args:
        return node.text
    return f"{node.head}{node.text}({','.join(spelling(arg) for arg in node.args)})"
