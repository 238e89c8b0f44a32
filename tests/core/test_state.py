"""The state as a whole: what ends by time, and with its session."""

from __future__ import annotations

from itertools import count

import pytest

from glockd.core.deadlines import NEVER, Timed
from glockd.core.events import Granted, Lapsed, Queued, TimedOut
from glockd.core.history import ORPHANED, History
from glockd.core.sessions import Owner
from glockd.core.state import State
from tests.support.core import awaited_by, concurrents, held_by, queued, sessions, steps, taken, turns


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


def test_the_tables_are_apart_and_share_tokens_and_time() -> None:
    state, (alice, bob) = State(), sessions(2)
    assert list(state.tables) == ["exclusive", "shared", "items", "slots", "lrps", "windows"]
    assert [table.kind for table in state.tables.values()] == list(state.tables)
    assert (state.exclusive, state.shared) == (state.tables["exclusive"], state.tables["shared"])
    held = [taken(table, b"job", alice) for table in state.tables.values()]
    tokens = [hold.token for hold in held]
    assert tokens == sorted(set(tokens))
    assert (state.held, state.waiting) == (6, 0)
    for number, table in enumerate(state.tables.values()):
        table.lease(held[number], 6.0 - number)
    assert state.next_deadline() == 1.0
    queued(state.tables["slots"], b"job", bob)
    assert (state.held, state.waiting) == (6, 1)


def test_a_table_beside_those_of_the_line_shows_once_it_has_been_used() -> None:
    state, (alice,) = State(), sessions(1)
    line = [state.exclusive, state.shared]
    slots = state.tables["slots"]
    assert state.shown() == line
    slots.offer(b"p", 1, 1, 0.0)
    assert state.shown() == [*line, slots]
    hold = slots.take_unit(b"p", alice, 0.0)
    assert hold is not None
    slots.retire(b"p", 1)
    slots.drop(hold, 0.0)
    assert len(slots) == 0
    assert state.shown() == [*line, slots]


# Owners


def test_an_owner_lapses_when_its_time_is_over_and_is_there_until_it_is_ended() -> None:
    state, owner = State(), Owner(b"rest:1", "ldlm")
    state.registry.add(owner)
    hold = taken(state.exclusive, b"job", owner)
    state.extend(owner, 5.0)
    assert (owner.deadline, state.next_deadline(), state.deadlines.moved) == (5.0, 5.0, True)
    state.extend(owner, 7.0)
    assert state.expire(6.9, 9) == []
    (event,) = state.expire(7.0, 9)
    assert event == Lapsed(owner)
    assert (owner.deadline, state.next_deadline()) == (NEVER, NEVER)
    assert state.exclusive.holds(b"job") == (hold,)
    state.extend(owner, 9.0)
    assert state.next_deadline() == 9.0
    assert state.end(owner, 8.0, 9) == ([], True)
    assert (state.next_deadline(), owner.deadline, len(state.registry)) == (NEVER, NEVER, 0)
    assert state.expire(99.0, 9) == []


def test_what_a_lapsed_owner_has_is_passed_on_when_it_is_ended() -> None:
    state, owner, (alice,) = State(), Owner(b"rest:1", "ldlm"), sessions(1)
    taken(state.exclusive, b"job", owner)
    queued(state.exclusive, b"job", alice)
    assert turns(state.end(owner, 8.0, 9)[0]) == [(alice, alice)]


def test_something_else_with_a_deadline_is_a_mistake() -> None:
    class Odd(Timed):
        deadline = NEVER

    state = State()
    state.deadlines.set(Odd(), 1.0)
    with pytest.raises(TypeError, match="Odd"):
        state.expire(2.0, 9)
    assert state.expire(2.0, 9) == []


# Sessions with very many waits


def test_waits_end_some_at_a_time_latest_first_and_before_holds() -> None:
    history = History(99)
    state, (alice,), (calls,) = State(history=history), sessions(1), concurrents(1)
    state.registry.add(calls)
    table = state.exclusive
    taken(table, b"mine", calls)
    for number in range(5):
        taken(table, b"%d" % number, alice)
        queued(table, b"%d" % number, calls)
    assert state.end(calls, 1.0, 2) == ([], False)
    assert [waiter.name for waiter in awaited_by(calls)] == [b"0", b"1", b"2"]
    assert (table.waiting, len(state.registry)) == (3, 1)
    assert state.end(calls, 1.0, 3) == ([], False)
    assert (table.waiting, table.is_held(b"mine")) == (0, True)
    assert state.end(calls, 1.0, 1) == ([], True)
    assert (table.is_held(b"mine"), len(state.registry)) == (False, 0)
    ended = [(one.kind, one.subject.name) for one in history.records() if one.kind == ORPHANED]
    assert ended == [(ORPHANED, name) for name in (b"4", b"3", b"2", b"1", b"0", b"mine")]


def test_waits_and_holds_share_what_one_call_ends() -> None:
    state, (alice,), (calls,) = State(), sessions(1), concurrents(1)
    for name in (b"a", b"b"):
        taken(state.exclusive, name, alice)
        queued(state.exclusive, name, calls)
    for name in (b"c", b"d"):
        taken(state.exclusive, name, calls)
    assert state.end(calls, 1.0, 3) == ([], False)
    assert (state.exclusive.waiting, len(held_by(calls))) == (0, 1)


def test_a_turn_that_comes_while_a_session_is_ended_goes_on() -> None:
    state, (alice, bob), (calls,) = State(), sessions(2), concurrents(1)
    table = state.exclusive
    for name in (b"a", b"b"):
        taken(table, name, alice)
        queued(table, name, calls)
    queued(table, b"a", bob)
    assert state.end(calls, 1.0, 1) == ([], False)
    assert turns(table.release(b"a", alice, 1.0)) == [(calls, calls)]
    events, done = state.end(calls, 1.0, 9)
    assert (turns(events), done) == ([(bob, bob)], True)


def test_a_session_has_no_turn_by_the_end_of_another_of_its_waits() -> None:
    """The writer in front kept its own reader from a turn that nobody would hear of."""
    state, (alice,), (calls,) = State(), sessions(1), concurrents(1)
    table = state.exclusive
    taken(table, b"job", alice, weight=1)
    assert isinstance(table.wait(b"job", calls, 0.0, NEVER, key="writer"), Queued)
    assert isinstance(table.wait(b"job", calls, 0.0, NEVER, 1, key="reader"), Queued)
    assert state.end(calls, 1.0, 9) == ([], True)
    assert table.count(b"job") == 1


@pytest.mark.parametrize("names", [1, 50_000])
def test_fifty_thousand_waits_end_in_slices_that_stay_small(names: int) -> None:
    """Counted in steps of the interpreter, not in seconds: a slice costs what its own waits cost."""
    state, (alice,), (calls,) = State(), sessions(1), concurrents(1)
    table, waits = state.exclusive, 50_000
    for number in range(names):
        taken(table, b"%d" % number, alice)
    for number in range(waits):
        queued(table, b"%d" % (number % names), calls, key=number)
    slices = 0
    while True:
        with steps() as counted:
            _, done = state.end(calls, 1.0, 1000)
        slices += 1
        assert counted[0] < 100_000
        if done:
            break
    assert slices == waits // 1000
    assert (table.waiting, awaited_by(calls), table.contended()) == (0, (), [])
