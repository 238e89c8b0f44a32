"""Sessions of each kind, and the registry of those that live."""

from __future__ import annotations

from glockd.core.sessions import Registry
from glockd.core.state import State
from tests.support.core import held_by, sessions, taken


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
