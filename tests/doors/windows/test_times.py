"""Timestamps and durations, in and out."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.doors.windows import times

NOON = 1795780800  # 2026-11-27T12:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT11S", 11),
        ("P1DT2H", 93600),
        ("P1W", 604800),
        ("PT1.5H", 5400),
        ("PT0,5S", Fraction(1, 2)),
        ("P", 0),
        ("PT", 0),
        ("P1WT1S", 604801),
    ],
)
def test_a_duration_is_read_exactly(text: str, seconds: Fraction) -> None:
    assert times.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "P1M", "P1Y", "-PT1S", "+PT1S", "PT1S ", "pt1s", "PT1M1H", "P1D2H"]
)
def test_what_has_no_length_of_its_own_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid ISO 8601 duration"):
        times.duration(text)


def test_a_duration_longer_than_any_calendar_is_none() -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        times.duration("P999999999999999W")


@given(st.integers(0, times.LONGEST))
def test_what_is_written_is_read_as_the_same(seconds: int) -> None:
    text = times.write_duration(seconds)
    assert "W" not in text
    assert times.duration(text) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(0, "P0D"), (11, "PT11S"), (93600, "P1DT2H"), (86400, "P1D")])
def test_a_duration_is_written_without_weeks(seconds: int, text: str) -> None:
    assert times.write_duration(seconds) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27T12:00:00Z",
        "20261127T120000Z",
        "2026-11-27T12:00Z",
        "2026-11-27 14:00:00+02:00",
        "2026-11-27T11:30:00-0030",
        "2026-11-27T12:00:00.999Z",
    ],
)
def test_a_timestamp_is_read_in_every_form(text: str) -> None:
    assert times.moment(text) == NOON


def test_one_without_an_offset_is_in_the_zone_of_the_server() -> None:
    assert times.moment("2026-11-27T12:00:00") - times.moment("2026-11-27") == 12 * 3600


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30T00:00:00Z",
            "2026-11-27T25:00:00Z",
            "2026-11-27T12:00:00+99:99",
        ),
        *("1969-01-01T00:00:00Z", "2026-11-27T12:00:00Zx", "0000-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid ISO8601 date"):
        times.moment(text)


def test_moments_are_written_in_whole_seconds() -> None:
    assert times.write_moment(NOON + 0.9) == "2026-11-27T12:00:00+00:00"
    assert times.write_short(NOON + 0.9) == "2026-11-27T12:00:00Z"
    assert times.write_finely(NOON + 0.25) == "2026-11-27T12:00:00.250000+00:00"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("PT20S", NOON + 21),
        ("@PT1H", NOON + 3600),
        ("@PT30M", NOON + 1800),
        ("2026-11-27T12:00:00Z", NOON),
    ],
)
def test_a_start_is_a_moment_a_while_or_the_next_full_one(text: str, start: int) -> None:
    assert times.start_rule(text)(NOON + 1) == start


def test_the_next_full_one_lies_strictly_ahead() -> None:
    assert times.start_rule("@PT1H")(NOON) == NOON + 3600


@pytest.mark.parametrize("text", ["soonest", "@PT0S", "@", "", "PT", "later"])
def test_what_is_no_start_is_refused(text: str) -> None:
    if text == "PT":
        assert times.start_rule(text)(NOON) == NOON
        return
    with pytest.raises(ValueError, match=r"."):
        times.start_rule(text)
