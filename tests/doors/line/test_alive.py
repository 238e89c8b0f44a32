"""`alive SECONDS`: the daemon shows that it lives, for whoever ends silent connections."""

from __future__ import annotations

import time

import pytest

from tests.support.clients import Client, StreamClient, wait_until
from tests.support.daemons import ProcessDaemon
from tests.support.process import Spawner

pytestmark = pytest.mark.transports("tcp", "unix", "websocket")

ALIVE = "! alive\n"


def until_alive(client: Client, times: int = 1) -> None:
    for _ in range(times):
        client.hears_bytes(ALIVE)


def ends(client: Client) -> None:
    """No more pushes, whatever was on its way."""
    client.says("alive 0")
    while (line := client.hears_a_line()) == ALIVE.encode():
        pass
    assert line == b"1 ok\n"


def test_it_comes_every_so_often(daemon: ProcessDaemon) -> None:
    alice = daemon.client()
    alice.says("alive 1").hears("1 ok")
    start = time.monotonic()
    until_alive(alice, 4)
    # Between the first and the last lie three whole seconds.
    assert time.monotonic() - start > 2.5
    ends(alice)
    daemon.counts(command_alive=2)


def test_it_comes_to_whoever_waits(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("alive 1").hears("1 ok")
    bob.says("wait 60 job", "ping")
    until_alive(bob, 2)
    alice.says("r job").hears("1 Lock Release Success: job")
    while (line := bob.hears_a_line()) == ALIVE.encode():
        pass
    assert line == b"1 Lock Get Success: job\n"
    while (line := bob.hears_a_line()) == ALIVE.encode():
        pass
    assert line == b"1 pong\n"  # in its place
    ends(bob)


@pytest.mark.parametrize("often", ["0", "inf", "0.0"])
def test_it_ends_when_it_is_wanted_no_more(daemon: ProcessDaemon, often: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    for client in (alice, bob):
        client.says("alive 0.1").hears("1 ok")
    until_alive(alice)
    alice.says(f"alive {often}")
    while (line := alice.hears_a_line()) == ALIVE.encode():
        pass
    assert line == b"1 ok\n"
    until_alive(bob, 3)  # three looks, and nothing for alice, as her end tells
    ends(bob)


@pytest.mark.parametrize("often", ["", "often", "-1", "off", "1 job"])
def test_it_needs_a_time(daemon: ProcessDaemon, often: str) -> None:
    daemon.client().says(f"alive {often}").hears("0 Bad Argument: SECONDS")


def test_nobody_who_has_not_asked_hears_of_it(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    bob.says("alive 1").hears("1 ok")
    until_alive(bob, 2)
    alice.says("ping").hears("1 pong")
    ends(bob)


def test_it_keeps_nobody_from_being_idle(glockd: Spawner, transport: str) -> None:
    daemon = glockd("-idle-seconds", "3")
    alice = daemon.client(transport)
    alice.says("alive 1").hears("1 ok")
    while (line := alice.hears_a_line()) == ALIVE.encode():
        pass
    assert line == b"0 Idle Too Long\n"


def takes(client: StreamClient, names: list[str]) -> None:
    """Take very many locks with one connection."""
    for start in range(0, len(names), 200):
        some = names[start : start + 200]
        client.sends("".join(f"g {name}\n" for name in some))
        for _ in some:
            client.receive_line()


NAMES = [f"{number:0500d}" for number in range(40_000)]  # 20 MB: more than sockets hold


@pytest.mark.transports("tcp", "unix")
def test_it_does_not_pile_up_for_whoever_reads_nothing(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.stream(), daemon.client()
    takes(alice, NAMES)
    alice.sends("alive 1\n").hears_bytes("1 ok\n")
    alice.sends("dump\nping\n")
    bob.says("alive 1").hears("1 ok")
    until_alive(bob, 4)
    ends(bob)
    lines = list(iter(alice.receive_line, b"1 pong\n"))
    assert len([line for line in lines if line == ALIVE.encode()]) <= 2
    assert [line[:4] for line in lines if line != ALIVE.encode()] == [b"map["]
    ends(alice)


# A push is never part of a reply


@pytest.mark.transports("tcp", "unix")
def test_a_push_waits_for_the_end_of_a_long_reply(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.stream(), daemon.client()
    takes(alice, NAMES)
    alice.sends("notify on\n").hears_bytes("1 ok\n")
    alice.sends(f"lease 0.05 {NAMES[0]}\ndump\nping\n").hears_bytes(f"1 Lock Lease Success: {NAMES[0]}\n")
    # The dump stands still until it is read.
    wait_until(lambda: bob.says(f"i {NAMES[0]}").hears_a_line().startswith(b"0"))
    told = alice.receive_line()
    assert told.startswith(b"map[")
    assert told.endswith(b"]\n")
    alice.hears_bytes(f"! lost {NAMES[0]} expired\n1 pong\n")
