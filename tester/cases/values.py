"""Values in case files: placeholders that are filled in before a step, matchers that an answer is held against.

| in requests and answers | |
|---|---|
| `${name}` within a text | the variable of that name |
| `{"$repeat": [text, n]}` | the text n times |
| `{"$join": [text, …]}` | the texts put together |

| in expected answers | fits |
|---|---|
| an object | an object that has at least these members, each fitting |
| anything else | the same value of the same type: `1` is neither `1.0` nor `true`; lists whole |
| `{"$any": …}` | anything that is there |
| `{"$re": pattern}` | a text in which the regular expression is found |
| `{"$is": shape}` | a text of that shape: one of SHAPES |
| `{"$in": [value, …]}` | one of these |
| `{"$not": value}` | anything but this |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .outcome import Failed

Json = Any  # what json.loads returns
SHOWN = 70  # characters of a value in a report

VARIABLE = re.compile(r"\$\{(\w+)\}")
SHAPES = {
    # RFC 9562, section 5.4: version 4, variant 10xx
    "key": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    "session": re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}"),
}


def fill(value: Json, variables: Mapping[str, str]) -> Json:
    """`value` with its placeholders filled in.

    Raises:
        Failed: a variable is not known, or a placeholder is malformed.
    """
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: _variable(found[1], variables), value)
    if isinstance(value, list):
        return [fill(item, variables) for item in value]
    if not isinstance(value, dict):
        return value
    try:
        if value.keys() == {"$repeat"}:
            text, times = value["$repeat"]
            return fill(text, variables) * times
        if value.keys() == {"$join"}:
            return "".join(fill(value["$join"], variables))
    except (TypeError, ValueError) as problem:
        raise Failed(f"malformed: {shown(value)}") from problem
    return {name: fill(item, variables) for name, item in value.items()}


def _variable(name: str, variables: Mapping[str, str]) -> str:
    try:
        return variables[name]
    except KeyError:
        raise Failed(f"${{{name}}} is not known") from None


def same(one: Json, other: Json) -> bool:
    """Whether two values are equal, with types: Python itself takes True for 1, and 1 for 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(item, other[name]) for name, item in one.items())
    return bool(one == other)


def _has(pattern: str, text: Json) -> bool:
    return isinstance(text, str) and re.search(pattern, text) is not None


def _shaped(shape: str, text: Json) -> bool:
    return isinstance(text, str) and SHAPES[shape].fullmatch(text) is not None


MATCHERS: dict[str, Callable[[Json, Json], bool]] = {
    "$any": lambda _, __: True,
    "$re": _has,
    "$is": _shaped,
    "$in": lambda values, got: any(same(value, got) for value in values),
    "$not": lambda value, got: not same(value, got),
}


def match(want: Json, got: Json, where: str) -> None:
    """Hold an answer against what is expected.

    Args:
        where: what `got` is, for the report.

    Raises:
        Failed: it does not fit, or what is expected is malformed.
    """
    if not isinstance(want, dict):
        fits = same(want, got)
    elif any(name.startswith("$") for name in want):
        fits = _matches(want, got)
    elif fits := isinstance(got, dict):
        for name, item in want.items():
            if name not in got:
                raise Failed(f"{where}.{name}: missing in {shown(got)}")
            match(item, got[name], f"{where}.{name}")
    if not fits:
        raise Failed(f"{where}: {shown(got)} instead of {shown(want)}")


def _matches(matcher: dict[str, Json], got: Json) -> bool:
    try:
        ((name, argument),) = matcher.items()
        return MATCHERS[name](argument, got)
    except (KeyError, TypeError, ValueError, re.error) as problem:
        raise Failed(f"no matcher: {shown(matcher)}") from problem


def absent(names: list[str], got: Json, where: str) -> None:
    """See that an object has none of these members. Raises Failed."""
    for name in names:
        if name in got:
            raise Failed(f"{where}.{name} present: {shown(got[name])}")


def shown(value: Json) -> str:
    """A value for a report, cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 10]}… ({len(text)} characters)"
