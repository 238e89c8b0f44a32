"""JSON as it is read and written at this door (the specification, section 1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NoReturn

# How deep values may lie in one another.
DEEPEST: Final = 20


class BadJson(ValueError):
    """It is no JSON, or too deep."""


def read(text: str | bytes) -> Any:
    """A value, without the members that are comments: those whose names begin with `#`.

    Raises:
        BadJson: it is none.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        value = json.loads(text, parse_constant=_refuse)
        return _without_comments(value, DEEPEST)
    except (ValueError, RecursionError) as error:
        what = "too deep" if isinstance(error, RecursionError) else str(error)
        raise BadJson(f"Invalid JSON: {what}") from None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _without_comments(value: Any, depth: int) -> Any:
    if isinstance(value, dict | list) and not depth:
        raise ValueError(f"it is deeper than {DEEPEST}")
    if isinstance(value, dict):
        return {
            name: _without_comments(one, depth - 1) for name, one in value.items() if not name.startswith("#")
        }
    if isinstance(value, list):
        return [_without_comments(one, depth - 1) for one in value]
    return value


def cleaned(value: Any) -> Any:
    """A value in which every member whose name begins with `_` is null."""
    if isinstance(value, dict):
        return {name: None if name.startswith("_") else cleaned(one) for name, one in value.items()}
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    return value


def contains(value: Any, wanted: Any) -> bool:
    """Whether a value has all that is wanted in it: of objects every member, of arrays every item somewhere."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            name in value and contains(value[name], one) for name, one in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(contains(item, one) for item in value) for one in wanted)
    # In JSON true is not 1.
    return bool(value == wanted) and isinstance(value, bool) is isinstance(wanted, bool)


def write(value: Any, *, pretty: bool) -> str:
    """A value on one line, or for people; without the newline at its end."""
    if pretty:
        return json.dumps(value, sort_keys=True, indent=4, separators=(", ", ": "), allow_nan=False)
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write_array(values: Iterable[Any], *, pretty: bool) -> Iterator[str]:
    """The pieces of an array that may be very long, one for each value, and the newline at its end."""
    between = "[\n    " if pretty else "["
    empty = True
    for value in values:
        text = write(value, pretty=pretty)
        yield between + (text.replace("\n", "\n    ") if pretty else text)
        between = ", \n    " if pretty else ","
        empty = False
    yield "[]\n" if empty else "\n]\n" if pretty else "]\n"
