"""Sessions of each kind, and the registry of those that live."""

from __future__ import annotations

from glockd.core.deadlines import NEVER
from glockd.core.sessions import Concurrent, Owner, Registry, Session
from glockd.core.state import State
from tests.support.core import awaited_by, concurrents, held_by, queued, sessions, taken


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


def test_a_session_of_a_connection_is_as_small_as_can_be() -> None:
    """Six fields, and tuples in them; ten thousand connections feel every byte."""
    (alice, bob), table = sessions(2), State().exclusive
    assert Session.__slots__ == ("address", "holds", "name", "since", "transport", "waiters")
    assert not hasattr(alice, "__dict__")
    taken(table, b"job", bob)
    waiter = queued(table, b"job", alice)
    assert awaited_by(alice) == (waiter,)
    table.withdraw(waiter, 0.0)
    assert awaited_by(alice) == ()


def test_what_a_session_is_shows() -> None:
    plain = Session(b"a", "unix", 1.0)
    calls = Concurrent(b"b", "ldlm", "tcp", 2.0)
    owner = Owner(b"c", "dispatch", 3.0)
    assert [(one.door, one.transport, one.since) for one in (plain, calls, owner)] == [
        ("line", "unix", 1.0),
        ("ldlm", "tcp", 2.0),
        ("dispatch", "", 3.0),
    ]
    assert [one.concurrent for one in (plain, calls, owner)] == [False, True, True]
    assert [one.carried for one in (plain, calls, owner)] == [True, True, False]
    assert owner.deadline == NEVER
    assert not any(hasattr(one, "__dict__") for one in (plain, calls, owner))


def test_waits_are_told_apart_in_the_order_in_which_they_began() -> None:
    (alice,), (calls,), table = sessions(1), concurrents(1), State().exclusive
    for name in (b"a", b"b", b"c"):
        taken(table, name, alice)
    first, second, third = (queued(table, name, calls) for name in (b"a", b"b", b"c"))
    assert list(awaited_by(calls)) == [first, second, third]
    table.withdraw(second, 0.0)
    assert list(awaited_by(calls)) == [first, third]
    table.release(b"a", alice, 0.0)
    assert list(awaited_by(calls)) == [third]
    table.withdraw(third, 0.0)
    assert awaited_by(calls) == ()


def test_a_session_notes_its_waits() -> None:
    """As the tables do in place for a session that waits for one lock."""
    (alice,), (calls,), table = sessions(1), concurrents(1), State().exclusive
    taken(table, b"job", alice)
    first, second = (queued(table, b"job", calls) for _ in range(2))
    noted = Session(b"noted")
    noted.join(first)
    assert awaited_by(noted) == (first,)
    noted.leave(first)
    assert awaited_by(noted) == ()
    noted.join(first)
    noted.join(second)
    noted.leave(first)
    assert list(awaited_by(noted)) == [second]
    noted.leave(second)
    assert awaited_by(noted) == ()


def test_connections_are_sessions_that_a_connection_carries() -> None:
    registry, owner = Registry(), Owner(b"rest:1", "ldlm")
    (calls,), (alice,) = concurrents(1), sessions(1)
    for session in (owner, calls, alice):
        registry.add(session)
    assert (len(registry), registry.connections) == (3, 2)
    registry.remove(owner)
    registry.remove(calls)
    registry.remove(calls)
    assert (len(registry), registry.connections) == (1, 1)
