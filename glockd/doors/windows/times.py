"""Timestamps and durations as ISO 8601 writes them, in and out (the specification, section 1).

A moment is a number of seconds since 1970, a duration one of seconds. Months, years and signs are no part of a
duration, since they have no length of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Final

# No calendar goes so far; and so its moments can be written.
LAST_MOMENT: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
LONGEST: Final = LAST_MOMENT

_NUMBER = r"(\d{1,15}(?:[.,]\d{1,15})?)"
_DURATION = re.compile(
    rf"P(?:{_NUMBER}W)?(?:{_NUMBER}D)?(T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?", re.ASCII
)
_SECONDS = (7 * 86400, 86400, 3600, 60, 1)

_DATE = r"(\d{4})(?:-(\d\d)-(\d\d)|(\d\d)(\d\d))"
_TIME = r"(\d\d)(?::(\d\d)(?::(\d\d)(?:[.,]\d+)?)?|(\d\d)(?:(\d\d)(?:[.,]\d+)?)?)?"
_ZONE = r"(Z|[+-]\d\d(?::?\d\d)?)?"
_TIMESTAMP = re.compile(rf"{_DATE}(?:[T ]{_TIME}{_ZONE})?", re.ASCII)


def duration(text: str) -> Fraction:
    """The seconds of a duration, exactly.

    Raises:
        ValueError: it is none, or longer than any calendar.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a valid ISO 8601 duration.")
    weeks, days, _, hours, minutes, seconds = found.groups()
    parts = zip((weeks, days, hours, minutes, seconds), _SECONDS, strict=True)
    total = sum((Fraction(part.replace(",", ".")) * each for part, each in parts if part), Fraction(0))
    if total > LONGEST:
        raise ValueError(f"{text!r} is not a valid ISO 8601 duration.")
    return total


def whole(seconds: Fraction) -> int:
    """A duration in whole seconds, as times of runs are: rounded up."""
    return math.ceil(seconds)


def write_duration(seconds: int) -> str:
    """A duration of whole seconds, 0 or more, without weeks: `PT11S`, `P1DT2H`, `P0D`."""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    clock = "".join(
        f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if number
    )
    date = f"{days}D" if days or not clock else ""
    return f"P{date}T{clock}" if clock else f"P{date}"


def moment(text: str) -> int:
    """The moment of a timestamp, cut to whole seconds; without an offset it is in the server's time zone.

    Raises:
        ValueError: it is none.
    """
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise ValueError("Invalid ISO8601 date")
    year, month, day, month_, day_, hour, minute, second, minute_, second_, zone = found.groups()
    try:
        naive = datetime(
            int(year),
            int(month or month_),
            int(day or day_),
            int(hour or 0),
            int(minute or minute_ or 0),
            int(second or second_ or 0),
        )
        aware = naive.replace(tzinfo=_zone(zone)) if zone else naive.astimezone()
        found_at = math.floor(aware.timestamp())
    except (ValueError, OverflowError) as error:
        raise ValueError("Invalid ISO8601 date") from error
    if not 0 <= found_at <= LAST_MOMENT:
        raise ValueError("Invalid ISO8601 date")
    return found_at


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if minutes > 59:
        raise ValueError("Invalid ISO8601 date")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def write_moment(at: float) -> str:
    """A moment as it is answered: `2026-11-25T22:06:42+00:00`, in whole seconds."""
    return datetime.fromtimestamp(math.floor(at), UTC).isoformat()


def write_finely(at: float) -> str:
    """A moment with its microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def write_short(at: float) -> str:
    """A moment as lines have it: `2026-11-25T22:06:42Z`."""
    return datetime.fromtimestamp(math.floor(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def start_rule(text: str) -> Callable[[int], int]:
    """When a task is to start, as it was posted: a timestamp, `PT20S` from now on, or `@PT1H`, the next full one.

    Returns:
        Gives the moment, for the moment of the posting.

    Raises:
        ValueError: it is none of these.
    """
    if text.startswith("@"):
        step = whole(duration(text[1:]))
        if step <= 0:
            raise ValueError(f"{text!r} has no length")
        return lambda now: (now // step + 1) * step
    if text.startswith("P"):
        wait = whole(duration(text))
        return lambda now: now + wait
    at = moment(text)
    return lambda now: at
