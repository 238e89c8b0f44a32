"""Leases: the daemon takes a lock back after a while, unless it is told again, by monotonic time alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import Client, wait_until
from tests.support.daemons import Daemon
from tests.support.locks import explained, in_line, time_passes, waits
from tests.support.process import Glockd, Spawner

SERVERS = pytest.mark.transports("tcp", "unix", "websocket")
CLOCKED = pytest.mark.transports("conversation")


def lease_of(observer: Client, name: str) -> float | None:
    (holder,) = explained(observer, name)["exclusive"]["holders"]
    left: float | None = holder["lease"]
    return left


@CLOCKED
def test_a_lease_ends_on_time_and_not_before(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job", "lease 10 job")
    alice.hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 9.99)
    assert lease_of(bob, "job") == 0.01
    bob.says("g job").hears("0 Lock Get Failure: job")
    time_passes(daemon, 0.01)
    bob.says("g job").hears("1 Lock Get Success: job")
    alice.says("r job").hears("0 Lock Release Failure: job")
    alice.says("lease 10 job").hears("0 Lock Lease Failure: job")


@CLOCKED
def test_a_renewed_lease_counts_from_the_renewal(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job", "lease 10 job")
    alice.hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    for _ in range(5):
        time_passes(daemon, 9)
        alice.says("lease 10 job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 9)
    bob.says("g job").hears("0 Lock Get Failure: job")
    alice.says("lease 3 job").hears("1 Lock Lease Success: job")  # shorter than what was left is right too
    time_passes(daemon, 3)
    bob.says("g job").hears("1 Lock Get Success: job")


@CLOCKED
def test_a_lease_can_be_taken_away_and_given_again(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job", "lease 10 job", "lease inf job")
    alice.hears("1 Lock Get Success: job")
    alice.hears("1 Lock Lease Success: job").hears("1 Lock Lease Success: job")
    assert lease_of(bob, "job") is None
    time_passes(daemon, 1e6)
    bob.says("g job").hears("0 Lock Get Failure: job")
    alice.says("lease 5 job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 5)
    bob.says("g job").hears("1 Lock Get Success: job")


@CLOCKED
def test_getting_again_leaves_the_lease_and_releasing_ends_it(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job", "lease 10 job").hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 4)
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("wait 5 job").hears("1 Lock Get Success: job")
    assert lease_of(bob, "job") == 6
    alice.says("r job", "g job").hears("1 Lock Release Success: job")
    alice.mine.clear()
    alice.hears("1 Lock Get Success: job")
    assert lease_of(bob, "job") is None
    time_passes(daemon, 100)
    bob.says("g job").hears("0 Lock Get Failure: job")


@CLOCKED
def test_the_next_holder_does_not_inherit_the_lease(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job", "lease 10 job").hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    waits(alice, bob, "wait inf job")
    time_passes(daemon, 10)
    bob.hears("1 Lock Get Success: job")
    assert lease_of(alice, "job") is None
    time_passes(daemon, 1000)
    bob.says("i job").hears("1 Lock Is Locked: job")


def test_only_the_holder_can_set_a_lease(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("lease 10 job").hears("0 Lock Lease Failure: job")
    bob.says("g job").hears("1 Lock Get Success: job")
    alice.says("lease 0 job").hears("0 Lock Lease Failure: job")
    alice.says("lease inf job").hears("0 Lock Lease Failure: job")
    alice.says("sg job").hears("1 Shared Lock Get Success: job")
    alice.says("lease 0 job").hears("0 Lock Lease Failure: job")
    bob.says("i job").hears("1 Lock Is Locked: job")


def test_each_reader_has_a_lease_of_its_own(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    bob.says("read 0 job").hears("2 Lock Get Success: job")
    waits(alice, carol, "wait inf job")
    alice.says("lease 0.05 job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 1)
    wait_until(lambda: len(explained(alice, "job")["exclusive"]["holders"]) == 1)
    assert in_line(alice, "job") == [carol.address]
    bob.says("r job").hears("1 Lock Release Success: job")
    carol.hears("1 Lock Get Success: job")
    alice.says("r job").hears("0 Lock Release Failure: job")


def test_a_lease_that_is_over_serves_who_waits(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    alice.says("lease 0.05 job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 1)
    bob.hears("1 Lock Get Success: job")
    alice.mine.clear()
    alice.says("i job").hears("1 Lock Is Locked: job")
    daemon.counts(orphans=0, locks=1)


def test_a_lease_of_nothing_ends_at_once(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    alice.says("lease 0 job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 0)
    bob.hears("1 Lock Get Success: job")


def test_a_lease_runs_while_its_holder_waits(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    bob.says("g other").hears("1 Lock Get Success: other")
    alice.says("g job", "lease 0.1 job").hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    waits(bob, alice, "wait inf other")
    bob.says("wait 20 job")
    time_passes(daemon, 1)
    bob.hears("1 Lock Get Success: job")
    bob.says("r other").hears("1 Lock Release Success: other")
    alice.hears("1 Lock Get Success: other")


def test_many_leases_end_in_their_order(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    names = [str(number) for number in range(50)]
    alice.says(*(f"g {name}" for name in names))
    for name in names:
        alice.hears(f"1 Lock Get Success: {name}")
    alice.says("notify on").hears("1 ok")
    # Given in an order that is not that of their ends; each changed once, so that the heap has stale entries.
    shuffled = [names[number * 7 % 50] for number in range(50)]
    alice.says(*(f"lease 100 {name}" for name in shuffled))
    alice.says(*(f"lease {0.3 + int(name) / 500} {name}" for name in shuffled))
    for name in shuffled * 2:
        alice.hears(f"1 Lock Lease Success: {name}")
    time_passes(daemon, 1)
    lost = [alice.hears_a_line().decode() for _ in names]
    if daemon.transport != "conversation":
        lost.sort(key=lambda line: int(line.split()[2]))  # between two leases any time may have passed
    assert lost == [f"! lost {name} expired\n" for name in names]
    bob.says("g 0").hears("1 Lock Get Success: 0")
    daemon.counts(locks=1, orphans=0)


# A daemon that is stopped for a while


def is_stopped(daemon: Glockd) -> bool:
    """proc(5): the state is behind the name, which may hold anything."""
    return Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@SERVERS
@pytest.mark.parametrize("renews", [True, False])
def test_a_stopped_daemon_reads_renewals_before_it_ends_leases(
    glockd: Spawner, transport: str, renews: bool
) -> None:
    daemon = glockd("-history", "100")
    alice, bob, carol = daemon.client(transport), daemon.client(transport), daemon.client()
    alice.says("g job", "g more").hears("1 Lock Get Success: job").hears("1 Lock Get Success: more")
    bob.says("wait 60 job")
    wait_until(lambda: in_line(carol, "job") == [bob.address])
    lease = 0.2
    alice.says(f"lease {lease} job").hears("1 Lock Lease Success: job")
    daemon.gets(signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(daemon))
        if renews:
            alice.says("lease 60 job")
        # The one thing to wait for here is time: that the lease is over, and well so.
        time.sleep(3 * lease)
    finally:
        daemon.gets(signal.SIGCONT)
    if renews:
        alice.hears("1 Lock Lease Success: job")
        alice.says("i job").hears("1 Lock Is Locked: job")
        assert in_line(carol, "job") == [bob.address]
        alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")
    bob.says("i job").hears("1 Lock Is Locked: job")
    number, _, rest = carol.says("history job").hears_a_line().partition(b" ")
    events = [entry["event"] for entry in json.loads(rest)]
    assert int(number) == len(events)
    assert events == ["granted", "released" if renews else "expired", "granted"]


@pytest.mark.transports("tcp")
def test_the_renewals_of_many_clients_are_read_first(glockd: Spawner) -> None:
    daemon = glockd()
    clients = [daemon.client() for _ in range(40)]
    for number, client in enumerate(clients):
        client.says(f"g {number}", f"lease 0.3 {number}")
    for number, client in enumerate(clients):
        client.hears(f"1 Lock Get Success: {number}").hears(f"1 Lock Lease Success: {number}")
    daemon.gets(signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(daemon))
        for number, client in enumerate(clients):
            if number % 2:  # half of them have much to say before that
                client.says(*["ping"] * 200)
            client.says(f"lease 60 {number}")
        time.sleep(0.6)
    finally:
        daemon.gets(signal.SIGCONT)
    for number, client in enumerate(clients):
        if number % 2:
            for _ in range(200):
                client.hears("1 pong")
        client.hears(f"1 Lock Lease Success: {number}")


# A wall clock that steps


DAY = 86400


def last_event(client: Client) -> dict[str, Any]:
    events = json.loads(client.says("history").hears_a_line().partition(b" ")[2])
    entry: dict[str, Any] = events[-1]
    return entry


@pytest.mark.parametrize("step", [f"+{DAY}", f"-{DAY}"])
def test_a_step_of_the_wall_clock_changes_nothing(
    glockd: Spawner, tmp_path: Path, fake_time: Callable[[str], dict[str, str]], step: str
) -> None:
    daemon = glockd("-history", "100", listen=("tcp",), **fake_time("+0"))
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("g job", "lease 1000 job").hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    alice.says("g short").hears("1 Lock Get Success: short")
    assert abs(last_event(carol)["time"] - time.time()) < 60
    bob.says("wait 1000 job")
    wait_until(lambda: in_line(carol, "job") == [bob.address])
    (tmp_path / "faketimerc").write_text(step)
    # It has stepped, in the daemon's eyes; when it tells of what was before, it does so by the clock that is now.
    wait_until(lambda: abs(last_event(carol)["time"] - time.time() - int(step)) < 60)
    left = lease_of(carol, "job")
    assert left is not None
    assert 900 < left <= 1000
    assert in_line(carol, "job") == [bob.address]
    (waiter,) = explained(carol, "job")["exclusive"]["waiters"]
    assert 900 < waiter["timeout"] <= 1000
    assert 0 <= waiter["seconds"] < 100
    # Leases and waits that begin now end as they would have.
    carol.says("wait 0.05 job").hears("0 Lock Get Failure: job")
    alice.says("lease 0.05 short").hears("1 Lock Lease Success: short")
    carol.says("wait 20 short").hears("1 Lock Get Success: short")
    alice.says("lease inf job", "r job")
    alice.hears("1 Lock Lease Success: job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")
