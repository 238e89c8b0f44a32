"""A table's odd corners: keys, sizes, lines; what is plain is in test_properties."""

from __future__ import annotations

from itertools import count

import pytest

from glockd.core.deadlines import NEVER
from glockd.core.events import Queued
from glockd.core.history import History
from glockd.core.holds import WHOLE
from glockd.core.state import State
from tests.support.core import awaited_by, concurrents, held_by, queued, sessions, taken, turns


def test_a_key_is_known_by_what_it_says() -> None:
    table, (alice,) = State().exclusive, sessions(1)
    first = taken(table, b"job", alice, weight=1, key=int("1000"))
    assert table.find(b"job", int("1000")) is first
    assert table.find(b"job", 1001) is table.find(b"job", alice) is table.find(b"jo", 1000) is None
    assert table.release(b"job", alice, 0.0) is None
    assert table.drop(first, 0.0) == ()
    taken(table, b"job", alice, weight=1, key=int("1000"))
    second = taken(table, b"job", alice, weight=1, key=int("1001"))
    with pytest.raises(ValueError, match="under that key"):
        table.take(b"job", alice, 0.0, 1, key=int("1000"))
    with pytest.raises(ValueError, match="under that key"):
        table.wait(b"job", alice, 0.0, NEVER, 1, key=int("1000"))
    assert table.release(b"job", alice, 0.0) is None
    assert table.drop(second, 0.0) == ()
    assert table.count(b"job") == 1


def test_nobody_gives_back_what_is_held_under_a_key_but_by_the_hold_itself() -> None:
    """Whoever finds a hold sees whose it is; a name and a key do not tell."""
    table, (alice, bob) = State().exclusive, sessions(2)
    taken(table, b"job", alice, key=7)
    taken(table, b"bobs", bob)
    assert table.release(b"job", bob, 0.0) is None
    assert table.release(b"job", alice, 0.0) is None
    (bobs,) = held_by(bob)
    assert bobs.name == b"bobs"
    assert table.release(b"bobs", bob, 0.0) == ()
    found = table.find(b"job", 7)
    assert found is not None
    assert found.session is alice
    assert table.drop(found, 0.0) == ()
    assert held_by(alice) == ()


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
    most = taken(table, b"pool", alice, weight=9, size=3)
    assert most.weight == 3


def test_the_whole_of_a_lock_with_a_size_is_the_whole() -> None:
    table, (alice, bob, carol) = State().exclusive, sessions(3)
    whole = taken(table, b"pool", alice, size=3)
    assert whole.weight == WHOLE
    assert table.take(b"pool", bob, 0.0, 1, size=3) is None
    queued(table, b"pool", bob)
    queued(table, b"pool", carol)
    (granted,) = table.release(b"pool", alice, 0.0) or ()
    assert (granted.waiter.session, granted.hold.weight, granted.holders) == (bob, WHOLE, 1)
    (granted,) = table.release(b"pool", bob, 0.0) or ()
    assert (granted.waiter.session, granted.hold.weight) == (carol, WHOLE)


def test_whoever_is_first_waits_until_nothing_is_used() -> None:
    table, (alice, bob, carol) = State().exclusive, sessions(3)
    taken(table, b"pool", alice, weight=1, size=3)
    taken(table, b"pool", bob, weight=1, size=3)
    queued(table, b"pool", carol)
    assert turns(table.release(b"pool", alice, 0.0)) == []
    assert turns(table.release(b"pool", bob, 0.0)) == [(carol, carol)]


def test_a_lock_tells_its_size_and_keeps_it_until_it_is_free() -> None:
    table, (alice, bob, carol) = State().exclusive, sessions(3)
    assert table.size(b"pool") is None
    taken(table, b"pool", alice, weight=1, size=2)
    assert table.size(b"pool") == 2
    for size in (1, 3):
        with pytest.raises(ValueError, match="another size"):
            table.take(b"pool", bob, 0.0, 1, size=size)
    queued(table, b"pool", bob)
    assert table.size(b"pool") == 2
    table.release(b"pool", alice, 0.0)
    table.release(b"pool", bob, 0.0)
    assert table.size(b"pool") is None
    taken(table, b"pool", alice)
    assert table.size(b"pool") is None
    table.release(b"pool", alice, 0.0)
    # Where there is no size yet it is a limit for whoever names it, and for nobody else.
    for session in (alice, bob):
        taken(table, b"pool", session, weight=1, limit=5)
    assert table.size(b"pool") is None
    assert table.take(b"pool", carol, 0.0, 1, size=2) is None
    taken(table, b"pool", carol, weight=1, size=3)


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


def test_a_session_that_can_say_nothing_meanwhile_waits_for_one_lock() -> None:
    table, (alice, bob), (calls,) = State().exclusive, sessions(2), concurrents(1)
    for name in (b"a", b"b"):
        taken(table, name, alice)
    queued(table, b"a", bob)
    with pytest.raises(ValueError, match="waits already"):
        table.wait(b"b", bob, 0.0, NEVER)
    assert (table.waiting, table.contended()) == (1, [b"a"])
    queued(table, b"a", calls)
    queued(table, b"b", calls)
    assert table.waiting == 3


