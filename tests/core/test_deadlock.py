"""Circles of sessions that wait for each other."""

from __future__ import annotations

import pytest

from glockd.core import deadlock
from glockd.core.deadlines import NEVER
from glockd.core.events import Queued, Refused
from glockd.core.holds import WHOLE
from glockd.core.locks import LockTable
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.core.units import ANY
from tests.support.core import awaited_by, concurrents, held_by, queued, sessions, steps, taken, turns


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


def test_a_session_that_can_act_while_it_waits_closes_no_circle() -> None:
    table, (calls, others) = State().exclusive, concurrents(2)
    taken(table, b"a", calls)
    taken(table, b"b", others)
    queued(table, b"a", calls, key="again")
    queued(table, b"b", calls)
    queued(table, b"a", others)
    assert table.stats.refused == 0
    assert turns(table.release(b"a", calls, 0.0)) == [(calls, "again")]


def test_the_waits_of_a_session_that_has_very_many_cost_no_search() -> None:
    table, (alice,), (calls,) = State().exclusive, sessions(1), concurrents(1)
    taken(table, b"alices", alice)
    taken(table, b"calls", calls)
    queued(table, b"calls", alice)
    costs = []
    for number in range(300):
        with steps() as counted:
            queued(table, b"alices", calls, key=number)
        costs.append(counted[0])
    assert max(costs) < 100


@pytest.mark.parametrize("wanted", [1, WHOLE])
def test_a_session_that_can_act_while_it_waits_is_no_part_of_a_circle(wanted: int) -> None:
    table, (alice, bob), (calls,) = State().exclusive, sessions(2), concurrents(1)
    taken(table, b"alices", alice)
    taken(table, b"calls", calls)
    queued(table, b"alices", calls)
    queued(table, b"calls", alice)
    # Nor does it keep somebody behind it in line from what would come to them if it left.
    taken(table, b"read", alice, weight=1)
    assert isinstance(table.wait(b"read", calls, 0.0, NEVER, key="writer"), Queued)
    taken(table, b"bobs", bob)
    assert isinstance(table.wait(b"read", bob, 0.0, NEVER, wanted), Queued)


def test_the_way_through_a_line_is_free_if_who_stands_there_can_leave_it() -> None:
    table, (alice, bob), (calls,) = State().exclusive, sessions(2), concurrents(1)
    taken(table, b"book", alice, weight=1)
    taken(table, b"bobs", bob)
    queued(table, b"bobs", alice)
    queued(table, b"book", calls)
    assert isinstance(table.wait(b"book", bob, 0.0, NEVER, 1), Queued)


def test_what_a_session_holds_under_other_keys_stands_in_its_own_way() -> None:
    table, (alice, bob) = State().exclusive, sessions(2)
    taken(table, b"seats", alice, weight=1, key=1, size=3)
    taken(table, b"seats", alice, weight=1, key=2, size=3)
    taken(table, b"seats", bob, weight=1, key=3, size=3)
    outcome = table.wait(b"seats", alice, 0.0, NEVER, 2, key=4)
    assert isinstance(outcome, Refused)
    assert outcome.cycle == (alice,)
    table.restore(b"more", alice, 1, 1, 0, 0.0, NEVER, 3)
    taken(table, b"more", bob, weight=2, key=2)
    assert isinstance(table.wait(b"more", alice, 0.0, NEVER, 2, key=3), Queued)


# Pools


def full_pool(*holders: Session) -> LockTable:
    """A table whose pool `p` has a unit for each of these, who hold them; units are numbers."""
    table = State().tables["slots"]
    for unit, session in enumerate(holders):
        table.offer(b"p", unit, unit, 0.0)
        assert table.take_unit(b"p", session, 0.0) is not None
    return table


def test_who_waits_for_any_unit_goes_on_if_one_holder_can() -> None:
    alice, bob, carol = sessions(3)
    table = full_pool(alice, bob)
    taken(table, b"carols", carol)
    queued(table, b"carols", alice)
    assert isinstance(table.wait(b"p", carol, 0.0, NEVER, key=ANY), Queued)


def test_who_waits_for_any_unit_of_those_who_all_wait_for_it_is_refused() -> None:
    alice, bob, carol = sessions(3)
    table = full_pool(alice, bob)
    taken(table, b"carols", carol)
    queued(table, b"carols", alice)
    queued(table, b"carols", bob)
    outcome = table.wait(b"p", carol, 0.0, NEVER, key=ANY)
    assert isinstance(outcome, Refused)
    assert outcome.cycle in ((carol, alice), (carol, bob))
    assert (table.waiting, table.contended(), awaited_by(carol)) == (2, [b"carols"], ())
    (lost,) = held_by(alice)
    table.lease(lost, 5.0)
    assert isinstance(table.wait(b"p", carol, 0.0, NEVER, key=ANY), Queued)


def test_who_waits_for_a_certain_unit_depends_on_its_holder_alone() -> None:
    alice, bob, carol = sessions(3)
    table = full_pool(alice, bob)
    taken(table, b"carols", carol)
    queued(table, b"carols", alice)
    outcome = table.wait(b"p", carol, 0.0, NEVER, key=0)
    assert isinstance(outcome, Refused)
    assert outcome.cycle == (carol, alice)
    queued(table, b"p", carol, key=1)


def test_who_holds_every_unit_cannot_wait_for_one_more() -> None:
    (alice,) = sessions(1)
    table = full_pool(alice, alice)
    for key in (ANY, 1):
        outcome = table.wait(b"p", alice, 0.0, NEVER, key=key)
        assert isinstance(outcome, Refused)
        assert outcome.cycle == (alice,)
    table.offer(b"other", 0, 0, 0.0)


def test_a_session_that_can_act_while_it_waits_may_give_a_unit_back() -> None:
    (alice,), (calls,) = sessions(1), concurrents(1)
    table = full_pool(calls)
    taken(table, b"alices", alice)
    queued(table, b"alices", calls)
    queued(table, b"p", alice, key=ANY)
    queued(table, b"p", calls, key=ANY)
    assert table.stats.refused == 0


def test_a_session_that_can_act_while_it_waits_need_not_get_its_unit() -> None:
    (alice,), (calls,) = sessions(1), concurrents(1)
    table = full_pool(alice)
    taken(table, b"calls", calls)
    queued(table, b"p", calls, key=ANY)
    queued(table, b"calls", alice)
    assert table.stats.refused == 0


def test_who_waits_for_those_whom_a_retired_unit_left_stuck_is_not_refused() -> None:
    """It closes no circle, and one more unit would help them all."""
    alice, bob, carol, dave = sessions(4)
    table = full_pool(alice, bob)
    taken(table, b"carols", carol)
    queued(table, b"carols", alice)
    queued(table, b"p", carol, key=ANY)
    table.retire(b"p", 1)
    (unit,) = held_by(bob)
    assert table.drop(unit, 0.0) == ()
    taken(table, b"daves", dave)
    queued(table, b"daves", bob)
    queued(table, b"carols", dave)
    assert table.stats.refused == 0
    assert turns(table.offer(b"p", 9, 0, 0.0)) == [(carol, 9)]
