"""Our own parser of LaTeX and plain answers: builds nodes, evaluates nothing."""

from metamath_ray.grading.building import (
    function_call,
    in_base,
    is_minus_one,
    is_proper_fraction,
    items,
    overlined,
    signed,
    spelling,
)
from metamath_ray.grading.cursor import END, Cursor
from metamath_ray.grading.limits import MAX_DEPTH, MAX_DIGITS, MAX_NODES, MAX_TREE_DEPTH
from metamath_ray.grading.sympy_forms import FORMS, NAMES
from metamath_ray.grading.tokens import ParseFailure, Token, tokenize
from metamath_ray.grading.tree import Node, number, symbol

_RELATIONS = ("=", "<", ">", "<=", ">=", "!=", "~", "==", "in")
_CLOSING = (")", "]", "}", "}set", ")>", "&", "rfloor", "rceil", "choose")
_OPENING = {"(": ")", "[": "]", "{set": "}set", "<(": ")>"}
_DEGREE = symbol("degree sign")
_UNNAMED = symbol("unnamed")
"""The left side of an inequality that has none: "\\ge 5"."""

_APPLIED = frozenset("fghFGH")
_MATRICES = frozenset(("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "array"))


def parse(text: str) -> Node:
    """Parse a cleaned answer.

    Raises:
        ParseFailure: It is not an expression that this parser knows, or it is beyond a size cap.
    """
    tokens = tokenize(text)
    if len(tokens) > MAX_NODES:
        raise ParseFailure("too many tokens")
    parser = _Parser(tokens)
    node = parser.listing()
    if parser.peek() is not END:
        raise ParseFailure(f"unexpected {parser.peek().text!r}")
    if node.depth() > MAX_TREE_DEPTH:
        raise ParseFailure("nested too deeply")
    return node


class _Parser(Cursor):
    """Recursive descent over one list of tokens; every method reads one construct and leaves the place behind it."""

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self._depth = 0
        self._bars = 0

    def listing(self) -> Node:
        """Read relations separated by commas; semicolons separate lists of them."""
        groups: list[list[Node]] = [[]]
        joint = ""
        while self.peek() is not END and not self.at(*_CLOSING):
            if self.take(";"):
                groups.append([])
            elif self.at(",", "or", "and"):
                word = self.next().text
                joint = joint if word == "," else word
            else:
                groups[-1].append(self._relation())
        groups = [group for group in groups if group]
        if not groups:
            raise ParseFailure("nothing there")
        if len(groups) > 1 and any(len(group) > 1 for group in groups):
            return Node("list", tuple(self._listed(group, "") for group in groups))
        return self._listed([node for group in groups for node in group], joint)

    @staticmethod
    def _listed(items: list[Node], joint: str) -> Node:
        return items[0] if len(items) == 1 else Node("list", tuple(items), joint)

    def _relation(self) -> Node:
        first = _UNNAMED if self.at("<", "<=", ">", ">=", "!=") else self._ratio()
        operands, signs = [first], []
        while self.at(*_RELATIONS):
            signs.append(self.next().text)
            operands.append(self._ratio())
        if not signs:
            return first
        return Node("relation", tuple(operands), " ".join(signs))

    def _ratio(self) -> Node:
        terms = [self._union()]
        while self.take(":"):
            terms.append(self._union())
        return terms[0] if len(terms) == 1 else Node("ratio", tuple(terms))

    def _union(self) -> Node:
        node = self._sum()
        while self.at("cup", "cap", "setminus"):
            operation = self.next().text
            node = Node(operation, (node, self._sum()))
        return node

    def _sum(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ParseFailure("nested too deeply")
        terms = [self._term()]
        while self.at("+", "-", "+-", "-+"):
            sign = self.next().text
            terms.append(signed(sign, self._term()))
        self._depth -= 1
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def _term(self) -> Node:
        """Read a product; juxtaposition multiplies and binds like a sign."""
        signs = []
        while self.at("+", "-", "+-", "-+"):
            signs.append(self.next().text)
        node = self._power()
        while True:
            if self.take("*"):
                node = Node("mul", (node, self._factor()))
            elif self.take("/"):
                node = Node("div", (node, self._factor()))
            elif self.take("mod"):
                for sign in reversed(signs):
                    node = signed(sign, node)
                signs = []
                node = Node("mod", (node, self._factor()))
            elif self._juxtaposed():
                node = self._juxtapose(node)
            else:
                break
        for sign in reversed(signs):
            node = signed(sign, node)
        return node

    def _factor(self) -> Node:
        signs = []
        while self.at("+", "-", "+-", "-+"):
            signs.append(self.next().text)
        node = self._power()
        for sign in reversed(signs):
            node = signed(sign, node)
        return node

    def _juxtaposed(self) -> bool:
        token = self.peek()
        if token.kind == "operator":
            if token.text in ("|", "||"):
                return self._bars == 0
            return token.text in ("(", "[", "{", "{set", "lfloor", "lceil", "sqrt1")
        return token.kind in ("number", "symbol", "function", "command", "begin", "word", "form")

    def _juxtapose(self, node: Node) -> Node:
        """Join two neighbours: a unit in words falls away, a whole number before a fraction makes a mixed number."""
        token = self.peek()
        if token.kind == "word":
            self._words()
            return node
        right = self._power()
        if right.head == "number" and node.head == "number":
            if not token.spaced or not self.at("/"):
                raise ParseFailure("two numbers side by side")
            self.next()
            right = Node("div", (right, self._power()))
        if node.head == "number" and "." not in node.text and is_proper_fraction(right):
            return Node("add", (node, right))
        return Node("mul", (node, right))

    def _words(self) -> str:
        words = []
        while self.peek().kind == "word":
            words.append(self.next().text)
        if self.peek().kind == "operator" and self.at("^"):
            self.next()
            self._argument()
        return " ".join(words)

    def _power(self) -> Node:
        base = self._postfix(self._atom())
        if self.take("^"):
            exponent = self._exponent()
            if is_minus_one(exponent) and base.head == "symbol" and base.text in _APPLIED and self.take("("):
                return Node("call", items(self._closed(")")), base.text + "^-1")
            node = Node("degree", (base,)) if exponent == _DEGREE else Node("pow", (base, exponent))
            return self._postfix(node)
        return base

    def _exponent(self) -> Node:
        if self.at("-", "+"):
            return signed(self.next().text, self._exponent())
        if self.take("deg"):
            return _DEGREE
        node = self._argument()
        return Node("pow", (node, self._exponent())) if self.take("^") else node

    def _postfix(self, node: Node) -> Node:
        while True:
            if self.take("!"):
                node = Node("factorial", (node,))
            elif self.take("%"):
                node = Node("div", (node, number("100")))
            elif self.take("deg"):
                node = Node("degree", (node,))
            elif self.at("'") and node.head in ("symbol", "call"):
                self.next()
                node = Node(node.head, node.args, node.text + "'")
            else:
                return node

    def _argument(self, *, one_digit: bool = False) -> Node:
        """Read one LaTeX argument: a braced group or an atom, of which TeX takes a single digit behind a fraction."""
        if self.take("{"):
            if self.at("deg"):
                self.next()
                self.expect("}")
                return _DEGREE
            return self._closed("}")
        token = self.peek()
        if one_digit and token.kind == "number" and len(token.text) > 1 and token.text.isdecimal():
            self.replace(Token("number", token.text[1:]))
            return number(token.text[0])
        return self._postfix(self._atom())

    def _closed(self, closing: str) -> Node:
        bars, self._bars = self._bars, 0
        node = self.listing()
        if self.take("choose"):
            node = Node("binom", (node, self.listing()))
        self._bars = bars
        self.expect(closing)
        return node

    def _atom(self) -> Node:  # noqa: PLR0911
        token = self.next()
        match token.kind:
            case "number":
                return self._number(token)
            case "symbol":
                return self._symbol(token)
            case "function":
                return self._function(token.text)
            case "command":
                return self._command(token.text)
            case "begin":
                return self._matrix(token.text)
            case "form":
                return self._form(token.text)
            case "word":
                self.back()
                return Node("word", text=self._words())
            case "operator":
                return self._bracketed(token.text)
        raise ParseFailure(f"unexpected {token.text!r}")

    def _number(self, token: Token) -> Node:
        if len(token.text) > MAX_DIGITS:
            raise ParseFailure("too many digits")
        if self.at("_"):
            self.next()
            base = self._argument()
            if base.head == "number" and base.text.isdecimal() and in_base(token.text.replace(".", "", 1), base.text):
                return Node("based", (number(token.text),), base.text)
            raise ParseFailure("not a base")
        return number(token.text)

    def _symbol(self, token: Token) -> Node:
        name = token.text
        if self.take("_"):
            index = self._argument()
            if (index.symbols() and not index.args) or index.head in ("add", "neg", "mul"):
                return Node("indexed", (index,), name)
            name += "_" + spelling(index)
        elif name == "I":
            name = "i"
        while self.take("'"):
            name += "'"
        if name[0] in _APPLIED and self.at("(") and not self.peek().spaced:
            self.next()
            return Node("call", items(self._closed(")")), name)
        return symbol(name)

    def _form(self, name: str) -> Node:
        """Read a name that sympy prints, with its arguments."""
        if not self.take("("):
            if name in NAMES:
                return NAMES[name]
            raise ParseFailure(f"{name} without arguments")
        node = FORMS[name](items(self._closed(")"))) if name in FORMS else None
        if node is None:
            raise ParseFailure(f"{name} with other arguments")
        return node

    def _function(self, name: str) -> Node:
        power = base = None
        while self.at("^", "_"):
            if self.next().text == "^":
                power = self._exponent()
            else:
                base = self._argument()
        root = None
        if name == "sqrt" and self.take("["):
            root = self._closed("]")
        args = self._function_arguments(name)
        node = function_call(name, args, base, root)
        if power is not None:
            if is_minus_one(power) and name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "cot", "sec", "csc"):
                return Node("call", args, "arc" + name)
            node = Node("pow", (node, power))
        return node

    def _function_arguments(self, name: str) -> tuple[Node, ...]:
        if self.take("("):
            return items(self._closed(")"))
        if self.at("{"):
            return (self._argument(),)
        if name in ("sqrt", "cbrt"):
            return (self._argument(),)
        if self.take("["):
            return items(self._closed("]"))
        return (self._bare_argument(),)

    def _bare_argument(self) -> Node:
        """Read what "sin 2x" applies to: factors side by side, up to the next function."""
        negative = self.take("-")
        node = self._power()
        while self._juxtaposed() and self.peek().kind in ("number", "symbol", "command") and self.peek().text != "quad":
            node = Node("mul", (node, self._power()))
        if self.at("/") and self.peek(1).kind == "number":
            self.next()
            node = Node("div", (node, self._power()))
        return signed("-", node) if negative else node

    def _command(self, name: str) -> Node:  # noqa: PLR0911
        match name:
            case "frac":
                return Node("div", (self._argument(one_digit=True), self._argument(one_digit=True)))
            case "binom" | "dbinom" | "tbinom" | "choose":
                return Node("binom", (self._argument(one_digit=True), self._argument(one_digit=True)))
            case "sum" | "prod":
                return self._big(name)
            case "emptyset" | "varnothing":
                return Node("set")
            case "mathbb" | "Bbb":
                return symbol("set of " + spelling(self._argument()))
            case "boxed" | "fbox":
                return self._argument()
            case "overline" | "bar":
                return overlined(self._argument())
            case "vec" | "hat" | "widehat" | "overrightarrow" | "overleftrightarrow" | "tilde":
                return symbol(f"{name} {spelling(self._argument())}")
            case "angle" | "triangle" | "square":
                return symbol(f"{name} {spelling(self._postfix(self._atom()))}")
        if self.at("{", "["):
            raise ParseFailure(f"unknown command {name}")
        return symbol(name)

    def _big(self, name: str) -> Node:
        """Read a sum or product with both bounds: args are the body, the index, the lower and the upper bound."""
        lower = upper = None
        while self.at("_", "^"):
            if self.next().text == "_":
                lower = self._argument()
            else:
                upper = self._exponent()
        if lower is None or upper is None or lower.head != "relation" or lower.text != "=":
            raise ParseFailure("a sum without bounds")
        return Node("big", (self._term(), *lower.args, upper), name)

    def _bracketed(self, opening: str) -> Node:  # noqa: PLR0911
        match opening:
            case "{":
                return self._closed("}")
            case "|" | "||":
                self._bars += 1
                node = self._sum()
                self._bars -= 1
                self.expect(opening)
                return Node("abs", (node,))
            case "lfloor":
                return Node("call", (self._closed("rfloor"),), "floor")
            case "lceil":
                return Node("call", (self._closed("rceil"),), "ceil")
            case "...":
                return symbol("...")
            case "sqrt1":
                return Node("call", (self._power(),), "sqrt")
        if opening in _OPENING:
            return self._group(opening)
        raise ParseFailure(f"unexpected {opening!r}")

    def _group(self, opening: str) -> Node:
        """Read (a), (a, b), [a, b), {a, b}: brackets around one value only group it."""
        bars, self._bars = self._bars, 0
        if self.take("}set"):
            return Node("set")
        if opening == "(" and self.take(")"):
            raise ParseFailure("empty brackets")
        described = opening == "{set" and self._skip_member()
        node = self.listing()
        self._bars = bars
        closing = self.next().text
        if described and closing == "}set":
            return node
        if opening == "{set":
            if closing != "}set":
                raise ParseFailure("open set")
            return Node("set", items(node))
        if closing not in (")", "]", ")>"):
            raise ParseFailure("open bracket")
        if node.head != "list" or node.text == "or":
            return node
        return Node("tuple", node.args, opening[-1] + closing[0])

    def _skip_member(self) -> bool:
        r"""Skip the "x :" or "x \in \mathbb{R} |" of a set that a condition describes; return whether there is one."""
        start = self._place
        if self.next().kind == "symbol":
            everywhere = not self.take("in") or self._atom() == symbol("set of R")
            if self.take("|", ":"):
                if not everywhere:
                    raise ParseFailure("a condition on other than real numbers")
                return True
        self._place = start
        return False

    def _matrix(self, environment: str) -> Node:
        if environment not in _MATRICES:
            raise ParseFailure(f"unknown environment {environment}")
        rows: list[Node] = []
        cells: list[Node] = []
        while True:
            token = self.peek()
            if token is END:
                raise ParseFailure("open matrix")
            if token.kind in ("rowbreak", "end"):
                self.next()
                if cells:
                    rows.append(Node("row", tuple(cells)))
                cells = []
                if token.kind == "end":
                    break
            elif not self.take("&"):
                cells.append(self._relation())
        if not rows or len({len(row.args) for row in rows}) != 1:
            raise ParseFailure("ragged matrix")
        node = Node("matrix", tuple(rows))
        return Node("call", (node,), "det") if environment == "vmatrix" else node
