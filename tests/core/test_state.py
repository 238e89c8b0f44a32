"""The state as a whole: what ends by time, and with its session."""

from __future__ import annotations

from itertools import count

from glockd.core.deadlines import NEVER
from glockd.core.events import Granted, TimedOut
from glockd.core.history import (
    ORPHANED,
    History,
)
from glockd.core.state import State
from tests.support.core import queued, sessions, taken


def test_as_much_as_is_asked_for_ends_in_one_go() -> None:
    state, waiting = State(), sessions(5)
    (alice,) = sessions(1)
    state.registry.add(alice)
    taken(state.exclusive, b"job", alice)
    for session in waiting:
        queued(state.exclusive, b"job", session, until=1.0)
    assert state.next_deadline() == 1.0
    assert state.expire(0.9, 2) == []
    events = state.expire(1.0, 2)
    assert [event.waiter.session for event in events if isinstance(event, TimedOut)] == waiting[:2]
    assert len(state.expire(1.0, 9)) == 3
    assert state.next_deadline() == NEVER


def test_the_end_of_a_session_goes_by_table_and_age() -> None:
    history = History(99)
    state, (alice, bob) = State(count(1), history), sessions(2)
    state.registry.add(alice)
    for table, name in ((state.shared, b"s1"), (state.exclusive, b"e1"), (state.shared, b"s2")):
        taken(table, name, alice)
    taken(state.exclusive, b"e2", alice)
    queued(state.exclusive, b"e2", bob)
    events, done = state.end(alice, 1.0, 4)
    assert [event.waiter.session for event in events if isinstance(event, Granted)] == [bob]
    assert done
    assert len(state.registry) == 0
    gone = [record.subject.name for record in history.records() if record.kind == ORPHANED]
    assert gone == [b"e1", b"e2", b"s1", b"s2"]
    assert (state.exclusive.stats.orphans, state.shared.stats.orphans) == (2, 2)


def test_a_session_that_has_more_to_end_is_still_there() -> None:
    state, (alice,) = State(), sessions(1)
    state.registry.add(alice)
    for number in range(3):
        taken(state.exclusive, b"%d" % number, alice)
    assert state.end(alice, 1.0, 2) == ([], False)
    assert len(state.registry) == 1
    assert state.end(alice, 1.0, 2) == ([], True)
    assert (len(state.registry), len(state.exclusive)) == (0, 0)
