"""Circles of sessions that wait for each other."""

from __future__ import annotations

import pytest

from glockd.core import deadlock
from glockd.core.deadlines import NEVER
from glockd.core.events import Queued, Refused
from glockd.core.state import State
from tests.support.core import queued, sessions, taken


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
