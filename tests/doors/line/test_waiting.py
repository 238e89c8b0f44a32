"""Standing in line for an exclusive lock: who is served, who is not, and what becomes of later lines."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable

import pytest

from tests.support.clients import Client, SocketClient, StreamClient, WebSocketClient, wait_until
from tests.support.daemons import Daemon, ProcessDaemon
from tests.support.locks import DEATHS, dies, forget, holders, in_line, line_is, time_passes, waits

SERVERS = pytest.mark.transports("tcp", "unix", "websocket")
STREAMS = pytest.mark.transports("tcp", "unix")


# Who is served


def test_who_came_first_is_served_first(daemon: Daemon) -> None:
    alice, *others = (daemon.client() for _ in range(6))
    alice.says("g job").hears("1 Lock Get Success: job")
    for client in others:
        waits(alice, client, "wait inf job")
    line_is(alice, "job", *others)
    for before, after in zip([alice, *others], others, strict=False):
        before.says("r job").hears("1 Lock Release Success: job")
        after.hears("1 Lock Get Success: job")


def test_nobody_gets_past_who_waits(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    alice.says("r job", "g job").hears("1 Lock Release Success: job").hears("0 Lock Get Failure: job")
    bob.hears("1 Lock Get Success: job")
    carol.says("g job").hears("0 Lock Get Failure: job")
    carol.says("wait 0 job").hears("0 Lock Get Failure: job")


def test_the_holder_gets_the_lock_again_without_waiting(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("wait inf job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    alice.says("wait inf job").hears("1 Lock Get Success: job")
    alice.says("read inf job").hears("1 Lock Get Success: job")
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("i job").hears("1 Lock Is Locked: job")
    line_is(alice, "job", bob)
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")
    alice.says("r job").hears("0 Lock Release Failure: job")


def test_a_name_with_spaces_is_waited_for(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g night job").hears("1 Lock Get Success: night job")
    waits(alice, bob, "wait inf night job")
    alice.says("r  night \t job ").hears("1 Lock Release Success: night job")
    bob.hears("1 Lock Get Success: night job")
    bob.says("wait  5 ").hears("1 Lock Get Success: ")
    alice.says("g").hears("0 Lock Get Failure: ")


# Who is not: the dead, those who cancel and those whose time is up


@pytest.mark.parametrize("how", DEATHS)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
def test_the_dead_are_never_granted_anything(daemon: Daemon, how: str, place: int) -> None:
    alice, *line = (daemon.client() for _ in range(4))
    alice.says("g job").hears("1 Lock Get Success: job")
    for client in line:
        waits(alice, client, "wait inf job")
    dead = line.pop(place)
    dies(dead, how)
    line_is(alice, "job", *line)
    for before, after in zip([alice, *line], line, strict=False):
        before.says("r job").hears("1 Lock Release Success: job")
        after.hears("1 Lock Get Success: job")
    daemon.counts(connections=3, orphans=0, locks=1)
    if how == "half close" and isinstance(dead, StreamClient):
        dead.hears("0 Lock Get Failure: job").is_hung_up_on()
    forget(dead)


@SERVERS
@pytest.mark.parametrize("how", DEATHS)
def test_a_death_in_the_moment_of_the_hand_over_blocks_nobody(daemon: ProcessDaemon, how: str) -> None:
    alice = daemon.client()
    rounds = 5
    for _ in range(rounds):
        bob, carol = daemon.client(), daemon.client()
        alice.says("g job").hears("1 Lock Get Success: job")
        waits(alice, bob, "wait inf job")
        waits(alice, carol, "wait inf job")
        alice.says("r job")
        dies(bob, how)
        alice.hears("1 Lock Release Success: job")
        carol.hears("1 Lock Get Success: job")
        carol.says("r job").hears("1 Lock Release Success: job")
        carol.hangs_up()
        forget(bob)
    daemon.counts(connections=1, locks=0)


def test_the_death_of_the_holder_serves_the_next(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    waits(alice, carol, "wait inf job")
    alice.vanishes()
    bob.hears("1 Lock Get Success: job")
    daemon.counts(orphans=1)
    bob.vanishes()
    carol.hears("1 Lock Get Success: job")
    daemon.counts(orphans=2)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
def test_who_cancels_is_never_granted_anything(daemon: Daemon, place: int) -> None:
    alice, *line = (daemon.client() for _ in range(4))
    alice.says("g job").hears("1 Lock Get Success: job")
    for client in line:
        waits(alice, client, "wait inf job")
    fickle = line.pop(place)
    fickle.says("cancel").hears("0 Lock Get Failure: job").hears("1 Cancelled")
    line_is(alice, "job", *line)
    for before, after in zip([alice, *line], line, strict=False):
        before.says("r job").hears("1 Lock Release Success: job")
        after.hears("1 Lock Get Success: job")
    fickle.says("cancel").hears("0 Nothing To Cancel")
    fickle.says("g job").hears("0 Lock Get Failure: job")


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
def test_who_ran_out_of_time_is_never_granted_anything(daemon: Daemon, place: int) -> None:
    alice, *line = (daemon.client() for _ in range(4))
    alice.says("g job").hears("1 Lock Get Success: job")
    for number, client in enumerate(line):
        if number == place:
            client.says("wait 0.05 job")
        else:
            waits(alice, client, "wait 100 job")
    late = line.pop(place)
    time_passes(daemon, 0.06)
    late.hears("0 Lock Get Failure: job")
    line_is(alice, "job", *line)
    for before, after in zip([alice, *line], line, strict=False):
        before.says("r job").hears("1 Lock Release Success: job")
        after.hears("1 Lock Get Success: job")
    late.says("i job").hears("1 Lock Is Locked: job")


def gives_up(daemon: Daemon, client: Client, how: str) -> None:
    """A client that waits for `job` for a while leaves the line."""
    if how == "cancels":
        client.says("cancel").hears("0 Lock Get Failure: job").hears("1 Cancelled")
    elif how == "dies":
        client.vanishes()
    else:
        time_passes(daemon, 10)
        client.hears("0 Lock Get Failure: job")


@pytest.mark.parametrize("how", ["cancels", "dies", "runs out of time"])
def test_who_leaves_the_line_makes_way_for_those_behind(daemon: Daemon, how: str) -> None:
    """Readers stand behind a writer that waits for a reader, and fit once it has left."""
    alice, writer, bob, carol = (daemon.client() for _ in range(4))
    alice.says("read 0 job").hears("1 Lock Get Success: job")
    waits(alice, writer, "wait 0.5 job" if how == "runs out of time" else "wait inf job")
    waits(alice, bob, "read inf job")
    waits(alice, carol, "read inf job")
    gives_up(daemon, writer, how)
    bob.hears("2 Lock Get Success: job")
    carol.hears("3 Lock Get Success: job")
    assert in_line(alice, "job") == []


@pytest.mark.transports("conversation")
def test_a_wait_ends_neither_early_nor_late(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("g job").hears("1 Lock Get Success: job")
    for patience in ("0.5", "7", "7.25", ".5", "3.", "007"):
        bob.says(f"wait {patience} job")
        time_passes(daemon, float(patience) - 0.01)
        assert in_line(carol, "job") == [bob.address]
        time_passes(daemon, 0.01)
        assert in_line(carol, "job") == []
        bob.hears("0 Lock Get Failure: job")
    bob.says("wait inf job")
    time_passes(daemon, 1e9)
    assert in_line(carol, "job") == [bob.address]
    bob.says("cancel").hears("0 Lock Get Failure: job").hears("1 Cancelled")


@pytest.mark.parametrize("patience", ["1" + "0" * 12, "9" * 30, "9" * 400])
def test_any_patience_is_understood(daemon: Daemon, patience: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, f"wait {patience} job")
    alice.says(f"lease {patience} job").hears("1 Lock Lease Success: job")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")
    bob.says(f"lease {patience} job").hears("1 Lock Lease Success: job")
    bob.says("i job").hears("1 Lock Is Locked: job")


# Lines behind a wait


def test_later_lines_stay_unread_in_order(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job", "i job", "g other", "ping")
    bob.says("nonsense", "r job", "me")
    assert holders(alice, "other") == []
    daemon.counts(command_i=0, command_ping=0, invalid_commands=0)
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job").hears("1 Lock Is Locked: job").hears("1 Lock Get Success: other")
    bob.hears("1 pong").hears_nothing().hears("1 Lock Release Success: job")
    bob.hears(f"1 {bob.address} {bob.address}")
    alice.says("i job").hears("0 Lock Not Locked: job")
    daemon.counts(command_i=2, command_ping=1, invalid_commands=1)


def test_wait_and_release_in_one_packet(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    bob.says("wait 5 job", "r job").hears("1 Lock Get Success: job").hears("1 Lock Release Success: job")
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job", "r job", "wait inf job", "r job", "i job")
    alice.says("r job").hears("1 Lock Release Success: job")
    for _ in range(2):
        bob.hears("1 Lock Get Success: job").hears("1 Lock Release Success: job")
    bob.hears("0 Lock Not Locked: job")


def test_a_wait_behind_a_wait_has_its_turn(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g a", "g b", "g c")
    for name in ("a", "b", "c"):
        alice.hears(f"1 Lock Get Success: {name}")
    waits(alice, bob, "wait inf a", "wait inf b", "share inf 1 b", "read inf c", "ping")
    assert in_line(alice, "b") == in_line(alice, "c") == []
    alice.says("r a").hears("1 Lock Release Success: a")
    bob.hears("1 Lock Get Success: a")
    line_is(alice, "b", bob)
    alice.says("r b").hears("1 Lock Release Success: b")
    bob.hears("1 Lock Get Success: b").hears("1 Shared Lock Get Success: b")
    line_is(alice, "c", bob)
    alice.says("r c").hears("1 Lock Release Success: c")
    bob.hears("1 Lock Get Success: c").hears("1 pong")


@pytest.mark.transports("tcp", "unix", "conversation")
def test_a_client_that_sends_c_strings_may_wait(daemon: Daemon) -> None:
    """It has a NUL behind each LF, which means nothing, behind a wait either."""
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.asked.extend([b"wait inf job", b"g other", b"r job"])
    bob.sends(b"wait inf job\n\0g other\n\0r job\n\0")  # type: ignore[attr-defined]
    line_is(alice, "job", bob)
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job").hears("1 Lock Get Success: other")
    bob.hears("1 Lock Release Success: job")
    daemon.counts(invalid_commands=0)


@pytest.mark.transports("tcp", "unix", "conversation")
def test_a_line_in_pieces_behind_a_wait_is_one_line(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    bob.asked.append(b"g other")
    bob.sends(b"g ot")  # type: ignore[attr-defined]
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears_bytes("1 Lock Get Success: job\n")
    bob.sends(b"her\n")  # type: ignore[attr-defined]
    bob.asked.append(b"g other")
    bob.hears("1 Lock Get Success: other")


# cancel


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("together", [True, False], ids=["in one packet", "later"])
@pytest.mark.parametrize("word", ["cancel", " cancel\t\r", "\u2003cancel\u00a0"])
def test_cancel_is_acted_on_at_once_wherever_it_stands(
    daemon: Daemon, place: int, together: bool, word: str
) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    later = ["i job", "g other", "ping"]
    later.insert(place, word)
    if together:
        bob.says("wait inf job", *later)
    else:
        waits(alice, bob, "wait inf job")
        for line in later:
            bob.says(line)
    bob.asked.clear()
    bob.hears_bytes("0 Lock Get Failure: job\n").hears_bytes("1 Cancelled\n")
    bob.hears_bytes("1 Lock Is Locked: job\r\n").hears_bytes("1 Lock Get Success: other\r\n")
    bob.hears_bytes("1 pong\n")
    assert in_line(alice, "job") == []
    daemon.counts(command_cancel=1, invalid_commands=0)
    alice.says("r job").hears("1 Lock Release Success: job")
    alice.says("i job").hears("0 Lock Not Locked: job")


def test_one_cancel_ends_one_wait(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g a", "g b").hears("1 Lock Get Success: a").hears("1 Lock Get Success: b")
    bob.says("wait inf a", "cancel", "cancel", "wait inf b")
    bob.hears("0 Lock Get Failure: a").hears("1 Cancelled").hears("0 Nothing To Cancel")
    line_is(alice, "b", bob)
    bob.says("cancel").hears("0 Lock Get Failure: b").hears("1 Cancelled")
    daemon.counts(command_cancel=3)


def test_only_cancel_alone_cancels(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job", "cancel job", "CANCEL", "xcancel", "g cancel", "can", "cel")
    line_is(alice, "job", bob)
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job").hears_nothing().hears_nothing().hears_nothing()
    bob.hears("1 Lock Get Success: cancel").hears_nothing().hears_nothing()
    bob.says("ping").hears("1 pong")
    daemon.counts(command_cancel=0, invalid_commands=5)


@pytest.mark.transports("tcp", "unix", "conversation")
def test_cancel_in_two_pieces_is_acted_on_when_it_is_whole(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    bob.sends(b"ping\ncan")  # type: ignore[attr-defined]
    bob.sends(b"cel")  # type: ignore[attr-defined]
    assert in_line(alice, "job") == [bob.address]
    bob.sends(b"\n")  # type: ignore[attr-defined]
    bob.asked.clear()
    bob.hears_bytes("0 Lock Get Failure: job\n1 Cancelled\n1 pong\n")


def test_cancel_without_a_wait_is_told_so(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("cancel").hears("0 Nothing To Cancel")
    alice.says("g job", "cancel", "r job").hears("1 Lock Get Success: job").hears("0 Nothing To Cancel")
    alice.hears("1 Lock Release Success: job")


def test_a_grant_that_crossed_the_cancel_stands(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.says("cancel").hears("1 Lock Get Success: job").hears("0 Nothing To Cancel")
    bob.says("r job").hears("1 Lock Release Success: job")


# The end of input


@STREAMS
def test_end_of_input_ends_the_wait_and_carries_out_the_rest(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.client(), daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job", "g other", "wait 5 job", "i job")
    bob.sends("i other").finishes()  # an unfinished last line
    bob.asked.append(b"i other")
    bob.hears("0 Lock Get Failure: job").hears("1 Lock Get Success: other")
    bob.hears("0 Lock Get Failure: job").hears("1 Lock Is Locked: job").hears("1 Lock Is Locked: other")
    bob.is_hung_up_on()
    assert in_line(alice, "job") == holders(alice, "other") == []
    daemon.counts(connections=1, orphans=1)


@STREAMS
def test_a_wait_that_comes_with_the_end_of_input_does_not_begin(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.client(), daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.asked.extend([b"wait inf job", b"wait inf free"])
    bob.sends("wait inf job\nwait inf free").finishes()
    bob.hears("0 Lock Get Failure: job").hears("1 Lock Get Success: free").is_hung_up_on()
    daemon.counts(connections=1, orphans=1)


@STREAMS
def test_nobody_waits_behind_the_end_of_input(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.client(), daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.asked.append(b"wait inf job")
    bob.sends("wait inf job").finishes()
    bob.hears("0 Lock Get Failure: job").is_hung_up_on()


# What a client may send meanwhile

KIBIBYTE = 1024


def taken(client: SocketClient, block: bytes, most: int, is_enough: Callable[[], bool]) -> int:
    """Send `block` again and again until no more is taken, and return how many bytes were."""
    client.sock.setblocking(False)
    sent = 0
    while sent < most:
        if select.select([], [client.sock], [], 0.1)[1]:
            with contextlib.suppress(BlockingIOError):
                sent += client.sock.send(block[sent % len(block) :])
        elif is_enough():
            break
    client.sock.settimeout(20)
    return sent


@SERVERS
def test_who_waits_is_read_for_64_kib_and_then_no_more(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    assert isinstance(bob, SocketClient)
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    line = b"i " + b"n" * 500
    block = bob.frame(bob.TEXT, line) if isinstance(bob, WebSocketClient) else line + b"\n"
    most = 64 * KIBIBYTE * KIBIBYTE
    sent = taken(bob, block, most, lambda: alice.says("ping").hears("1 pong") is alice)
    # What the kernel takes besides is a few MiB at the most.
    assert 64 * KIBIBYTE < sent < most // 4
    # The daemon still serves others, and gives the lock to the next in line in time.
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")
    bob.sends(block[sent % len(block) :] if sent % len(block) else b"")
    for _ in range(-(-sent // len(block))):
        bob.hears_bytes(b"0 Lock Not Locked: " + line[2:] + b"\r\n")
    bob.says("r job").hears("1 Lock Release Success: job")


@SERVERS
def test_cancel_within_64_kib_is_seen(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(alice, bob, "wait inf job")
    lines = [f"i {n:0100}" for n in range(500)]
    bob.says(*lines, "cancel")
    bob.asked.clear()
    bob.hears_bytes("0 Lock Get Failure: job\n").hears_bytes("1 Cancelled\n")
    for line in lines:
        bob.hears_bytes(f"0 Lock Not Locked: {line[2:]}\r\n")


@SERVERS
def test_many_waiters_on_many_locks_are_all_served(daemon: ProcessDaemon) -> None:
    alice = daemon.client()
    clients = [daemon.client() for _ in range(20)]
    alice.says(*(f"g {number % 4}" for number in range(4)))
    for number in range(4):
        alice.hears(f"1 Lock Get Success: {number}")
    for number, client in enumerate(clients):
        client.says(f"wait 20 {number % 4}", f"r {number % 4}")
    wait_until(lambda: sum(len(in_line(alice, str(number))) for number in range(4)) == len(clients))
    alice.vanishes()
    for number, client in enumerate(clients):
        client.hears(f"1 Lock Get Success: {number % 4}").hears(f"1 Lock Release Success: {number % 4}")
