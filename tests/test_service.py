"""The service on a loop of its own, without a socket."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

from glockd.core.events import Granted
from glockd.core.holds import Hold, Waiter
from glockd.core.sessions import Owner, Session
from glockd.core.state import State
from glockd.net.gate import Gate
from glockd.net.sweep import Sweep
from glockd.notices import Notice
from glockd.policy import Policy
from glockd.service import Service
from tests.support.core import taken


class Ear:
    """Hears what befalls a session, and parts when it is told to."""

    def __init__(self, service: Service, session: Session) -> None:
        self.heard: list[str] = []
        self.parted = asyncio.Event()
        self._part = partial(service.part, session)

    def granted(self, event: Granted) -> None:
        self.heard.append("granted")

    def hear(self, line: bytes) -> None:
        """Another language is spoken here."""

    def timed_out(self, waiter: Waiter) -> None:
        self.heard.append("timed out")

    def lost(self, hold: Hold, why: str) -> None:
        self.heard.append(why)

    def end(self, how: str) -> None:
        self.heard.append(how)
        self._part(how, self.parted.set)


def new_service(notices: list[Notice]) -> Service:
    loop, policy = asyncio.get_running_loop(), Policy()
    gate, sweep = Gate(policy), Sweep(loop, lambda: None)
    return Service(loop, State(), policy, gate, sweep, deque(), notices.append)


async def test_an_owner_whose_time_is_over_is_told_and_gives_everything_back() -> None:
    notices: list[Notice] = []
    service, owner, alice = new_service(notices), Owner(b"rest:1", "ldlm"), Session(b"alice")
    ears = [Ear(service, session) for session in (owner, alice)]
    for session, ear in zip((owner, alice), ears, strict=True):
        service.admit(session, ear)
    table = service.state.exclusive
    taken(table, b"job", owner)
    table.wait(b"job", alice, service.now(), service.now() + 60)
    service.state.extend(owner, service.now() + 0.01)
    service.settle()
    await ears[0].parted.wait()
    assert [ear.heard for ear in ears] == [["lapsed"], ["granted"]]
    assert [hold.session for hold in table.holds(b"job")] == [alice]
    assert list(service.state.registry.sessions()) == [alice]
    assert notices == []


class Quitter(Ear):
    """Parts as soon as it has lost something, as an owner that lives for one hold."""

    def lost(self, hold: Hold, why: str) -> None:
        super().lost(hold, why)
        self.end("closed")


async def test_any_number_may_part_because_of_what_they_hear() -> None:
    """Each that parts has others told: that must not pile up on the stack."""
    notices: list[Notice] = []
    service = new_service(notices)
    table = service.state.exclusive
    ears = []
    for number in range(3000):
        owner = Owner(b"window:%d" % number, "windows")
        ears.append(Quitter(service, owner))
        service.admit(owner, ears[-1])
        table.lease(taken(table, b"lock %d" % number, owner), service.now() + 0.01)
    service.settle()
    for ear in ears:
        await ear.parted.wait()
    assert {tuple(ear.heard) for ear in ears} == {("expired", "closed")}
    assert (len(table), len(service.state.registry)) == (0, 0)
    assert notices == []
