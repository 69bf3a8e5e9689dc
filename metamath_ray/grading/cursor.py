"""A place in a list of tokens."""

from metamath_ray.grading.tokens import ParseFailure, Token

END = Token("end of text", "")


class Cursor:
    """Reads tokens one by one."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0

    def peek(self, ahead: int = 0) -> Token:
        """Return a token that is still to come; `END` behind the last."""
        place = self._place + ahead
        return self._tokens[place] if place < len(self._tokens) else END

    def next(self) -> Token:
        """Take the next token."""
        token = self.peek()
        self._place += 1
        return token

    def at(self, *operators: str) -> bool:
        """Whether one of the operators comes next."""
        token = self.peek()
        return token.kind == "operator" and token.text in operators

    def take(self, *operators: str) -> bool:
        """Take one of the operators if it comes next; return whether it did."""
        if self.at(*operators):
            self._place += 1
            return True
        return False

    def expect(self, operator: str) -> None:
        """Take an operator that has to come next."""
        if not self.take(operator):
            raise ParseFailure(f"{operator!r} expected")

    def back(self) -> None:
        """Give the last token back."""
        self._place -= 1

    def replace(self, token: Token) -> None:
        """Put another token in the place of the next one."""
        self._tokens[self._place] = token
