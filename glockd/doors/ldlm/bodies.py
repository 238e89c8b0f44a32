"""REST's JSON, read as strictly as LDLM's server reads it, and its answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring as quoted
from typing import Any, NoReturn, TypeAlias

from glockd.doors.ldlm.outcomes import Outcome

DEEPEST = 10_000  # levels of nesting
STEP = 200  # levels that the standard library reads at once; it recurses

INT32 = 1 << 31

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_SHORT = re.compile(r"-?(?:0|[1-9][0-9]{0,8})\Z")
# What tells where containers begin and end: brackets, and strings, in which there are none.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)")

# Each field's spellings: that of the .proto file, and the one that protojson makes of it.
NAME = {"name": "name"}
KEY = {"key": "key"}
SIZE = {"size": "size"}
LEASE = {"lock_timeout_seconds": "lease", "lockTimeoutSeconds": "lease"}

Fields: TypeAlias = Mapping[str, str]  # by spelling: what the value is to us

LOCK: Fields = NAME | SIZE | LEASE
UNLOCK: Fields = NAME | KEY
RENEW: Fields = NAME | KEY | LEASE
TEXTS = frozenset(("name", "key"))


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


# Objects come as tuples of pairs, so that what comes twice is seen, and arrays as lists.
_DECODER = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=Number, parse_float=Number, parse_constant=_no_constant
)


def read(body: bytes, fields: Fields) -> dict[str, Any]:
    """The fields of a request; those that have not come, or as null, are left out.

    Only the first JSON value is looked at. Nothing at all is an object without members.

    Raises:
        ValueError: it is no JSON, no object, or a field comes twice or is of another type. The text says what.
    """
    text = _text(body)
    begin = _SPACE.match(text).end()  # type: ignore[union-attr]  # it matches nothing too
    if begin == len(text):
        return {}
    pairs, end = _decode(text, begin)
    value = text[begin:end]
    if "\\u" in value:
        _check_surrogates(value)
    if not value.isascii():
        value.encode()  # surrogates stand for what is no UTF-8
    if type(pairs) is not tuple:
        raise ValueError("the request must be an object")
    found: dict[str, Any] = {}
    for spelling, given in pairs:
        field = fields.get(spelling)
        if field is None:
            continue
        if field in found:
            raise ValueError(f"{spelling} comes twice")
        found[field] = None if given is None else (_string if field in TEXTS else _int32)(spelling, given)
    return {field: given for field, given in found.items() if given is not None}


def _text(body: bytes) -> str:
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        # It may lie behind the first value, where nobody looks.
        return str(body, "utf-8", "surrogateescape")


def _decode(text: str, begin: int) -> tuple[Any, int]:
    """The first value, and where it ends in `text`."""
    try:
        return _DECODER.raw_decode(text, begin)
    except RecursionError:
        end, shallow = _flattened(text, begin)
        return _DECODER.raw_decode(shallow)[0], end


def _flattened(text: str, begin: int) -> tuple[int, str]:
    """Where the value ends that begins at `begin`, and what it is with 0 for all that lies deep in it.

    What is left out has been found right.

    Raises:
        ValueError: it is nested too deep, or not well.
    """
    depth = 0
    pieces: list[list[str]] = [[]]
    for mark in _STRUCTURE.finditer(text, begin):
        if mark[0] in "[{":
            depth += 1
            if depth > DEEPEST:
                raise ValueError("it is nested too deep")
            if depth % STEP == 0:
                pieces[-1].append(text[begin : mark.start()])
                pieces.append([])
                begin = mark.start()
        elif mark[0] in "]}":
            if depth % STEP == 0:
                piece = "".join(pieces.pop()) + text[begin : mark.end()]
                if _DECODER.raw_decode(piece)[1] != len(piece):
                    raise ValueError("brackets do not match")
                pieces[-1].append("0")
                begin = mark.end()
            depth -= 1
            if depth == 0:
                return mark.end(), "".join(pieces[0]) + text[begin : mark.end()]
    raise ValueError("it has no end")


def _check_surrogates(value: str) -> None:
    """See that each half of a surrogate pair has its other half.

    Raises:
        ValueError: one has not.
    """
    half = None  # where a first half has ended
    for escape in _ESCAPE.finditer(value):
        code = int(escape[1], 16) if escape[1] else 0
        second = 0xDC00 <= code < 0xE000
        if second != (half is not None) or (second and half != escape.start()):
            raise ValueError("half a surrogate pair")
        half = escape.end() if 0xD800 <= code < 0xDC00 else None
    if half is not None:
        raise ValueError("half a surrogate pair")


def _string(field: str, value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{field} must be a string")
    return value


def _int32(field: str, value: Any) -> int:
    """A whole number, as a number or as a string that holds one."""
    if isinstance(value, str):
        if _SHORT.match(value):
            return int(value)
        if _NUMBER.match(value):
            try:
                number = Decimal(value)
                if -INT32 <= number < INT32 and number == number.to_integral_value():
                    return int(number)
            except ArithmeticError:
                pass  # an exponent beyond all bounds
    raise ValueError(f"{field} must be a whole number of 32 bits")


def locked(outcome: Outcome, name: str) -> bytes:
    """The answer to TryLock and Renew."""
    done = "true" if outcome.done else "false"
    return f'{{"locked":{done},"name":{quoted(name)},"key":{quoted(outcome.key)}{_error(outcome)}}}'.encode()


def unlocked(outcome: Outcome, name: str) -> bytes:
    """The answer to Unlock."""
    done = "true" if outcome.done else "false"
    return f'{{"unlocked":{done},"name":{quoted(name)}{_error(outcome)}}}'.encode()


def _error(outcome: Outcome) -> str:
    problem = outcome.problem
    if problem is None:
        return ""
    return f',"error":{{"code":"{problem.code.name}","message":{quoted(problem.message)}}}'


def gateway(code: int, message: str) -> bytes:
    """An error of the gateway: 3 for a bad request, 5 for not found, 12 for a wrong method."""
    return f'{{"code":{code},"message":{quoted(message)},"details":[]}}'.encode()
