"""The small parts of the core, each by itself: deadlines, durations, sessions, the history, a table's odd corners."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.core import deadlock
from glockd.core.deadlines import NEVER, Deadlines, Timed
from glockd.core.events import Granted, Queued, Refused, TimedOut
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
from glockd.core.holds import WHOLE, Hold, Waiter
from glockd.core.locks import LockTable
from glockd.core.sessions import Registry, Session
from glockd.core.state import State
from glockd.core.stats import TRANSPORTS, Durations, Stats

if TYPE_CHECKING:
    from glockd.notices import Notice


def sessions(number: int) -> list[Session]:
    return [Session(b"address:%d" % serial) for serial in range(number)]


def taken(table: LockTable, name: bytes, session: Session, now: float = 0.0, **how: int) -> Hold:
    hold = table.take(name, session, now, **how)  # type: ignore[arg-type]
    assert hold is not None
    return hold


def queued(table: LockTable, name: bytes, session: Session, now: float = 0.0, until: float = NEVER) -> Waiter:
    outcome = table.wait(name, session, now, until)
    assert isinstance(outcome, Queued)
    return outcome.waiter


def held_by(session: Session) -> Collection[Hold]:
    return session.holds


def awaited_by(session: Session) -> Sequence[Waiter]:
    return session.waiters


# Deadlines


class Item(Timed):
    def __init__(self) -> None:
        self.deadline = NEVER


def test_the_soonest_deadline_is_next_whatever_came_first() -> None:
    deadlines, items = Deadlines(), [Item() for _ in range(3)]
    assert deadlines.next() == NEVER
    assert deadlines.pop(10.0**9) is None
    for item, deadline in zip(items, (3.0, 1.0, 2.0), strict=True):
        deadlines.set(item, deadline)
    assert deadlines.next() == 1.0
    assert deadlines.pop(0.999) is None
    assert deadlines.pop(1.0) is items[1]
    assert items[1].deadline == NEVER
    assert [deadlines.pop(3.0), deadlines.pop(3.0), deadlines.pop(3.0)] == [items[2], items[0], None]


def test_of_two_with_the_same_deadline_the_first_set_is_the_first_to_go() -> None:
    deadlines, items = Deadlines(), [Item() for _ in range(20)]
    for item in items:
        deadlines.set(item, 1.0)
    assert [deadlines.pop(1.0) for _ in items] == items


def test_a_deadline_moved_or_taken_away_is_not_kept_to() -> None:
    deadlines, item, other = Deadlines(), Item(), Item()
    deadlines.set(item, 1.0)
    deadlines.set(item, 5.0)
    assert deadlines.pop(4.0) is None
    assert deadlines.next() == 5.0
    deadlines.set(other, 6.0)
    deadlines.clear(item)
    assert item.deadline == NEVER
    assert deadlines.next() == 6.0
    deadlines.set(other, NEVER)
    assert deadlines.next() == NEVER
    assert deadlines.pop(10.0) is None


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([NEVER, 1.0, 2.0, 3.0, "clear", "pop"])), max_size=200
    )
)
def test_stale_deadlines_do_not_pile_up(steps: list[tuple[int, float | str]]) -> None:
    deadlines, items = Deadlines(), [Item() for _ in range(5)]
    deadlines.SMALL = 4
    for place, step in steps:
        item = items[place]
        if isinstance(step, float):
            deadlines.set(item, step)
        elif step == "pop":
            due = min((one.deadline for one in items), default=NEVER)
            popped = deadlines.pop(2.0)
            assert (popped is None) == (due > 2.0)
        elif item.deadline != NEVER:
            deadlines.clear(item)
        live = [one.deadline for one in items if one.deadline != NEVER]
        assert deadlines.next() == min(live, default=NEVER)
        assert len(deadlines._heap) <= 2 * len(live) + 4


@pytest.mark.parametrize("before", ["nothing", "popped", "cleared", "taken away"])
def test_as_many_stale_deadlines_are_kept_as_is_said(before: str) -> None:
    """Twice as many entries as there are deadlines, and SMALL: fewer would cost time, more would cost memory."""
    deadlines, first, item = Deadlines(), Item(), Item()
    for now in range(0 if before == "nothing" else 100):
        gone = Item()
        deadlines.set(gone, float(now))
        if before == "popped":
            assert deadlines.pop(float(now)) is gone
        elif before == "cleared":
            deadlines.clear(gone)
        else:
            deadlines.set(gone, NEVER)
        assert deadlines.next() == NEVER
    deadlines.set(first, 1000.0)  # behind it the stale ones stay
    entries = 0
    for later in range(300):
        deadlines.set(item, 2000.0 + later)
        assert deadlines.next() == 1000.0
        entries = max(entries, len(deadlines._heap))
    assert entries == 2 * 2 + Deadlines.SMALL


@pytest.mark.parametrize("seed", range(5))
def test_deadlines_come_in_order_when_most_have_been_taken_away(seed: int) -> None:
    random = Random(seed)
    deadlines, items = Deadlines(), [Item() for _ in range(400)]
    for item in items:
        deadlines.set(item, random.random())
    random.shuffle(items)
    left, gone = items[:100], items[100:]
    for item in gone:
        deadlines.clear(item)
    left.sort(key=lambda item: item.deadline)
    assert [deadlines.pop(1.0) for _ in left] == left
    assert deadlines.pop(1.0) is None


# Durations


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


# Sessions


def test_a_session_keeps_a_tuple_for_one_hold_and_a_set_for_more() -> None:
    (session,), table = sessions(1), State().exclusive
    first, second, third = (taken(table, name, session) for name in (b"a", b"b", b"c"))
    assert held_by(session) == {first, second, third}
    session.discard(second)
    session.discard(second)
    assert held_by(session) == {first, third}
    session.discard(first)
    session.discard(third)
    assert held_by(session) == ()
    session.add(first)
    assert held_by(session) == (first,)
    session.discard(second)
    assert held_by(session) == (first,)
    session.discard(first)
    assert held_by(session) == ()


def test_holds_are_popped_a_few_at_a_time() -> None:
    (session,), table = sessions(1), State().exclusive
    held = {taken(table, b"%d" % number, session) for number in range(5)}
    first = session.pop(2)
    assert len(first) == 2
    rest = session.pop(3)
    assert held_by(session) == ()
    assert {*first, *rest} == held
    assert session.pop(1) == []
    one = taken(table, b"one", session)
    assert session.pop(1) == [one]
    assert held_by(session) == ()


def test_a_session_is_called_by_its_name_or_else_its_address() -> None:
    registry, (alice, bob, carol) = Registry(), sessions(3)
    for session in (alice, bob, carol):
        registry.add(session)
    assert (len(registry), list(registry.sessions())) == (3, [alice, bob, carol])
    assert (alice.label, alice.transport, alice.since) == (b"address:0", "tcp", 0.0)
    registry.register(bob, b"B")
    registry.register(alice, b"A")
    registry.register(carol, b"B")
    assert alice.label == b"A"
    assert registry.named() == [bob, alice, carol]
    assert registry.named(b"B") == registry.find(b"B") == [bob, carol]
    assert registry.named(b"C") == registry.find(b"C") == []
    assert registry.find(b"address:2") == [carol]
    registry.register(alice, b"address:2")
    assert registry.find(b"address:2") == [carol]
    registry.register(bob, b"")
    assert (bob.name, bob.label) == (None, b"address:1")
    assert registry.named() == [alice, carol]
    registry.register(bob, b"")
    registry.remove(carol)
    assert registry.named() == registry.find(b"address:2") == [alice]
    assert len(registry) == 2
    registry.remove(carol)


# The history


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


# Tables


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


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_circle_is_found_however_much_a_session_holds(more: int) -> None:
    """Above MANY holds another way of looking is taken; it sees the same."""
    state, (alice, bob, carol) = State(), sessions(3)
    table = state.exclusive
    for number in range(deadlock.MANY + more):
        taken(table, b"%d" % number, alice)
    taken(table, b"bobs", bob)
    taken(table, b"carols", carol)
    taken(table, b"leased", bob)
    first = queued(table, b"bobs", carol)
    # Nobody waits for what Alice has yet.
    waiter = queued(table, b"bobs", alice)
    table.withdraw(waiter, 0.0)
    table.withdraw(first, 0.0)
    queued(table, b"0", bob)
    outcome = table.wait(b"bobs", alice, 0.0, NEVER)
    assert isinstance(outcome, Refused)
    assert outcome.cycle == (alice, bob)
    assert isinstance(table.wait(b"carols", alice, 0.0, NEVER), Queued)


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
