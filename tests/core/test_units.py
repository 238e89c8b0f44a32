"""Pools: units with names and ranks, who gets which, and when a pool is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.core.deadlines import NEVER
from glockd.core.events import Expired, TimedOut
from glockd.core.history import GRANTED, ORPHANED, RELEASED, History
from glockd.core.holds import Hold
from glockd.core.locks import LockTable
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.core.units import ANY, Units
from tests.support.core import concurrents, held_by, queued, sessions, turns


def pool(units: int = 0) -> LockTable:
    """A table whose pool `p` has so many units, 0 and up, with their number as their rank."""
    table = State().tables["items"]
    for unit in range(units):
        assert table.offer(b"p", unit, unit, 0.0) == ()
    return table


def unit_of(table: LockTable, session: Session, unit: object = ANY) -> Hold:
    hold = table.take_unit(b"p", session, 0.0, unit)
    assert hold is not None
    return hold


def test_the_lowest_rank_is_taken_first_and_of_equal_ones_the_one_longest_free() -> None:
    table, (alice,) = pool(), sessions(1)
    for unit, rank in (("c", 2), ("a", 1), ("b", 1), ("urgent", -0.5)):
        table.offer(b"p", unit, rank, 0.0)
    held = [unit_of(table, alice) for _ in range(4)]
    assert [hold.key for hold in held] == ["urgent", "a", "b", "c"]
    assert [hold.weight for hold in held] == [1, 1, 1, 1]
    assert table.take_unit(b"p", alice, 0.0) is None
    table.drop(held[2], 0.0)
    table.drop(held[1], 0.0)
    assert [unit_of(table, alice).key for _ in range(2)] == ["b", "a"]


def test_a_certain_unit_is_taken_if_it_is_free() -> None:
    table, (alice, bob) = pool(3), sessions(2)
    assert unit_of(table, alice, 1).key == 1
    assert table.take_unit(b"p", bob, 0.0, 1) is None
    assert table.take_unit(b"p", bob, 0.0, 9) is None
    assert table.take_unit(b"other", bob, 0.0) is None
    assert [unit_of(table, bob).key for _ in range(2)] == [0, 2]
    assert (table.held, len(held_by(bob)), table.free_units(b"p")) == (3, 2, 0)


def test_a_unit_has_its_new_rank_at_once_or_when_it_comes_free() -> None:
    table, (alice,) = pool(3), sessions(1)
    table.offer(b"p", 0, 9, 0.0)
    first = unit_of(table, alice)
    assert first.key == 1
    table.offer(b"p", 1, 10, 0.0)
    assert table.find(b"p", 1) is first
    table.drop(first, 0.0)
    assert [unit_of(table, alice).key for _ in range(3)] == [2, 0, 1]


def test_a_retired_unit_is_not_free_again() -> None:
    table, (alice, bob) = pool(2), sessions(2)
    hold = unit_of(table, alice)
    assert table.retire(b"p", 0)
    assert not table.retire(b"p", 0)
    assert not table.retire(b"p", 9)
    assert not table.retire(b"other", 9)
    assert table.find(b"p", 0) is hold
    assert dict(table.units(b"p") or {}) == {1: 1}
    assert table.drop(hold, 0.0) == ()
    assert table.take_unit(b"p", bob, 0.0, 0) is None
    assert table.retire(b"p", 1)
    assert (len(table), table.units(b"p")) == (0, None)


def test_a_unit_that_is_offered_again_before_its_holder_gives_it_back_comes_back() -> None:
    table, (alice,) = pool(1), sessions(1)
    hold = unit_of(table, alice)
    table.retire(b"p", 0)
    assert table.offer(b"p", 0, 5, 0.0) == ()
    assert table.free_units(b"p") == 0
    table.drop(hold, 0.0)
    assert unit_of(table, alice).key == 0


def test_a_pool_is_there_as_long_as_there_is_anything_in_it() -> None:
    table, (alice, bob) = pool(1), sessions(2)
    assert (len(table), table.held, table.is_held(b"p"), table.count(b"p")) == (1, 0, False, 0)
    assert (table.names(), table.holds(b"p"), table.size(b"p"), table.free_units(b"p")) == ([b"p"], (), 1, 1)
    hold = unit_of(table, alice)
    assert (len(table), table.held, table.is_held(b"p")) == (1, 1, True)
    table.retire(b"p", 0)
    assert (len(table), table.held, table.size(b"p")) == (1, 1, 0)
    waiter = queued(table, b"p", bob, key=ANY)
    table.drop(hold, 0.0)
    assert (len(table), table.held, table.is_held(b"p")) == (1, 0, False)
    assert list(table.waiters(b"p")) == [waiter]
    table.withdraw(waiter, 0.0)
    assert (len(table), table.held, table.contended()) == (0, 0, [])


def test_whoever_waits_for_any_unit_gets_what_comes_first() -> None:
    table, (alice, bob, carol) = pool(2), sessions(3)
    first, second = unit_of(table, alice), unit_of(table, alice)
    queued(table, b"p", bob, key=ANY)
    queued(table, b"p", carol, key=ANY)
    assert turns(table.drop(second, 0.0)) == [(bob, 1)]
    assert turns(table.offer(b"p", "new", 9, 0.0)) == [(carol, "new")]
    assert turns(table.drop(first, 0.0)) == []
    assert table.free_units(b"p") == 1


def test_a_wait_begins_before_there_is_a_pool() -> None:
    table, (alice, bob) = pool(), sessions(2)
    queued(table, b"p", alice, key=ANY)
    queued(table, b"p", bob, key=ANY)
    assert (len(table), table.held, table.waiting, table.holds(b"p")) == (1, 0, 2, ())
    assert turns(table.offer(b"p", "x", 1, 0.0)) == [(alice, "x")]
    (hold,) = held_by(alice)
    assert turns(table.drop(hold, 0.0)) == [(bob, "x")]


def test_a_unit_goes_to_whoever_has_waited_longest_of_those_who_would_take_it() -> None:
    """Who wants a certain unit keeps nobody from the others, and is not overtaken for its own."""
    table, (alice, bob, carol, dave) = pool(2), sessions(4)
    zero, one = unit_of(table, alice), unit_of(table, alice)
    queued(table, b"p", bob, key=1)
    queued(table, b"p", carol, key=ANY)
    queued(table, b"p", dave, key=1)
    assert turns(table.drop(zero, 0.0)) == [(carol, 0)]
    assert turns(table.drop(one, 0.0)) == [(bob, 1)]
    (hold,) = held_by(bob)
    assert turns(table.drop(hold, 0.0)) == [(dave, 1)]
    assert table.waiting == 0


def test_who_waits_for_any_unit_and_came_first_gets_the_one_that_another_wants() -> None:
    table, (alice, bob, carol) = pool(1), sessions(3)
    hold = unit_of(table, alice)
    queued(table, b"p", bob, key=ANY)
    waiter = queued(table, b"p", carol, key=0)
    assert turns(table.drop(hold, 0.0)) == [(bob, 0)]
    assert list(table.waiters(b"p")) == [waiter]


def test_who_waits_for_a_retired_unit_gets_it_if_it_is_offered_again() -> None:
    table, (alice, bob) = pool(1), sessions(2)
    hold = unit_of(table, alice)
    queued(table, b"p", bob, key=0)
    table.retire(b"p", 0)
    assert table.drop(hold, 0.0) == ()
    assert turns(table.offer(b"p", 7, 0, 0.0)) == []
    assert turns(table.offer(b"p", 0, 0, 0.0)) == [(bob, 0)]


def test_waits_leave_the_line_they_are_in() -> None:
    table, (alice,), (calls,) = pool(2), sessions(1), concurrents(1)
    for _ in range(2):
        unit_of(table, alice)
    any_unit, certain, last = (queued(table, b"p", calls, key=key) for key in (ANY, 1, ANY))
    assert list(table.waiters(b"p")) == [any_unit, certain, last]
    assert list(table.lines()) == [(b"p", 3)]
    assert table.withdraw(any_unit, 0.0) == ()
    assert table.withdraw(certain, 0.0) == ()
    assert list(table.waiters(b"p")) == [last]
    hold = table.find(b"p", 1)
    assert hold is not None
    assert turns(table.drop(hold, 0.0)) == [(calls, 1)]
    assert table.contended() == []


def test_units_come_free_by_leases_by_time_and_with_sessions() -> None:
    history = History(20)
    state, (alice, bob, carol) = State(history=history), sessions(3)
    table = state.tables["slots"]
    table.offer(b"p", 0, 0, 0.0)
    table.lease(unit_of(table, alice), 5.0)
    queued(table, b"p", bob, until=4.0, key=ANY)
    queued(table, b"p", carol, key=0)
    out, lost, granted = state.expire(5.0, 9)
    assert isinstance(out, TimedOut)
    assert isinstance(lost, Expired)
    assert turns([granted]) == [(carol, 0)]
    assert state.end(carol, 6.0, 9) == ([], True)
    assert (table.free_units(b"p"), table.stats.expired, table.stats.orphans) == (1, 1, 1)
    kinds = [record.kind for record in history.records(b"p")]
    assert kinds == [GRANTED, "timed out", "expired", GRANTED, ORPHANED]
    hold = unit_of(table, alice)
    table.drop(hold, 7.0)
    assert [record.kind for record in history.records(b"p")][-2:] == [GRANTED, RELEASED]


def test_a_lock_is_no_pool_and_a_pool_is_no_lock() -> None:
    table, (alice, bob) = pool(1), sessions(2)
    with pytest.raises(ValueError, match="is a pool"):
        table.take(b"p", alice, 0.0)
    assert table.release(b"p", alice, 0.0) is None
    for size in (1, 3):
        assert table.take(b"lock", alice, 0.0, 1, size=size) is not None
        for job in (
            lambda: table.offer(b"lock", 1, 1, 0.0),
            lambda: table.retire(b"lock", 1),
            lambda: table.take_unit(b"lock", bob, 0.0),
            lambda: table.wait(b"lock", bob, 0.0, NEVER, key=ANY),
        ):
            with pytest.raises(ValueError, match="no pool"):
                job()
        assert (table.units(b"lock"), table.free_units(b"lock"), table.count(b"lock")) == (None, 0, 1)
        assert table.release(b"lock", alice, 0.0) == ()
    assert table.waiting == 0


def test_what_makes_no_sense_is_a_mistake() -> None:
    table, (alice, bob) = pool(1), sessions(2)
    for unit in (None, ANY):
        with pytest.raises(ValueError, match="not a name"):
            table.offer(b"new", unit, 1, 0.0)
    for key in (0, ANY):
        with pytest.raises(ValueError, match="the unit is free"):
            table.wait(b"p", bob, 0.0, NEVER, key=key)
    unit_of(table, alice)
    for key in (9, None):
        with pytest.raises(ValueError, match="does not have that unit"):
            table.wait(b"p", bob, 0.0, NEVER, key=key)
    with pytest.raises(ValueError, match="nobody holds"):
        table.wait(b"new", bob, 0.0, NEVER, key=9)
    assert (len(table), table.waiting, table.units(b"new")) == (1, 0, None)


def test_a_unit_comes_back_to_who_held_it() -> None:
    table, (alice, bob) = pool(3), sessions(2)
    hold = table.restore(b"p", alice, 1, 1, 42, 0.0, NEVER)
    assert (hold.token, hold.key, table.held, table.free_units(b"p")) == (42, 1, 1, 2)
    for key, weight in ((1, 1), (9, 1), (ANY, 1), (0, 2), (None, 1)):
        with pytest.raises(ValueError, match="not free"):
            table.restore(b"p", bob, key, weight, 43, 0.0, NEVER)
    assert (table.held, table.free_units(b"p"), held_by(bob)) == (1, 2, ())
    table.retire(b"p", 1)
    table.drop(hold, 0.0)
    assert [unit_of(table, bob).key for _ in range(2)] == [0, 2]


def test_as_many_stale_units_are_kept_as_is_said() -> None:
    units = Units()
    units.rank("held", 0)
    for number in range(1000):
        units.rank("a", number)
        units.put("a")
        assert len(units._heap) <= 2 + Units.SMALL
    assert units.take() == "a"
    assert units.take() is None


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["offer", "retire", "take", "any"]), st.integers(0, 5), st.integers(0, 3)),
        max_size=200,
    )
)
def test_the_next_unit_is_the_lowest_whatever_was_stale(steps: list[tuple[str, int, int]]) -> None:
    units = Units()
    free: dict[object, tuple[int, int]] = {}
    for serial, (step, unit, rank) in enumerate(steps):
        if step == "offer":
            units.rank(unit, rank)
            assert units.put(unit) is None
            free[unit] = (rank, serial)
        elif step == "retire":
            units.retire(unit)
            free.pop(unit, None)
        elif step == "take":
            assert units.take(unit) == (unit if free.pop(unit, None) else None)
        else:
            first = min(free, key=lambda one: free[one], default=None)
            assert units.take() == first
            free.pop(first, None)
        assert units.free == len(free)
        assert units.is_free(ANY) == bool(free)
