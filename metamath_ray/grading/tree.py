"""The parsed form of an answer: plain nodes that cost nothing to build, compare and send to a worker."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of an answer.

    Attributes:
        head: What it is: number, symbol, add, mul, div, pow, neg, call, list, tuple, set, relation, …
        args: Its operands.
        text: The literal of a number, the name of a symbol or function, the brackets of a tuple, the signs of a
            relation.
    """

    head: str
    args: tuple["Node", ...] = ()
    text: str = ""

    def walk(self) -> Iterator["Node"]:
        """Yield this node and everything below it."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.args)

    def depth(self) -> int:
        """Return the number of levels; does not recurse."""
        levels, nodes = 0, [self]
        while nodes:
            levels, nodes = levels + 1, [arg for node in nodes for arg in node.args]
        return levels

    def has(self, head: str) -> bool:
        """Whether a node of this head is in here."""
        return any(node.head == head for node in self.walk())

    def symbols(self) -> frozenset[str]:
        """Return the names of the free symbols; constants are no symbols."""
        return frozenset(node.text for node in self.walk() if node.head == "symbol" and node.text not in CONSTANTS)


CONSTANTS = frozenset({"pi", "e", "i", "oo"})


def number(text: str) -> Node:
    """Return a literal."""
    return Node("number", text=text)


def symbol(name: str) -> Node:
    """Return a symbol or a constant."""
    return Node("symbol", text=name)


def pack(node: Node) -> list[object]:
    """Return the node as nested lists, for the pipe to the worker."""
    return [node.head, node.text, *map(pack, node.args)]


def unpack(packed: list[object]) -> Node:
    """Return the node that `pack` packed."""
    head, text, *args = packed
    return Node(str(head), tuple(unpack(arg) for arg in args if isinstance(arg, list)), str(text))
