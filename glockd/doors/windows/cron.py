"""POSIX cron expressions: minute, hour, day of the month, month, day of the week.

As crontab(5) of POSIX has it: `*`, numbers, ranges and lists of these; no steps, no names, and Sunday is 0. If both
days are given, either will do.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left
from datetime import date, datetime, timedelta
from typing import Final

_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_PART = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?", re.ASCII)

# In so many days every date comes that ever does: 29 February of a given weekday, over a century without a leap year.
_ENOUGH: Final = 41 * 366


class Cron:
    """When something is to happen again and again, in the time zone of the server.

    Args:
        expression: five fields.

    Raises:
        ValueError: it is no such expression, or names a date that never comes.
    """

    __slots__ = (
        "_any_day",
        "_any_weekday",
        "_days",
        "_hours",
        "_minutes",
        "_months",
        "_weekdays",
        "expression",
    )

    def __init__(self, expression: str) -> None:
        words = expression.split()
        if len(words) != len(_FIELDS):
            raise ValueError(f"{expression!r} is not a cron expression of five fields")
        sets = [_numbers(word, *field) for word, field in zip(words, _FIELDS, strict=True)]
        self.expression = expression
        self._minutes, self._hours = sorted(sets[0]), sorted(sets[1])
        self._days, self._months, self._weekdays = sets[2:]
        self._any_day, self._any_weekday = words[2] == "*", words[4] == "*"
        if self._day_from(date(2000, 1, 1)) is None:
            raise ValueError(f"{expression!r} names a date that never comes")

    def next(self, after: int) -> int:
        """The first moment later than `after`, in seconds since 1970, that the expression names.

        A local time that summer time skips does not come that day; one that it doubles counts once.
        """
        local = datetime.fromtimestamp(after)
        day = self._day_from(local.date())
        earliest = local.hour if day == local.date() else 0
        while day is not None:
            for hour in self._hours[bisect_left(self._hours, earliest) :]:
                for minute in self._minutes:
                    found = int(time.mktime((day.year, day.month, day.day, hour, minute, 0, 0, 0, -1)))
                    if found > after and time.localtime(found)[3:5] == (hour, minute):
                        return found
            earliest = 0
            day = self._day_from(day + timedelta(days=1))
        raise OverflowError("the calendar ends before")

    def _day_from(self, day: date) -> date | None:
        """The first day from `day` on that is named."""
        for _ in range(_ENOUGH):
            if day.month not in self._months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            elif self._has(day):
                return day
            else:
                day += timedelta(days=1)
        return None

    def _has(self, day: date) -> bool:
        by_day, by_weekday = day.day in self._days, day.isoweekday() % 7 in self._weekdays
        # POSIX crontab: if one of them is restricted, only that one counts; if both are, either.
        if self._any_day or self._any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday


def _numbers(word: str, name: str, least: int, most: int) -> set[int]:
    if word == "*":
        return set(range(least, most + 1))
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if match is None or not least <= first <= last <= most:
            raise ValueError(f"{part!r} is not a {name} from {least} to {most}, or a range of these")
        found.update(range(first, last + 1))
    return found
