"""Counters, and durations in buckets."""

from __future__ import annotations

import pytest

from glockd.core.state import State
from glockd.core.stats import TRANSPORTS, Durations, Stats
from tests.support.core import queued, sessions, taken


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.0009995, 0), (0.001, 1), (0.0019, 1), (0.002, 2), (0.004, 3), (1.0, 10), (1.024, 11)],
)
def test_a_duration_falls_into_its_bucket(seconds: float, bucket: int) -> None:
    durations = Durations()
    durations.add(seconds)
    durations.add(seconds)
    assert durations.sum == 2 * seconds
    assert len(durations.buckets) == Durations.BUCKETS
    assert [place for place, number in enumerate(durations.buckets) if number] == [bucket]
    assert durations.buckets[bucket] == 2


def test_what_took_no_time_counts_among_the_shortest() -> None:
    durations = Durations()
    assert (durations.instant, durations.sum, sum(durations.buckets)) == (0, 0.0, 0)
    durations.add(0.0005)
    durations.add(0.003)
    durations.instant += 3
    assert durations.buckets[:4] == [4, 0, 1, 0]


def test_counters_begin_at_nought() -> None:
    stats = Stats([b"g", b"r"])
    assert stats.commands == {b"g": 0, b"r": 0}
    assert (stats.invalid_commands, stats.lag.sum, sum(stats.lag.buckets)) == (0, 0.0, 0)
    assert list(stats.traffic) == list(TRANSPORTS)
    for traffic in stats.traffic.values():
        assert (traffic.connections, traffic.received, traffic.sent) == (0, 0, 0)
    stats.uses[1] += 1
    assert stats.commands == {b"g": 0, b"r": 1}


def test_holds_and_waits_are_timed() -> None:
    state, (alice, bob, carol, dave, erin) = State(), sessions(5)
    table = state.exclusive
    taken(table, b"instant", alice, 5.0)
    table.release(b"instant", alice, 5.0)
    assert (table.stats.held.instant, table.stats.held.sum) == (1, 0.0)
    taken(table, b"plain", alice, 5.0)
    table.release(b"plain", alice, 7.0)
    assert (table.stats.held.instant, table.stats.held.sum) == (1, 2.0)
    taken(table, b"job", alice, 10.0)
    queued(table, b"job", bob, 11.0)
    table.withdraw(queued(table, b"job", carol, 12.0), 16.0)
    queued(table, b"job", dave, 12.0, until=28.0)
    queued(table, b"job", erin, 12.0)
    table.release(b"job", alice, 18.0)
    assert (table.stats.held.sum, table.stats.waited.sum) == (2.0 + 8.0, 4.0 + 7.0)
    state.expire(28.0, 9)
    table.release(b"job", bob, 50.0)
    assert (table.stats.held.sum, table.stats.waited.sum) == (10.0 + 32.0, 11.0 + 16.0 + 38.0)
    assert (sum(table.stats.held.buckets), sum(table.stats.waited.buckets)) == (4, 4)
    stats = table.stats
    assert (stats.granted_after_wait, stats.cancelled, stats.timed_out, stats.orphans) == (2, 1, 1, 0)
    assert (sum(state.shared.stats.held.buckets), sum(state.shared.stats.waited.buckets)) == (0, 0)
