"""Times of day and lengths of time, as people say them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import NamedTuple

_LENGTH = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII
)
_UNITS = (86400, 3600, 60, 1)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)


def length(text: str) -> float:
    """The seconds of `90`, `90s`, `30m`, `1h`, `1h30m`, `2d`.

    Raises:
        ValueError: it is no such length.
    """
    found = _LENGTH.fullmatch(text.strip().lower())
    if found is None or not any(found.groups()):
        raise ValueError(f"{text!r} is no length of time: say 90s, 30m, 1h30m or 2d")
    return sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part)


class Moment(NamedTuple):
    """A moment that somebody has named.

    Attributes:
        at: it, with its time zone.
        remark: what is to be said of it; empty: nothing.
    """

    at: datetime
    remark: str


def moment(text: str, now: float) -> Moment:
    """The moment of `now`, `+30m`, `02:00`, `2026-11-28 02:00` or a whole timestamp.

    A time without a zone is local, and one without a date the next of that time. One that summer time skips is as much
    later as the clock is put forward, one that it doubles is the first of the two; the remark says so.

    Args:
        now: seconds since 1970.

    Raises:
        ValueError: it is none.
    """
    text = text.strip()
    if text == "now":
        return Moment(_local(now), "")
    if text.startswith("+"):
        return Moment(_local(now + length(text[1:])), "")
    found = _CLOCK.fullmatch(text)
    if found is not None:
        return _next(int(found[1]), int(found[2]), int(found[3] or 0), now, text)
    try:
        named = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: say now, +30m, 02:00, '2026-11-28 02:00' or 2026-11-28T02:00:00Z"
        ) from None
    return Moment(named, "") if named.tzinfo is not None else _resolved(named)


def _next(hour: int, minute: int, second: int, now: float, text: str) -> Moment:
    today = datetime.fromtimestamp(now)
    try:
        named = today.replace(hour=hour, minute=minute, second=second, microsecond=0)
    except ValueError:
        raise ValueError(f"{text!r} is no time of day") from None
    for days in range(3):
        found = _resolved(named + timedelta(days=days))
        if found.at.timestamp() > now:
            return found
    raise AssertionError("every time of day comes within three days")


def _resolved(named: datetime) -> Moment:
    """A local time, with its zone."""
    first, second = named.replace(fold=0).timestamp(), named.replace(fold=1).timestamp()
    at = _local(first)
    if first == second:
        return Moment(at, "")
    zone = time.tzname[0]
    if at.replace(tzinfo=None) != named:
        return Moment(
            at, f"{named} does not exist here ({zone}), as the clock is put forward: {at:%H:%M:%S} it is"
        )
    return Moment(
        at, f"{named} comes twice here ({zone}), as the clock is put back: the first it is, {at:%H:%M:%S %Z}"
    )


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()
