"""Sessions of LDLM: grants to who is gone, answers that nobody hears, what outlives a connection; no sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from glockd.core.sessions import Owner
from glockd.doors.ldlm.calls import DOOR
from glockd.doors.ldlm.desk import Desk
from glockd.doors.ldlm.keeper import Keeper
from glockd.doors.ldlm.outcomes import Outcome
from glockd.service import HOLDS_A_TURN
from tests.support.wires import service_alone, until


class Place:
    """A desk, and sessions at it."""

    def __init__(self, **options: Any) -> None:
        self.service = service_alone(history=1000, **options)
        self.desk = Desk(self.service)
        self.table = self.service.state.exclusive
        self.number = 0

    def keeper(self) -> Keeper:
        self.number += 1
        return Keeper(self.desk, Owner(b"client:%d" % self.number, DOOR))

    def takes(self, keeper: Keeper, name: bytes = b"job", lease: int = 0) -> str:
        outcome = self.desk.try_lock(keeper, name, None, lease, same)
        assert isinstance(outcome, Outcome)
        assert outcome.done
        return outcome.key

    def waits(self, keeper: Keeper, name: bytes = b"job", wait: float = 0) -> asyncio.Future[Outcome]:
        future = self.desk.lock(keeper, name, None, 0, wait, same)
        assert isinstance(future, asyncio.Future)
        return future

    def unlocks(self, key: str, name: bytes = b"job") -> bool:
        outcome = self.desk.unlock(name, key, same)
        assert isinstance(outcome, Outcome)
        return outcome.done

    def holders(self, name: bytes = b"job") -> list[bytes]:
        return [hold.session.address for hold in self.table.holds(name)]

    def kinds(self) -> list[str]:
        history = self.service.state.history
        assert history is not None
        return [record.kind for record in history.records()]

    @property
    def sessions(self) -> int:
        return len(self.service.state.registry)


def same(outcome: Outcome) -> Outcome:
    return outcome


@pytest.fixture
async def place() -> Place:
    return Place()


@pytest.fixture
async def keeping() -> Place:
    return Place(ldlm_keep_on_disconnect=True)


async def test_a_place_in_line_is_given_up(place: Place) -> None:
    alice, bob, carol = (place.keeper() for _ in range(3))
    key = place.takes(alice)
    given_up, patient = place.waits(bob), place.waits(carol)
    assert given_up.cancel()
    assert not bob.session.waiters
    assert bob.waits == {}
    assert place.unlocks(key)
    assert (await patient).done
    assert place.holders() == [b"client:3"]


async def test_a_lock_that_comes_in_the_turn_in_which_it_is_given_up_goes_on(place: Place) -> None:
    alice, bob, carol = (place.keeper() for _ in range(3))
    key = place.takes(alice)
    given_up, patient = place.waits(bob), place.waits(carol)
    assert place.unlocks(key)
    assert given_up.done()
    assert not given_up.cancel()  # the engine does so when the client is gone, and has not read the answer
    assert place.holders() == [b"client:3"]
    assert patient.done()


@pytest.mark.parametrize("how", ["closed", "reset", "kicked", "shutdown"])
@pytest.mark.parametrize("keeps", [False, True])
async def test_a_grant_in_the_instant_of_an_end_is_booked_on_nobody(how: str, keeps: bool) -> None:
    place = Place(ldlm_keep_on_disconnect=keeps)
    alice, bob, carol = (place.keeper() for _ in range(3))
    key = place.takes(alice)
    gone, patient = place.waits(bob), place.waits(carol)
    assert place.unlocks(key)
    bob.leave(how)
    gone.cancel()
    await asyncio.sleep(0)
    assert place.holders() == [b"client:3"]
    assert patient.done()
    await until(lambda: place.sessions == 2)


@pytest.mark.parametrize("keeps", [False, True])
async def test_a_session_that_holds_a_lock_and_waits_for_it_does_not_keep_it(keeps: bool) -> None:
    place = Place(ldlm_keep_on_disconnect=keeps)
    alice, bob = place.keeper(), place.keeper()
    place.takes(alice, lease=1)
    for _ in range(3 * HOLDS_A_TURN):
        place.waits(alice)
    patient = place.waits(bob)
    alice.leave("reset")
    assert (await patient).done
    assert place.holders() == [b"client:2"]
    await until(lambda: place.sessions == 1)
    assert place.table.waiting == 0


async def test_thousands_of_grants_to_who_is_gone_are_given_on(keeping: Place) -> None:
    """Each is dropped as it comes, without one lying in the other."""
    alice, bob, carol = (keeping.keeper() for _ in range(3))
    key = keeping.takes(alice)
    for _ in range(3 * HOLDS_A_TURN):
        keeping.waits(bob)
    patient = keeping.waits(carol)
    bob.leave("reset")  # those that came last leave in this turn
    assert bob.session.waiters
    assert keeping.unlocks(key)
    assert (await patient).done
    assert keeping.holders() == [b"client:3"]
    await until(lambda: keeping.sessions == 2)


async def test_what_is_held_outlives_the_connection(keeping: Place) -> None:
    alice, bob = keeping.keeper(), keeping.keeper()
    first, second = keeping.takes(alice), keeping.takes(alice, b"other")
    keeping.takes(bob, b"third")
    keeping.waits(alice, b"third")
    alice.leave("closed")
    assert keeping.holders() == [b"client:1"]
    assert keeping.table.waiting == 0
    assert keeping.unlocks(first)
    assert keeping.sessions == 2
    assert keeping.unlocks(second, b"other")
    assert keeping.sessions == 1
    keeping.keeper().leave("closed")
    assert keeping.sessions == 1


async def test_what_has_outlived_its_connection_ends_with_its_lease_or_by_a_kick(keeping: Place) -> None:
    alice, bob = keeping.keeper(), keeping.keeper()
    keeping.takes(alice, lease=1)
    key = keeping.takes(bob, b"other")
    alice.leave("reset")
    bob.leave("reset")
    await until(lambda: keeping.sessions == 1)
    assert keeping.holders() == []
    bob.end("kicked")
    assert keeping.sessions == 0
    assert keeping.kinds()[-1] == "kicked"
    outcome = keeping.desk.unlock(b"other", key, same)
    assert isinstance(outcome, Outcome)
    assert outcome.why == "kicked"


async def test_who_waited_in_vain_is_told(place: Place) -> None:
    alice, bob = place.keeper(), place.keeper()
    place.takes(alice)
    outcome = await place.waits(bob, wait=0.01)
    assert not outcome.done
    assert outcome.problem is not None
    assert bob.waits == {}


async def test_a_lost_lease_is_explained(place: Place) -> None:
    alice = place.keeper()
    key = place.takes(alice, lease=1)
    await until(lambda: not place.holders())
    outcome = place.desk.renew(b"job", key, 5)
    assert outcome.why == "expired"
    other = place.takes(alice, b"other")
    alice.leave("closed")
    assert place.desk.renew(b"other", other, 5).why == "session ended"


async def test_sizes_are_collected_in_turns(place: Place) -> None:
    place = Place(ldlm_gc_idle_seconds=0)
    alice = place.keeper()
    for number in range(3000):
        name = b"%d" % number
        place.unlocks(place.takes(alice, name), name)
    assert len(place.desk.calls.sizes) == 3000
    place.desk.collect()
    assert 0 < len(place.desk.calls.sizes) < 3000
    await until(lambda: len(place.desk.calls.sizes) <= 1)
