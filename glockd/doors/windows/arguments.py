"""Specs as arguments of a command, and back: as optparse takes them, which the recorded server does too."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from optparse import Option, OptionParser, OptionValueError
from typing import Any, Final, NamedTuple, NoReturn

from glockd.doors.windows.jsons import BadJson, read


class Asked(Exception):
    """The arguments give no spec, but an answer: what is wrong, or help."""


class _Argument(NamedTuple):
    member: str
    flags: tuple[str, ...]
    metavar: str
    help: str


_DURATION = _Argument("duration", ("-d", "--duration"), "DURATION", "how long it lasts (ISO 8601)")
_HOST = _Argument("host", ("-H", "--host"), "HOST", "where it runs")
_NODE = _Argument("host-node", ("--host-node",), "HOST", "whom to ask about that, with or without a port")
_STARTING = _Argument("starting-comment", ("-s", "--starting-comment"), "COMMENT", "said at the beginning")
_PARTING = _Argument("parting-comment", ("-p", "--parting-comment"), "COMMENT", "said at the end")
_DATA = _Argument("data", ("--data",), "JSON", "given back")
_FAIL = _Argument("fail", ("-f", "--fail"), "NUMBER", "how probable a failure is, from 0 to 1")
_RESOURCE = _Argument("resource", ("-r", "--resource"), "NAME", "the name that is reserved")
_COMMENT = _Argument("comment", ("-c", "--comment"), "COMMENT", "what it is for")

ARGUMENTS: Final[Mapping[str, Sequence[_Argument]]] = {
    "idle": (_DURATION, _HOST, _STARTING, _PARTING),
    "idleex": (_DURATION, _HOST, _NODE, _STARTING, _PARTING),
    "noop": (_DATA, _HOST, _NODE, _FAIL),
    "window": (_DURATION, _RESOURCE, _COMMENT),
    "window-shared": (_DURATION, _RESOURCE, _COMMENT),
}

# Members in the order in which they are said, and with which option.
_SAID: Final = (
    "duration",
    "data",
    "host",
    "host-node",
    "resource",
    "starting-comment",
    "parting-comment",
    "comment",
)


class _Parser(OptionParser):
    def error(self, msg: str) -> NoReturn:
        raise Asked(msg)

    def exit(self, status: int = 0, msg: str | None = None) -> NoReturn:
        raise Asked(self.format_help().rstrip("\n"))

    def print_help(self, file: object = None) -> None:
        """It is what is answered."""


def _parser(test: str) -> _Parser:
    parser = _Parser(usage=f"task {test} [options]", prog="task")
    for one in ARGUMENTS[test]:
        is_many = test == "idle" and one is _HOST
        parser.add_option(
            Option(
                *one.flags,
                dest=one.member,
                metavar=one.metavar,
                help=one.help,
                action="append" if is_many else "store",
                type="float" if one is _FAIL else "string",
            )
        )
    return parser


def to_spec(test: str, arguments: Any) -> dict[str, Any]:
    """The spec that arguments mean; its values are not looked at.

    Args:
        test: one that is offered.
        arguments: a value of JSON.

    Raises:
        Asked: they mean none.
    """
    words = _words(arguments)
    parser = _parser(test)
    try:
        given, rest = parser.parse_args(words)
    except OptionValueError as error:
        raise Asked(str(error)) from None
    finally:
        parser.destroy()  # it goes round in circles
    if rest:
        raise Asked(f"Unusable arguments: {' '.join(rest)}")
    spec: dict[str, Any] = {"schema": 1}
    for one in ARGUMENTS[test]:
        value = getattr(given, one.member)
        if value is not None:
            spec[one.member] = _value(one, value)
    hosts = spec.get("host")
    if isinstance(hosts, list):
        spec |= {"host": hosts[0]} if len(hosts) == 1 else {"schema": 2}
    return spec


def _words(arguments: Any) -> list[str]:
    if not isinstance(arguments, list) or not all(isinstance(one, str | int | float) for one in arguments):
        raise Asked("Invalid JSON for this operation")
    return [one if isinstance(one, str) else json.dumps(one) for one in arguments]


def _value(one: _Argument, value: Any) -> Any:
    if one is _DATA:
        try:
            return read(value)
        except BadJson as error:
            raise Asked(f"Invalid data (must be JSON): {error}") from None
    if one is _FAIL and not math.isfinite(value):
        raise Asked(f"option --fail: invalid floating-point value: '{value}'")
    return value


def to_arguments(spec: Mapping[str, Any]) -> list[str]:
    """The arguments that would give a spec, but for how probable a failure is."""
    words: list[str] = []
    for member in _SAID:
        if member not in spec:
            continue
        value = spec[member]
        if member == "data":
            value = json.dumps(value)
        for one in value if isinstance(value, list) else (value,):
            words += [f"--{member}", one]
    return words
