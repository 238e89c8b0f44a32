"""Expressions of search_projects: from text to tests.

query := all { "or" all }      all := term { "and" term }      term := "!" term | "(" query ")" | test
test  := X OP C | X ["not"] "in" "(" C {"," C} ")" | X ["not"] "in" C ":" C | C ["not"] "in" N | N [["not"] "present"]
X     := own | N | N "[any]" | N "[all]" | N "[" integer "]" | N '["' key '"]' | "len(" N ")"
"""

from __future__ import annotations

import re
from typing import NamedTuple

from glockd.doors.dispatch import operands, search
from glockd.doors.dispatch.operands import BadQuery, Operand, Scalar
from glockd.doors.dispatch.search import Claim

LONGEST = 10_000  # characters
DEEPEST = 50  # parentheses and exclamation marks within each other
MOST_TESTS = 100

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<sign>!~\*|!~|~\*|~|==|!=|<=|>=|=|<|>)
    | (?P<mark>[!()\[\],])
    | (?P<text>'[^'"]*'|"[^'"]*")
    | (?P<word>[\w:%$@^.*?-]+)
    )""",
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_LONG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]*\Z")
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"-?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18}|[0-9]{1,18})(?:[eE][+-]?[0-9]{1,2})?\Z")


class Token(NamedTuple):
    """A piece of an expression."""

    kind: str  # sign, mark, text, word or end
    content: str


END = Token("end", "")


def parse(given: str) -> Claim:
    """The test that an expression stands for.

    Raises:
        BadQuery: it stands for none.
    """
    if len(given) > LONGEST:
        raise BadQuery(f"it may have {LONGEST} characters")
    parser = _Parser(_tokens(given))
    test = parser.query(0)
    parser.expect_end()
    return test


def constant(token: Token) -> Scalar:
    """What a constant stands for.

    Raises:
        BadQuery: it is none.
    """
    if token.kind == "text":
        return token.content
    if token.kind != "word":
        raise BadQuery("a value is missing")
    word = token.content
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if _INTEGER.match(word):
        return int(word)
    return float(word) if _FLOAT.match(word) else word


def _tokens(given: str) -> list[Token]:
    found: list[Token] = []
    at, end = 0, len(given.rstrip())
    while at < end:
        match = _TOKEN.match(given, at)
        if match is None:
            raise BadQuery(f"{given[at : at + 20].strip()!r} means nothing")
        kind = match.lastgroup or ""
        content = match[kind]
        found.append(Token(kind, content[1:-1] if kind == "text" else content))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._tests = 0

    def expect_end(self) -> None:
        if self._next != END:
            raise BadQuery(f"{self._next.content!r} was not expected")

    def query(self, depth: int) -> Claim:
        tests = [self._all(depth)]
        while self._take("word", "or"):
            tests.append(self._all(depth))
        return tests[0] if len(tests) == 1 else search.Some(tuple(tests))

    @property
    def _next(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else END

    def _pop(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _take(self, kind: str, content: str) -> bool:
        if self._next != (kind, content):
            return False
        self._at += 1
        return True

    def _expect(self, kind: str, content: str) -> None:
        if not self._take(kind, content):
            raise BadQuery(f"{content} is missing")

    def _all(self, depth: int) -> Claim:
        tests = [self._term(depth)]
        while self._take("word", "and"):
            tests.append(self._term(depth))
        return tests[0] if len(tests) == 1 else search.All(tuple(tests))

    def _term(self, depth: int) -> Claim:
        if depth > DEEPEST:
            raise BadQuery(f"it may be {DEEPEST} deep")
        if self._take("mark", "!"):
            return search.Not(self._term(depth + 1))
        if self._take("mark", "("):
            test = self.query(depth + 1)
            self._expect("mark", ")")
            return test
        self._tests += 1
        if self._tests > MOST_TESTS:
            raise BadQuery(f"it may have {MOST_TESTS} tests")
        return self._test()

    def _test(self) -> Claim:
        begun, first = self._at, self._pop()
        if first.kind not in ("word", "text"):
            raise BadQuery("a test is missing")
        negated = self._take("word", "not")
        if self._take("word", "in"):
            return _unless(negated, self._in(first))
        if first.kind == "text":
            raise BadQuery("a text may only be looked for `in` an attribute")
        if self._take("word", "present"):
            return _unless(negated, search.IsPresent(_name(first, _LONG_NAME)))
        if negated:
            raise BadQuery("`in` or `present` is missing")
        if not self._goes_on():
            return search.IsPresent(_name(first, _LONG_NAME))
        self._at = begun
        operand = self._operand()
        negated = self._take("word", "not")
        if self._take("word", "in"):
            return _unless(negated, self._among(operand))
        if negated:
            raise BadQuery("`in` is missing")
        return self._compared(operand)

    def _goes_on(self) -> bool:
        """Whether more than a name belongs to the test."""
        return self._next.kind == "sign" or (self._next.content in ("[", "(") and self._next.kind == "mark")

    def _operand(self) -> Operand:
        word = self._pop()
        if word.content == "len" and self._take("mark", "("):
            name = _name(self._pop())
            self._expect("mark", ")")
            return operands.Length(name)
        name = _name(word)
        if name in operands.OWN:
            return operands.Own(name)
        if not self._take("mark", "["):
            return operands.Attribute(name)
        index = self._pop()
        self._expect("mark", "]")
        if index.kind == "text":
            return operands.Part(name, index.content)
        if index == ("word", "any") or index == ("word", "all"):
            return operands.Attribute(name, every=index.content == "all")
        if index.kind == "word" and _INTEGER.match(index.content):
            return operands.Part(name, int(index.content))
        raise BadQuery("an index is any, all, a number or a quoted name")

    def _compared(self, operand: Operand) -> Claim:
        sign = self._pop()
        if sign.kind != "sign":
            raise BadQuery("a comparison is missing")
        value = constant(self._pop())
        if "~" in sign.content:
            found = search.pattern(value, ignores_case=sign.content.endswith("*"))
            return search.Matches(operand, found, not sign.content.startswith("!"))
        return search.Compares(operand, sign.content, operand.read(value))

    def _in(self, first: Token) -> Claim:
        """What follows a word or a text and `in`."""
        follows = self._next
        is_range = follows.kind == "text" or ":" in follows.content
        if first.kind == "word" and (follows == ("mark", "(") or is_range):
            name = _name(first)
            return self._among(operands.Own(name) if name in operands.OWN else operands.Attribute(name))
        return search.Contains(constant(first), _name(self._pop()))

    def _among(self, operand: Operand) -> Claim:
        """What follows an operand and `in`."""
        if not self._take("mark", "("):
            least, most = self._range()
            return search.IsBetween(operand, operand.read(least), operand.read(most))
        values = [operand.read(constant(self._pop()))]
        while self._take("mark", ","):
            values.append(operand.read(constant(self._pop())))
        self._expect("mark", ")")
        return search.IsAmong(operand, tuple(values))

    def _range(self) -> tuple[Scalar, Scalar]:
        """C:C, where a word may have the colon at its beginning, in it or at its end."""
        first = self._pop()
        if first.kind == "text":
            least: Token = first
            colon = self._pop()
            if colon.kind != "word" or not colon.content.startswith(":"):
                raise BadQuery("a colon is missing")
            rest = colon.content[1:]
        else:
            before, _, rest = first.content.partition(":")
            least = Token("word", before)
        most = Token("word", rest) if rest else self._pop()
        if not (least.content and most.content):
            raise BadQuery("one end of the range is missing")
        return constant(least), constant(most)


def _unless(negated: bool, test: Claim) -> Claim:
    return search.Not(test) if negated else test


def _name(token: Token, form: re.Pattern[str] = _NAME) -> str:
    if token.kind != "word" or not form.match(token.content):
        raise BadQuery(f"{token.content[:100]!r} is no name")
    return token.content
