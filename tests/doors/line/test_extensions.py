"""Waiting, reading, sharing within limits, leases and tokens, over every transport."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.clients import Client, wait_until
from tests.support.daemons import Daemon


def explained(client: Client, name: str) -> dict[str, Any]:
    """What `explain` says of `name`."""
    reply = client.says(f"explain {name}").hears_a_line()
    assert reply.startswith(b"1 ")
    found: dict[str, Any] = json.loads(reply[2:])
    return found


def stands_in_line(daemon: Daemon, observer: Client, waiter: Client, line: str, name: str) -> None:
    """`waiter` says `line`, and is seen in the line for the lock `name`."""
    waiter.says(line)

    def waits() -> bool:
        both = explained(observer, name)
        waiters = [one["address"] for table in ("exclusive", "shared") for one in both[table]["waiters"]]
        return waiter.address in waiters

    wait_until(waits, about=lambda: explained(observer, name))


# Waiting


def test_who_waits_is_served_first_come_first_served(daemon: Daemon) -> None:
    alice, *others = (daemon.client() for _ in range(5))
    alice.says("g job").hears("1 Lock Get Success: job")
    for client in others:
        stands_in_line(daemon, alice, client, "wait inf job", "job")
    for before, after in zip([alice, *others], others, strict=False):
        before.says("r job").hears("1 Lock Release Success: job")
        after.hears("1 Lock Get Success: job")
        before.says("g job").hears("0 Lock Get Failure: job")


def test_a_free_lock_needs_no_wait(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("wait 5 job").hears("1 Lock Get Success: job")
    alice.says("wait 5 job").hears("1 Lock Get Success: job")
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("wait 0 job").hears("0 Lock Get Failure: job")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.says("wait 0 job").hears("1 Lock Get Success: job")


def test_a_waiter_that_hangs_up_is_never_granted_anything(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("g job").hears("1 Lock Get Success: job")
    stands_in_line(daemon, alice, bob, "wait inf job", "job")
    stands_in_line(daemon, alice, carol, "wait inf job", "job")
    bob.vanishes()
    daemon.counts(connections=2)
    alice.says("r job").hears("1 Lock Release Success: job")
    carol.hears("1 Lock Get Success: job")
    daemon.counts(orphans=0, locks=1)


def test_the_death_of_a_holder_serves_who_waits(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("g job").hears("1 Lock Get Success: job")
    stands_in_line(daemon, carol, bob, "wait inf job", "job")
    alice.vanishes()
    bob.hears("1 Lock Get Success: job")
    daemon.counts(orphans=1, locks=1)


def test_later_lines_stay_in_order_behind_a_wait(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    stands_in_line(daemon, alice, bob, "wait inf job", "job")
    bob.says("i job", "r job", "g other")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job").hears("1 Lock Is Locked: job")
    bob.hears("1 Lock Release Success: job").hears("1 Lock Get Success: other")


def test_cancel_is_acted_on_at_once(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    stands_in_line(daemon, alice, bob, "wait inf job", "job")
    bob.says("cancel")
    bob.hears("0 Lock Get Failure: job").hears("1 Cancelled")
    assert explained(alice, "job")["exclusive"]["waiters"] == []
    bob.says("cancel").hears("0 Nothing To Cancel")


def test_a_wait_in_vain_ends_in_time(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    if daemon.transport == "conversation":
        bob.says("wait 0.05 job")
        daemon.passes(0.04)  # type: ignore[attr-defined]
        bob.hears_bytes("")
        bob.asked.append(b"wait 0.05 job")
        daemon.passes(0.02)  # type: ignore[attr-defined]
    else:
        bob.says("wait 0.05 job")
    bob.hears("0 Lock Get Failure: job")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.says("g job").hears("1 Lock Get Success: job")


@pytest.mark.parametrize("size", [2, 3, 5, 10])
def test_a_deadlock_is_refused_at_the_closing_request(daemon: Daemon, size: int) -> None:
    clients = [daemon.client() for _ in range(size)]
    observer = daemon.client()
    for number, client in enumerate(clients):
        client.says(f"g {number}").hears(f"1 Lock Get Success: {number}")
    for number, client in enumerate(clients[:-1]):
        stands_in_line(daemon, observer, client, f"wait inf {number + 1}", str(number + 1))
    clients[-1].says("wait inf 0").hears("0 Lock Get Deadlock: 0")
    for number in range(size - 1, 0, -1):
        clients[number].says(f"r {number}").hears(f"1 Lock Release Success: {number}")
        clients[number - 1].hears(f"1 Lock Get Success: {number}")


# Readers, and shared locks with a limit


def test_readers_share_and_exclude_the_writer(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    bob.says("read 0 job").hears("2 Lock Get Success: job")
    carol.says("g job").hears("0 Lock Get Failure: job")
    stands_in_line(daemon, alice, carol, "wait inf job", "job")
    alice.says("r job").hears("1 Lock Release Success: job")
    alice.says("read 0 job").hears("0 Lock Get Failure: job")  # does not overtake the writer
    stands_in_line(daemon, bob, alice, "read inf job", "job")
    bob.says("r job").hears("1 Lock Release Success: job")
    carol.hears("1 Lock Get Success: job")
    carol.says("r job").hears("1 Lock Release Success: job")
    alice.hears("1 Lock Get Success: job")


def test_a_sole_reader_cannot_become_the_writer(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    alice.says("wait inf job").hears("0 Lock Get Deadlock: job")
    alice.says("g job").hears_bytes("0 Lock Get Failure: job\r\n")
    alice.says("r job").hears("1 Lock Release Success: job")


def test_listings_name_every_reader(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    bob.says("read 0 job").hears("2 Lock Get Success: job")
    alice.says("d").hears(f"job: {alice.address}", f"job: {bob.address}")
    alice.says("dump").hears(f"map[job:[{alice.address} {bob.address}]]")
    daemon.counts(locks=1)


def test_a_limit_is_respected(daemon: Daemon) -> None:
    alice, bob, carol, dave = (daemon.client() for _ in range(4))
    alice.says("share 0 2 pool").hears("1 Shared Lock Get Success: pool")
    bob.says("share 0 2 pool").hears("2 Shared Lock Get Success: pool")
    carol.says("share 0 2 pool").hears("0 Shared Lock Get Failure: pool")
    stands_in_line(daemon, alice, carol, "share inf 2 pool", "pool")
    dave.says("sg pool").hears("3 Shared Lock Get Success: pool")  # passes her by, as it always has
    alice.says("sr pool").hears("1 Shared Lock Release Success: pool")
    alice.says("si pool").hears("2 Shared Lock Is Locked: pool")
    dave.says("sr pool").hears("1 Shared Lock Release Success: pool")
    carol.hears("2 Shared Lock Get Success: pool")


# Tokens and leases


def test_tokens_grow_and_tell_old_from_new(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    tokens = []
    for client in (alice, bob):
        client.says("g job").hears("1 Lock Get Success: job")
        number, _, rest = client.says("token job").hears_a_line().partition(b" ")
        assert rest == b"Lock Token: job\n"
        tokens.append(int(number))
        client.says(f"check {tokens[-1]} job").hears("1 Lock Token Current: job")
        client.says("r job").hears("1 Lock Release Success: job")
        client.says(f"check {tokens[-1]} job").hears("0 Lock Token Stale: job")
        client.says("token job").hears("0 Lock Token: job")
    assert 0 < tokens[0] < tokens[1] < 1 << 53


@pytest.mark.transports("conversation")
def test_a_lease_ends_unless_it_is_renewed(daemon: Any) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("lease 5 job").hears("0 Lock Lease Failure: job")
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("lease 5 job").hears("1 Lock Lease Success: job")
    alice.says("notify on").hears("1 ok")
    daemon.passes(4.9)
    alice.says("lease 5 job").hears("1 Lock Lease Success: job")
    daemon.passes(4.9)
    bob.says("wait 100 job")
    alice.says("lease 20 job").hears("1 Lock Lease Success: job")
    daemon.passes(19.9)
    bob.hears_bytes("")
    bob.asked.append(b"wait 100 job")
    daemon.passes(0.2)
    bob.hears("1 Lock Get Success: job")
    alice.hears_bytes("! lost job expired\n")
    alice.says("r job").hears("0 Lock Release Failure: job")
    bob.says("lease 5 job").hears("1 Lock Lease Success: job")
    bob.says("lease inf job").hears("1 Lock Lease Success: job")
    daemon.passes(1e9)
    bob.says("i job").hears("1 Lock Is Locked: job")


@pytest.mark.transports("tcp", "unix", "websocket")
def test_a_lease_that_is_over_gives_the_lock_to_who_waits(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("notify on").hears("1 ok")
    stands_in_line(daemon, alice, bob, "wait inf job", "job")
    alice.says("lease 0.05 job").hears("1 Lock Lease Success: job")
    bob.hears("1 Lock Get Success: job")
    assert alice.hears_a_line() == b"! lost job expired\n"
    alice.says("ping").hears("1 pong")


# Arguments


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("wait", "0 Bad Argument: SECONDS"),
        ("wait job", "0 Bad Argument: SECONDS"),
        ("wait -1 job", "0 Bad Argument: SECONDS"),
        ("wait 1e3 job", "0 Bad Argument: SECONDS"),
        ("wait nan job", "0 Bad Argument: SECONDS"),
        ("read soon job", "0 Bad Argument: SECONDS"),
        ("share 1 0 job", "0 Bad Argument: LIMIT"),
        ("share 1 -1 job", "0 Bad Argument: LIMIT"),
        ("share 1 1.5 job", "0 Bad Argument: LIMIT"),
        ("share x 1 job", "0 Bad Argument: SECONDS"),
        ("lease x job", "0 Bad Argument: SECONDS"),
        ("check x job", "0 Bad Argument: TOKEN"),
        ("check 0 job", "0 Bad Argument: TOKEN"),
        ("cancel", "0 Nothing To Cancel"),
        ("ping", "1 pong"),
        ("bound", "30 Dead Peer Seconds"),
    ],
)
def test_a_bad_argument_changes_nothing(daemon: Daemon, line: str, reply: str) -> None:
    alice = daemon.client()
    alice.says(line).hears(reply)
    daemon.counts(locks=0, shared_locks=0, invalid_commands=0, **{f"command_{line.split()[0]}": 1})


@pytest.mark.flags("-dump=false")
def test_without_dump_nothing_is_explained(daemon: Daemon) -> None:
    daemon.client().says("explain job").hears("0 disabled")


@pytest.mark.transports("tcp", "unix", "websocket")
@pytest.mark.flags("-admin", "-history", "100")
def test_an_operator_can_end_a_session(daemon: Daemon) -> None:
    alice, operator = daemon.client(), daemon.client("unix")
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("iam Alice").hears("1 ok")
    operator.says("kick Alice").hears("1 Kicked: Alice")
    daemon.counts(connections=1, orphans=1)
    events = json.loads(operator.says("history job").hears_a_line().partition(b" ")[2])
    assert [event["event"] for event in events][-2:] == ["granted", "kicked"]
    daemon.client("tcp").says(f"kick {operator.address}").hears("0 disabled")
    alice.vanishes()
