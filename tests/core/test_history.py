"""What is remembered of locks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest

from glockd.core.deadlines import NEVER
from glockd.core.events import Refused
from glockd.core.history import (
    CANCELLED,
    EXPIRED,
    GRANTED,
    KICKED,
    ORPHANED,
    REFUSED,
    RELEASED,
    TIMED_OUT,
    History,
    Journal,
    Record,
)
from glockd.core.state import State
from tests.support.core import awaited_by, queued, sessions, taken

if TYPE_CHECKING:
    from glockd.notices import Notice


def told(history: History) -> list[tuple[str, float, bytes, bytes, float, str]]:
    """The history's records in short."""
    return [
        (one.kind, one.now, one.subject.name, one.subject.session.address, one.waited, one.detail)
        for one in history.records()
    ]


@pytest.fixture(params=["history", "journal"])
def history(request: pytest.FixtureRequest) -> History:
    return History(100) if request.param == "history" else Journal(100, list[object]().append)


def test_every_fact_is_remembered(history: History) -> None:
    state = State(history=history)
    table, (alice, bob, carol, dave) = state.exclusive, sessions(4)
    hold = taken(table, b"job", alice, 1.0)
    queued(table, b"job", bob, 2.0)
    cancelled = queued(table, b"job", carol, 3.0)
    late = queued(table, b"job", dave, 4.0, until=8.0)
    table.withdraw(cancelled, 5.0)
    assert table.release(b"job", alice, 6.5)
    state.expire(9.0, 9)
    assert late.deadline == NEVER
    (bobs,) = bob.holds
    table.lease(bobs, 11.0)
    state.expire(12.0, 9)
    taken(table, b"job", carol, 13.0)
    state.end(carol, 14.0, 9, detail="reset")
    taken(table, b"job", carol, 15.0)
    state.end(carol, 16.0, 9, KICKED, "kicked")
    address = {"a": b"address:0", "b": b"address:1", "c": b"address:2", "d": b"address:3"}
    assert told(history) == [
        (kind, now, b"job", address[who], waited, detail)
        for kind, now, who, waited, detail in [
            (GRANTED, 1.0, "a", 0.0, ""),
            (CANCELLED, 5.0, "c", 2.0, ""),
            (RELEASED, 6.5, "a", 0.0, ""),
            (GRANTED, 6.5, "b", 4.5, ""),
            (TIMED_OUT, 9.0, "d", 5.0, ""),
            (EXPIRED, 12.0, "b", 0.0, ""),
            (GRANTED, 13.0, "c", 0.0, ""),
            (ORPHANED, 14.0, "c", 0.0, "reset"),
            (GRANTED, 15.0, "c", 0.0, ""),
            (KICKED, 16.0, "c", 0.0, "kicked"),
        ]
    ]
    assert next(history.records()).subject is hold
    assert list(history.latest()) == list(history.records())[::-1]
    assert history.count() == 10


def test_a_journal_hands_on_each_record_as_it_happens() -> None:
    outbox: deque[Notice] = deque()
    journal = Journal(1, outbox.append)
    state, (alice, bob) = State(history=journal), sessions(2)
    hold = taken(state.exclusive, b"job", alice, 1.0)
    assert outbox.pop() == Record(GRANTED, 1.0, hold, 0.0, "")
    queued(state.exclusive, b"job", bob, 2.0)
    assert not outbox
    (granted,) = state.exclusive.release(b"job", alice, 4.0) or ()
    assert list(outbox) == [
        Record(RELEASED, 4.0, hold, 0.0, ""),
        Record(GRANTED, 4.0, granted.hold, 2.0, ""),
    ]
    assert (journal.count(), list(journal.records())) == (1, [outbox[-1]])


def test_a_plain_release_is_remembered_in_short() -> None:
    history = History(5)
    state, (alice,) = State(history=history), sessions(1)
    hold = taken(state.shared, b"job", alice, 1.0)
    assert state.shared.release(b"job", alice, 4.0) == ()
    assert list(history.records()) == [
        Record(GRANTED, 1.0, hold, 0.0, ""),
        Record(RELEASED, 4.0, hold, 0.0, ""),
    ]
    assert list(history.records(b"job")) == list(history.records())
    assert list(history.records(b"jo")) == list(history.records(b"")) == []


def test_a_history_keeps_just_the_latest() -> None:
    history = History(2)
    state, (alice,) = State(history=history), sessions(1)
    for name in (b"a", b"b", b"", b"c"):
        taken(state.exclusive, name, alice)
    assert [record.subject.name for record in history.latest()] == [b"c", b""]
    assert [record.subject.name for record in history.records(b"")] == [b""]
    assert history.count() == 2


def test_a_refusal_is_remembered_with_its_circle() -> None:
    history = History(9)
    state, (alice, bob) = State(history=history), sessions(2)
    table = state.exclusive
    taken(table, b"a", alice)
    taken(table, b"b", bob)
    queued(table, b"b", alice)
    outcome = table.wait(b"a", bob, 3.0, NEVER)
    assert isinstance(outcome, Refused)
    assert outcome.cycle == (bob, alice)
    record = next(history.latest())
    assert record == Record(REFUSED, 3.0, outcome.waiter, 0.0, "address:1 -> address:0 -> address:1")
    assert awaited_by(bob) == ()
    assert (table.waiting, table.stats.refused, table.contended()) == (1, 1, [b"b"])
