"""A table's odd corners: keys, sizes, lines; what is plain is in test_properties."""

from __future__ import annotations

import pytest

from glockd.core.deadlines import NEVER
from glockd.core.holds import WHOLE
from glockd.core.state import State
from tests.support.core import awaited_by, queued, sessions, taken


def test_a_key_is_known_by_what_it_says() -> None:
    table, (alice,) = State().exclusive, sessions(1)
    first = taken(table, b"job", alice, weight=1, key=int("1000"))
    assert table.find(b"job", int("1000")) is first
    assert table.find(b"job", 1001) is table.find(b"job", alice) is table.find(b"jo", 1000) is None
    assert table.release(b"job", alice, 0.0, 1001) is None
    assert table.release(b"job", alice, 0.0) is None
    assert table.release(b"job", alice, 0.0, int("1000")) == ()
    taken(table, b"job", alice, weight=1, key=int("1000"))
    taken(table, b"job", alice, weight=1, key=int("1001"))
    with pytest.raises(ValueError, match="under that key"):
        table.take(b"job", alice, 0.0, 1, key=int("1000"))
    with pytest.raises(ValueError, match="under that key"):
        table.wait(b"job", alice, 0.0, NEVER, 1, key=int("1000"))
    assert table.release(b"job", alice, 0.0, 1002) is None
    assert table.release(b"job", alice, 0.0, int("1000")) == ()
    assert table.count(b"job") == 1


def test_a_lock_of_a_size_has_no_more() -> None:
    table, (alice, bob) = State().shared, sessions(2)
    assert table.take(b"pool", alice, 0.0, 2, 1, size=3) is None
    assert table.take(b"pool", alice, 0.0, 2, 1) is None
    assert not table.is_held(b"pool")
    taken(table, b"pool", alice, weight=2, size=3)
    assert table.take(b"pool", bob, 0.0, 2) is None
    held = taken(table, b"pool", bob, weight=1)
    assert (table.held, held.weight, table.count(b"pool")) == (2, 1, 2)
    assert table.release(b"pool", alice, 0.0) == ()
    assert table.release(b"pool", bob, 0.0) == ()
    assert (table.held, len(table)) == (0, 0)
    # The whole of three is three.
    whole = taken(table, b"pool", alice, size=3)
    assert whole.weight == 3
    queued(table, b"pool", bob)
    (granted,) = table.release(b"pool", alice, 0.0) or ()
    assert (granted.hold.weight, granted.holders) == (3, 1)


def test_those_in_line_are_counted_and_found() -> None:
    state, (alice, bob, carol, dave) = State(), sessions(4)
    table = state.exclusive
    for name in (b"a", b"b", b"c"):
        taken(table, name, alice)
    assert list(table) == table.names() == [b"a", b"b", b"c"]
    late = queued(table, b"b", bob, 5.0)
    early = queued(table, b"a", carol, 4.0)
    last = queued(table, b"b", dave, 6.0)
    assert table.contended() == [b"b", b"a"]
    assert list(table.lines()) == [(b"b", 2), (b"a", 1)]
    assert table.oldest_waiter() is early
    assert (table.waiting, state.shared.waiting) == (3, 0)
    assert state.shared.contended() == []
    assert list(state.shared.lines()) == []
    assert state.shared.oldest_waiter() is None
    assert list(table.waiters(b"b")) == [late, last]
    assert list(table.waiters(b"c")) == list(table.waiters(b"d")) == []
    assert table.release(b"a", alice, 7.0) is not None
    assert (table.contended(), table.waiting) == ([b"b"], 2)
    table.withdraw(late, 7.0)
    table.withdraw(last, 7.0)
    assert (table.contended(), table.waiting) == ([], 0)
    assert table.count(b"b") == 1


def test_a_session_may_stand_in_several_lines() -> None:
    """The line language lets it wait for one lock at a time; another door need not."""
    state, (alice, bob) = State(), sessions(2)
    for name in (b"a", b"b", b"c"):
        taken(state.exclusive, name, alice)
    first, second, third = (queued(state.exclusive, name, bob) for name in (b"a", b"b", b"c"))
    assert awaited_by(bob) == (first, second, third)
    state.exclusive.withdraw(second, 0.0)
    assert awaited_by(bob) == (first, third)
    state.exclusive.release(b"a", alice, 0.0)
    assert awaited_by(bob) == (third,)
    events, done = state.end(bob, 0.0, 9)
    assert (events, done, awaited_by(bob)) == ([], True, ())


def test_who_is_served_is_told_with_how_many_hold() -> None:
    table, (alice, *rest) = State().exclusive, sessions(4)
    taken(table, b"job", alice)
    for session in rest:
        table.wait(b"job", session, 0.0, NEVER, 1)
    granted = table.release(b"job", alice, 0.0)
    assert granted is not None
    assert [(one.waiter.session, one.holders) for one in granted] == list(zip(rest, (1, 2, 3), strict=True))
    assert [one.hold.weight for one in granted] == [1, 1, 1]
    assert [table.held, *(len(session.holds) for session in rest)] == [3, 1, 1, 1]


def test_a_hold_of_the_whole_leaves_room_for_nobody() -> None:
    table, (alice, bob) = State().exclusive, sessions(2)
    hold = taken(table, b"job", alice)
    assert (hold.weight, hold.deadline) == (WHOLE, NEVER)
    assert table.take(b"job", bob, 0.0, 1) is None
    table.release(b"job", alice, 0.0)
    taken(table, b"job", alice, weight=1, limit=1)
    assert table.take(b"job", bob, 0.0) is None
    assert table.take(b"job", bob, 0.0, 1, 1) is None
    taken(table, b"job", bob, weight=1, limit=2)
