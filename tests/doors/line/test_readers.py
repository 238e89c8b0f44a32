"""Readers and writers of one lock: who is beside whom, and in what order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings

from tests.support.daemons import Daemon
from tests.support.locks import explained, holders, in_line, line_is, waits
from tests.support.plays import Play, Step, plays


def test_readers_share_and_a_writer_is_alone(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    bob.says("read 5 job").hears("2 Lock Get Success: job")
    for line in ("g job", "wait 0 job"):
        carol.says(line).hears("0 Lock Get Failure: job")
    carol.says("i job").hears("1 Lock Is Locked: job")
    alice.says("i job").hears("1 Lock Is Locked: job")
    alice.says("r job", "r job").hears("1 Lock Release Success: job").hears("0 Lock Release Failure: job")
    carol.says("wait 0 job").hears("0 Lock Get Failure: job")
    bob.says("r job").hears("1 Lock Release Success: job")
    carol.says("g job").hears("1 Lock Get Success: job")
    alice.says("read 0 job").hears("0 Lock Get Failure: job")


def test_a_reader_reads_again_and_releases_once(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("read 0 job", "read 0 job", "read inf job")
    for _ in range(3):
        alice.hears("1 Lock Get Success: job")
    bob.says("read 0 job").hears("2 Lock Get Success: job")
    alice.says("read 0 job").hears("2 Lock Get Success: job")
    daemon.counts(locks=1)
    alice.says("r job", "r job").hears("1 Lock Release Success: job").hears("0 Lock Release Failure: job")
    assert holders(bob, "job") == [bob.address]


def test_a_reader_reads_again_although_a_writer_waits(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")


def test_no_reader_starves_a_writer(daemon: Daemon) -> None:
    alice, writer, bob, carol = (daemon.client() for _ in range(4))
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    waits(alice, writer, "wait inf job")
    bob.says("read 0 job").hears("0 Lock Get Failure: job")
    waits(alice, carol, "read inf job")
    assert holders(alice, "job") == [alice.address]
    alice.says("r job", "read 0 job").hears("1 Lock Release Success: job").hears("0 Lock Get Failure: job")
    writer.hears("1 Lock Get Success: job")
    writer.says("r job").hears("1 Lock Release Success: job")
    carol.hears("1 Lock Get Success: job")


def test_readers_and_writers_are_served_in_the_order_they_came(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    line = [daemon.client() for _ in range(7)]
    for client, verb in zip(line, ("read", "read", "wait", "read", "wait", "wait", "read"), strict=True):
        waits(alice, client, f"{verb} inf job")
    alice.says("r job").hears("1 Lock Release Success: job")
    line[0].hears("1 Lock Get Success: job")
    line[1].hears("2 Lock Get Success: job")
    line_is(alice, "job", *line[2:])
    for client in line[:2]:
        client.says("r job").hears("1 Lock Release Success: job")
    line[2].hears("1 Lock Get Success: job")
    line[2].says("r job").hears("1 Lock Release Success: job")
    line[3].hears("1 Lock Get Success: job")
    assert holders(alice, "job") == [line[3].address]
    for before, after in pairwise(line[3:]):
        before.says("r job").hears("1 Lock Release Success: job")
        after.hears("1 Lock Get Success: job")


def test_each_reader_hears_how_many_read_with_it(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    readers = [daemon.client() for _ in range(5)]
    for client in readers:
        waits(alice, client, "read inf job")
    alice.says("r job").hears("1 Lock Release Success: job")
    for number, client in enumerate(readers, 1):
        client.hears(f"{number} Lock Get Success: job")
    readers[2].vanishes()
    daemon.counts(connections=5, orphans=1, locks=1)
    alice.says("read 0 job").hears("5 Lock Get Success: job")


def test_a_sole_reader_cannot_become_the_writer(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    alice.says("g job").hears_bytes("0 Lock Get Failure: job\r\n")
    alice.says("wait 0 job").hears("0 Lock Get Failure: job")
    alice.says("wait inf job").hears("0 Lock Get Deadlock: job")
    bob.says("read 0 job").hears("2 Lock Get Success: job")
    assert in_line(bob, "job") == []


def test_listings_have_a_line_for_each_reader(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    alice.says("dump").hears(f"map[job:{alice.address}]")
    bob.says("read 0 job").hears("2 Lock Get Success: job")
    bob.says("iam Bob").hears("1 ok")
    alice.says("d").hears(f"job: {alice.address}", "job: Bob")
    alice.says("d job").hears(f"job: {alice.address}", "job: Bob")
    alice.says("dump").hears(f"map[job:[{alice.address} {bob.address}]]")
    daemon.counts(locks=1)
    modes = [holder["mode"] for holder in explained(alice, "job")["exclusive"]["holders"]]
    assert modes == ["read", "read"]


def test_reading_has_nothing_to_do_with_sharing(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    bob.says("share 0 1 job").hears("1 Shared Lock Get Success: job")
    alice.says("sr job").hears("0 Shared Lock Release Failure: job")
    bob.says("r job").hears("0 Lock Release Failure: job")
    daemon.counts(locks=1, shared_locks=1)


# Any mixture

LINES = (
    "wait inf job",
    "wait 0 job",
    "read inf job",
    "read 0 job",
    "r job",
    "r job",
    "token job",
    "cancel",
    "dies",
)


@given(plays(LINES, "abcdef", most=60))
@settings(max_examples=300)
def test_any_mixture_of_readers_and_writers_is_served_in_order(steps: list[Step]) -> None:
    Play().run(steps)
