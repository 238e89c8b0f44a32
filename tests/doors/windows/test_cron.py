"""Cron expressions as POSIX has them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from glockd.doors.windows.cron import Cron


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    before = os.environ.get("TZ")

    def enter(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    yield enter
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("expression", "after", "found"),
    [
        ("0,30 * * * *", "2026-11-27T14:59:59", "2026-11-27T15:00:00"),
        ("0,30 * * * *", "2026-11-27T15:00:00", "2026-11-27T15:30:00"),
        ("15 2 * * *", "2026-11-27T02:15:00", "2026-11-28T02:15:00"),
        ("0 0 29 2 *", "2026-11-27T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 31 12 *", "2026-12-31T00:00:00", "2027-12-31T00:00:00"),
        ("0 9-11 * * 1-5", "2026-11-27T11:00:00", "2026-11-30T09:00:00"),
        ("0 0 13 * 5", "2026-11-27T00:00:00", "2026-12-04T00:00:00"),  # either of the two days
        ("0 12 * 6 0", "2026-11-27T00:00:00", "2027-06-06T12:00:00"),
    ],
)
def test_the_next_moment_is_the_first_that_is_named(
    zone: Callable[[str], None], expression: str, after: str, found: str
) -> None:
    zone("UTC")
    assert Cron(expression).next(at(after)) == at(found)


def test_an_hour_that_summer_time_skips_does_not_come_that_day(zone: Callable[[str], None]) -> None:
    zone("Europe/Zurich")
    # On 2026-03-29 02:00 becomes 03:00.
    assert Cron("30 2 * * *").next(at("2026-03-28T12:00:00")) == at("2026-03-30T00:30:00")


def test_an_hour_that_summer_time_doubles_counts_once(zone: Callable[[str], None]) -> None:
    zone("Europe/Zurich")
    # On 2026-10-25 03:00 becomes 02:00.
    first = Cron("30 2 * * *").next(at("2026-10-24T12:00:00"))
    assert first in (at("2026-10-25T00:30:00"), at("2026-10-25T01:30:00"))
    assert Cron("30 2 * * *").next(first) == at("2026-10-26T01:30:00")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "*/5 * * * *",
        "0 0 * * 7",
        "60 * * * *",
        "0 0 0 * *",
        "5-1 * * * *",
        "a * * * *",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"is not a"):
        Cron(expression)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 2,4,6 *"])
def test_a_date_that_never_comes_is_refused_at_once(expression: str) -> None:
    begun = time.thread_time()
    with pytest.raises(ValueError, match="never comes"):
        Cron(expression)
    assert time.thread_time() - begun < 0.5


def test_the_rarest_date_is_found_soon(zone: Callable[[str], None]) -> None:
    zone("UTC")
    begun = time.thread_time()
    assert Cron("0 0 29 2 *").next(at("2096-03-01T00:00:00")) == at("2104-02-29T00:00:00")
    assert time.thread_time() - begun < 0.5
