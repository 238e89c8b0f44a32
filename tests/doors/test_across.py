"""One name is one lock, whatever the language: two doors at a time."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.doors.contract import Adapter, Observer
from tests.doors.ldlm.adapters import ADAPTERS as LDLM
from tests.doors.line.adapters import ADAPTERS as LINE
from tests.support.daemons import Pool
from tests.support.process import Glockd

ADAPTERS: tuple[Adapter, ...] = (*LINE, *LDLM)
PAIRS = [pytest.param(*pair, id=f"{pair[0].name} {pair[1].name}") for pair in permutations(ADAPTERS, 2)]


@pytest.fixture
def daemon(one: Adapter, other: Adapter, pool: Pool) -> Glockd:
    return pool.get("-admin", "-history=100", *dict.fromkeys((*one.flags, *other.flags)))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_nobody_holds_beside_a_holder_of_another_door(
    one: Adapter, other: Adapter, daemon: Glockd, request: pytest.FixtureRequest
) -> None:
    name = request.node.name.encode()
    alice, bob = one.opens(daemon), other.opens(daemon)
    assert alice.takes(name)
    assert not bob.takes(name)
    assert not bob.gives(name)
    assert alice.gives(name)
    assert bob.takes(name)
    assert not alice.takes(name)
    alice.vanishes()
    bob.vanishes()


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_all_doors_have_one_line(
    one: Adapter, other: Adapter, daemon: Glockd, request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    observer = Observer(daemon)
    holder, *line = (door.opens(daemon) for door in (one, other, one, other))
    assert holder.takes(name.encode())
    for number, party in enumerate(line, 1):
        party.waits(name.encode())
        observer.sees_waiters(name, number)
    holder.vanishes()
    for party in line:
        assert party.hears()
        assert party.gives(name.encode())
        party.vanishes()
    observer.closes()
