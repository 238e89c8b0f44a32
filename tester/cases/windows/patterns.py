"""What answers are held against.

| in expected answers | fits |
|---|---|
| an object | an object that has at least these members, each fitting |
| a list | a list as long, each fitting |
| `{"$re": pattern}` | a text in which the regular expression is found |
| `{"$in": [value, …]}` | one of these |
| `{"$any": …}` | anything that is there |
| `{"$type": name}` | a value of that type, as Python calls it |
| `{"$has": [..]}`, `{"$hasnot": [..]}` | a list with, or without, an element like each |
| `{"$length": n}` | a list or an object of so many |
| `{"$keys": [..]}` | an object with just these members |
| `{"$time": moment, "within": seconds}` | a timestamp with an offset, at that moment or so near |
| `{"$before": moment}`, `{"$after": moment}` | one that is earlier, or later |
| anything else | the same value of the same type |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from ..outcome import Failed
from ..values import Json, same, shown


def match(wanted: Json, got: Json, where: str) -> None:
    """Hold a value against a pattern.

    Args:
        where: what it is called in reports.

    Raises:
        Failed: it does not fit; the text says where and why.
    """
    if isinstance(wanted, dict) and (special := [name for name in wanted if name.startswith("$")]):
        for name in special:
            if name not in SPECIAL:
                raise Failed(f"{where}: {name} is not known")
            if not SPECIAL[name](wanted[name], got, wanted):
                raise Failed(f"{where}: {shown(wanted)} expected, got {shown(got)}")
    elif isinstance(wanted, dict):
        if not isinstance(got, dict):
            raise Failed(f"{where}: an object expected, got {shown(got)}")
        for name, one in wanted.items():
            if name not in got:
                raise Failed(f"{where}/{name} is missing")
            match(one, got[name], f"{where}/{name}")
    elif isinstance(wanted, list):
        if not isinstance(got, list) or len(got) != len(wanted):
            raise Failed(f"{where}: {len(wanted)} elements expected, got {shown(got)}")
        for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
            match(one, other, f"{where}/{number}")
    elif not same(wanted, got):
        raise Failed(f"{where}: {shown(wanted)} expected, got {shown(got)}")


def fits(wanted: Json, got: Json) -> bool:
    """Whether a value fits a pattern."""
    try:
        match(wanted, got, "")
    except Failed:
        return False
    return True


def moment(text: str) -> datetime:
    """The moment that a timestamp names.

    Raises:
        ValueError: it is none, or has no offset.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return found


def _late(wanted: Json, got: Json) -> float | None:
    """By how many seconds a timestamp is later than another; None if it is none."""
    try:
        return (moment(got) - moment(wanted)).total_seconds()
    except (TypeError, ValueError):
        return None


def _is_time(wanted: Json, got: Json, whole: Mapping[str, Json]) -> bool:
    late = _late(wanted, got)
    return late is not None and abs(late) <= whole.get("within", 0)


def _is_before(wanted: Json, got: Json, whole: Mapping[str, Json]) -> bool:
    late = _late(wanted, got)
    return late is not None and late < whole.get("within", 0)


def _is_after(wanted: Json, got: Json, whole: Mapping[str, Json]) -> bool:
    late = _late(wanted, got)
    return late is not None and late > -whole.get("within", 0)


def _has(wanted: Json, got: Json, whole: Mapping[str, Json]) -> bool:
    return isinstance(got, list) and all(any(fits(one, other) for other in got) for one in wanted)


def _has_not(wanted: Json, got: Json, whole: Mapping[str, Json]) -> bool:
    return isinstance(got, list) and not any(fits(one, other) for one in wanted for other in got)


Special = Callable[[Json, Json, Mapping[str, Json]], bool]
SPECIAL: Mapping[str, Special] = {
    "$re": lambda wanted, got, _: isinstance(got, str) and re.search(wanted, got) is not None,
    "$in": lambda wanted, got, _: any(same(one, got) for one in wanted),
    "$any": lambda wanted, got, _: True,
    "$type": lambda wanted, got, _: type(got).__name__ == wanted,
    "$has": _has,
    "$hasnot": _has_not,
    "$length": lambda wanted, got, _: isinstance(got, list | dict) and len(got) == wanted,
    "$keys": lambda wanted, got, _: isinstance(got, dict) and sorted(got) == sorted(wanted),
    "$time": _is_time,
    "$before": _is_before,
    "$after": _is_after,
}
