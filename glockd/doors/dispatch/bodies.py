"""Bodies and arguments of requests. A large list is read piece by piece, so that nobody else waits for it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from glockd.doors.dispatch.refusal import Refusal

# Bodies up to so many bytes are read at once: some 5 ms.
SMALL = 256 << 10

# Elements of a list that are read at once: some 1 ms.
ELEMENTS_A_TURN = 300

_BLANK = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()

_BAD = "The body is not a JSON object"


def arguments(query: str) -> dict[str, str]:
    """The arguments of a query; of a repeated one the first counts, and `+` is a plus."""
    given: dict[str, str] = {}
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        # The clients' replica_available asks for `?&rse=…`, and others for `??`.
        name = unquote(name).lstrip("?")
        if equals and name not in given:
            given[name] = unquote(value)
    return given


def number(value: object, what: str = "project_id") -> int:
    """An id: an integer, or its digits.

    Raises:
        Refusal: it is none.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Refusal(400, f"{what} must be an integer")


def seconds(value: object, what: str) -> float | None:
    """A timeout: a number of seconds, or null for none.

    Raises:
        Refusal: it is neither.
    """
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if math.isfinite(found):
            return found
    raise Refusal(400, f"{what} must be a number of seconds or null")


def read(body: bytes) -> dict[str, Any]:
    """A small body's object.

    Raises:
        Refusal: it is none.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, _BAD) from None
    if not isinstance(found, dict):
        raise Refusal(400, _BAD)
    return found


class SlowReader:
    """Reads the object that a body is; others have their turn between the steps.

    Lists among its members are read in pieces. What else is large among them is read at once.

    Args:
        body: JSON.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._text = ""
        self._at = 0
        self.members: dict[str, Any] = {}

    def steps(self) -> Iterator[None]:
        """Fill `members`.

        Raises:
            Refusal: it is no object.
        """
        try:
            yield from self._object()
        except (ValueError, RecursionError):
            raise Refusal(400, _BAD) from None

    def _object(self) -> Iterator[None]:
        self._text = self._body.decode()
        self._expect("{")
        while not self._meets("}"):
            if self.members:
                self._expect(",")
            name = self._value()
            if not isinstance(name, str):
                raise ValueError("a name is no text")
            self._expect(":")
            if self._meets("["):
                elements = self.members[name] = []
                yield from self._elements(elements)
            else:
                self.members[name] = self._value()
        if self._at != len(self._text):
            raise ValueError("something follows")

    def _elements(self, elements: list[Any]) -> Iterator[None]:
        while not self._meets("]"):
            if elements:
                self._expect(",")
            elements.append(self._value())
            if len(elements) % ELEMENTS_A_TURN == 0:
                yield

    def _value(self) -> Any:
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        self._skip()
        return value

    def _expect(self, mark: str) -> None:
        if not self._meets(mark):
            raise ValueError(f"{mark} is missing")

    def _meets(self, mark: str) -> bool:
        self._skip()
        if not self._text.startswith(mark, self._at):
            return False
        self._at += 1
        self._skip()
        return True

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        assert found is not None  # it may be empty
        self._at = found.end()