def test_waits_that_make_no_sense_are_a_mistake() -> None:
    table, (alice, bob) = State().exclusive, sessions(2)
    with pytest.raises(ValueError, match="nobody holds"):
        table.wait(b"job", bob, 0.0, NEVER)
    taken(table, b"job", alice)
    with pytest.raises(ValueError, match="more is wanted"):
        table.wait(b"job", bob, 0.0, NEVER, 3, 2)
    assert (table.waiting, awaited_by(bob)) == (0, ())
    assert table.release(b"job", alice, 0.0) == ()
    assert len(table) == 0


def test_two_waits_under_one_key_are_served_one_after_the_other() -> None:
    table, (alice,), (calls, others) = State().exclusive, sessions(1), concurrents(2)
    taken(table, b"job", alice)
    for session in (calls, others):
        assert isinstance(table.wait(b"job", session, 0.0, NEVER, 1, 5, key=7), Queued)
    assert turns(table.release(b"job", alice, 0.0)) == [(calls, 7)]
    hold = table.find(b"job", 7)
    assert hold is not None
    assert hold.session is calls
    assert turns(table.drop(hold, 0.0)) == [(others, 7)]


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


# What outlived the daemon


def test_a_hold_comes_back_with_its_token_and_its_lease() -> None:
    state, (alice, bob) = State(count(100)), sessions(2)
    table = state.exclusive
    hold = table.restore(b"job", alice, None, WHOLE, 42, -7.0, 9.0)
    assert (hold.token, hold.since, hold.key, hold.weight, hold.deadline) == (42, -7.0, alice, WHOLE, 9.0)
    assert table.find(b"job", alice) is hold
    assert held_by(alice) == (hold,)
    assert state.next_deadline() == 9.0
    assert table.take(b"job", bob, 0.0) is None
    queued(table, b"job", bob)
    assert turns(state.expire(9.0, 9)[1:]) == [(bob, bob)]
    (bobs,) = held_by(bob)
    assert bobs.token == 100


def test_what_comes_back_is_neither_noted_nor_counted() -> None:
    history = History(9)
    state, (alice,) = State(history=history), sessions(1)
    state.exclusive.restore(b"job", alice, None, WHOLE, 42, 0.0, NEVER)
    assert history.count() == 0
    assert state.next_deadline() == NEVER
    assert state.exclusive.release(b"job", alice, 2.0) == ()
    assert state.exclusive.stats.held.sum == 2.0


def test_several_holds_come_back_beside_each_other_in_a_lock_of_its_size() -> None:
    table, (alice, bob) = State().exclusive, sessions(2)
    for key, session in enumerate((alice, alice, bob)):
        table.restore(b"pool", session, key, 1, 10 + key, 0.0, NEVER, 3)
    assert (table.held, table.size(b"pool"), table.count(b"pool")) == (3, 3, 3)
    assert [hold.token for hold in table.holds(b"pool")] == [10, 11, 12]
    assert table.take(b"pool", bob, 0.0, 1, key=9, size=3) is None
    for key in range(3):
        hold = table.find(b"pool", key)
        assert hold is not None
        table.drop(hold, 0.0)
    assert (table.held, len(table)) == (0, 0)


def test_readers_come_back_beside_each_other() -> None:
    table, (alice, bob) = State().exclusive, sessions(2)
    table.restore(b"book", alice, None, 1, 1, 0.0, NEVER)
    table.restore(b"book", bob, None, 1, 2, 0.0, NEVER)
    assert (table.held, table.size(b"book")) == (2, None)


@pytest.mark.parametrize(
    ("held", "size", "key", "weight", "wanted", "why"),
    [
        (WHOLE, WHOLE, "b", WHOLE, WHOLE, "more is wanted"),
        (1, WHOLE, "b", WHOLE, WHOLE, "more is wanted"),
        (WHOLE, WHOLE, "b", 1, WHOLE, "more is wanted"),
        (1, WHOLE, "a", 1, WHOLE, "under that key"),
        (2, 3, "b", 2, 3, "more is wanted"),
        (2, 3, "b", 1, 4, "another size"),
        (1, WHOLE, "b", 1, 4, "another size"),
        (1, 2, "b", 3, 2, "more is wanted"),
    ],
)
def test_what_does_not_fit_does_not_come_back(
    held: int, size: int, key: str, weight: int, wanted: int, why: str
) -> None:
    table, (alice, bob) = State().exclusive, sessions(2)
    first = table.restore(b"job", alice, "a", held, 1, 0.0, NEVER, size)
    with pytest.raises(ValueError, match=why):
        table.restore(b"job", bob, key, weight, 2, 0.0, NEVER, wanted)
    assert (table.holds(b"job"), table.held, held_by(bob)) == ((first,), 1, ())


def test_more_than_its_size_does_not_come_back_of_a_free_lock() -> None:
    table, (alice,) = State().exclusive, sessions(1)
    with pytest.raises(ValueError, match="more is wanted"):
        table.restore(b"job", alice, None, 3, 1, 0.0, NEVER, 2)
    assert (len(table), held_by(alice)) == (0, ())
