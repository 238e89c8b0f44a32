"""Limits: what goes beyond gets a clear line, is counted, and costs nobody else anything."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import pytest

from tests.support.clients import SocketClient, StreamClient, wait_until
from tests.support.process import Glockd, Spawner, run_glockd
from tests.support.timing import at_most


def refused(client: SocketClient) -> None:
    """The client hears that there are too many, and that is the end."""
    if client.transport == "websocket":
        head = client.take_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 "), head
        assert client.take(len(b"0 Too Many Connections\n")) == b"0 Too Many Connections\n"
    else:
        assert client.take(len(b"0 Too Many Connections\n")) == b"0 Too Many Connections\n"
    client.is_hung_up_on()


@pytest.mark.transports("tcp", "unix", "websocket")
def test_connections_beyond_the_limit_are_told_so(glockd: Spawner, transport: str) -> None:
    daemon = glockd("-max-connections", "2")
    alice, bob = daemon.client("tcp"), daemon.client("unix")
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("g job").hears("0 Lock Get Failure: job")
    refused(daemon.connect(transport))
    daemon.logs("refused", "connections=1")
    # As soon as somebody leaves, there is room again, and who was inside has noticed nothing.
    bob.hangs_up()
    carol = daemon.client("tcp")
    carol.says("i job").hears("1 Lock Is Locked: job")
    alice.says("i job").hears("1 Lock Is Locked: job")


def test_one_address_has_a_limit_of_its_own(glockd: Spawner) -> None:
    daemon = glockd("-max-address-connections", "2")
    first, second = daemon.client("tcp"), daemon.client("websocket")
    refused(daemon.connect("tcp"))
    refused(daemon.connect("websocket"))
    daemon.logs("refused", "address_connections=2")
    # Another address, and whoever comes through the Unix socket, is not concerned.
    other = socket.create_connection(daemon.tcp, source_address=("127.0.0.2", 0))
    StreamClient(other, "", "tcp").says("ping").hears("1 pong").hangs_up()
    unix = [daemon.client("unix") for _ in range(5)]
    unix[-1].says("q").hears_a_line()
    second.hangs_up()
    daemon.client("websocket").says("ping").hears("1 pong")
    first.says("ping").hears("1 pong")


def test_a_session_takes_no_more_locks_than_it_may(glockd: Spawner) -> None:
    daemon = glockd("-max-session-locks", "2")
    alice, bob = daemon.client("tcp"), daemon.client("websocket")
    bob.says("g bobs").hears("1 Lock Get Success: bobs")
    alice.says("g a").hears("1 Lock Get Success: a")
    alice.says("sg b").hears("1 Shared Lock Get Success: b")
    for line in ("g c", "sg c", "wait 5 c", "read 5 c", "share 5 9 c", "wait 5 bobs"):
        alice.says(line).hears_bytes(f"0 Too Many Locks: {line.split()[-1]}\n")
    # What it has is not touched, and a lock that somebody has is refused as always.
    alice.says("g a").hears_bytes("1 Lock Get Success: a\n")
    alice.says("sg b").hears_bytes("1 Shared Lock Get Success: b\r\n")
    alice.says("g bobs").hears_bytes("0 Lock Get Failure: bobs\r\n")
    alice.says("r a").hears_bytes("1 Lock Release Success: a\n")
    alice.says("g c").hears_bytes("1 Lock Get Success: c\r\n")
    daemon.logs("refused", "locks=6")


def test_all_sessions_together_take_no_more_locks_than_they_may(glockd: Spawner) -> None:
    daemon = glockd("-max-locks", "3")
    alice, bob = daemon.client("tcp"), daemon.client("tcp")
    alice.says("g a", "sg s").hears("1 Lock Get Success: a").hears("1 Shared Lock Get Success: s")
    # A second holder of a shared lock counts like the first.
    bob.says("sg s").hears("2 Shared Lock Get Success: s")
    bob.says("g b").hears_bytes("0 Too Many Locks: b\n")
    alice.says("sr s").hears("1 Shared Lock Release Success: s")
    bob.says("g b").hears("1 Lock Get Success: b")
    bob.says("g c").hears_bytes("0 Too Many Locks: c\n")
    alice.hangs_up()
    wait_until(lambda: bob.says("i a").hears_a_line().startswith(b"0"))
    bob.says("g c").hears("1 Lock Get Success: c")


def test_lines_for_locks_have_limits(glockd: Spawner) -> None:
    daemon = glockd("-max-lock-waiters", "1", "-max-waiters", "2")
    holder, *others = (daemon.client("tcp") for _ in range(5))
    holder.says("g a", "g b").hears("1 Lock Get Success: a").hears("1 Lock Get Success: b")

    def waits(client: SocketClient, name: str, place: int) -> None:
        client.says(f"wait 60 {name}")
        queued = b'"place":%d' % place
        wait_until(lambda: queued in holder.says(f"explain {name}").hears_a_line())

    waits(others[0], "a", 1)
    others[1].says("wait 60 a").hears_bytes("0 Too Many Waiters: a\n")
    waits(others[1], "b", 1)
    holder.says("g c").hears("1 Lock Get Success: c")
    others[2].says("wait 60 c").hears_bytes("0 Too Many Waiters: c\n")
    daemon.logs("refused", "waiters")
    holder.says("r a").hears("1 Lock Release Success: a")
    others[0].hears_bytes("1 Lock Get Success: a\n")


@pytest.mark.transports("tcp", "websocket")
def test_names_have_a_limit(glockd: Spawner, transport: str) -> None:
    daemon = glockd("-max-name", "8")
    alice = daemon.client(transport)
    for line in ("g", "sg", "wait 5", "read 5", "share 5 9"):
        alice.says(f"{line} 12345678").hears_a_line()
        alice.says(f"{line} 123456789").hears_bytes("0 Name Too Long: 12345678\n")
    alice.says("iam 1234 6789").hears_bytes("0 Name Too Long: 1234 678\n")
    alice.says("i 123456789").hears_bytes("0 Lock Not Locked: 123456789\r\n")
    alice.says("d").hears_a_line()
    daemon.logs("refused", "names=6")


def test_messages_have_a_limit(glockd: Spawner) -> None:
    daemon = glockd("-max-message", "4096")
    alice = daemon.web().opens()
    alice.says("g " + "n" * 4094).hears("1 Lock Get Success: " + "n" * 4094)
    alice.says("g " + "n" * 4095).hears_close(1009)
    bob = daemon.web().opens()
    for _ in range(4):
        bob.sends_frame(bob.TEXT if not _ else bob.CONTINUATION, b"x" * 1024, final=False)
    bob.sends_frame(bob.CONTINUATION, b"x").hears_close(1009)


# Time


def test_half_a_handshake_has_its_time(glockd: Spawner) -> None:
    daemon = glockd("-handshake-seconds", "1")
    alice = daemon.client("websocket")
    strangers = [daemon.web(), daemon.web().sends("GET / HTTP/1.1\r\nHost: x\r\n")]
    for stranger in strangers:
        assert stranger.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 408 ")
        stranger.take_until(b"0 Handshake Too Long\n")
        stranger.is_hung_up_on()
    daemon.logs("refused", "handshake")
    alice.says("g job").hears("1 Lock Get Success: job")


@pytest.mark.transports("tcp", "unix", "websocket")
def test_a_first_command_may_be_demanded(glockd: Spawner, transport: str) -> None:
    daemon = glockd("-first-command-seconds", "2")
    talks, silent = daemon.client(transport), daemon.client(transport)
    talks.says("ping").hears("1 pong")
    if isinstance(silent, StreamClient):
        silent.sends("half a comm")
    silent.hears_bytes("0 Idle Too Long\n")
    if transport == "websocket":
        silent.take(4)  # the close frame
    silent.is_hung_up_on()
    daemon.logs("refused", "first_command=1")
    talks.says("ping").hears("1 pong")


@pytest.mark.transports("tcp", "unix", "websocket")
def test_who_has_nothing_and_says_nothing_may_be_hung_up_on(glockd: Spawner, transport: str) -> None:
    daemon = glockd("-idle-seconds", "2")
    idle, holds, waits = (daemon.client(transport) for _ in range(3))
    holds.says("g job").hears("1 Lock Get Success: job")
    waits.says("wait 60 job")
    idle.says("ping").hears("1 pong")
    idle.hears_bytes("0 Idle Too Long\n")
    if transport == "websocket":
        idle.take(4)
    idle.is_hung_up_on()
    daemon.logs("refused", "idle=1")
    holds.says("r job").hears("1 Lock Release Success: job")
    waits.hears_bytes("1 Lock Get Success: job\n")


# Descriptors


def descriptors(daemon: Glockd) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


def test_the_soft_limit_of_descriptors_is_raised(glockd: Spawner) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        daemon = glockd()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    daemon.client("tcp").says("ping").hears("1 pong")
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def cpu_seconds(daemon: Glockd) -> float:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_running_out_of_descriptors_harms_nobody_inside(glockd: Spawner) -> None:
    """The limit falls while the daemon runs, so that accept(2) fails with EMFILE."""
    daemon = glockd(listen=("tcp", "unix"))
    alice, bob = daemon.client("tcp"), daemon.client("tcp")
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("wait 60 job")
    inside = [daemon.client("tcp") for _ in range(20)]
    for client in inside:
        client.says("ping").hears("1 pong")
    # From now on there is room for a few more only.
    used = descriptors(daemon)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (used + 3, used + 3))
    crowd = [socket.create_connection(daemon.tcp) for _ in range(60)]
    daemon.sockets += crowd  # closed at the end, whatever fails
    before = cpu_seconds(daemon)
    for _ in range(2):
        alice.says("wait 1 job2").hears_a_line()
        alice.says("sg tick").hears_a_line()
    carol = inside.pop()
    carol.says("wait 1 job").hears("0 Lock Get Failure: job")
    assert cpu_seconds(daemon) - before < at_most(0.5), "busy loop"
    # Room again: the crowd leaves, and two others.
    for sock in crowd:
        sock.close()
    for client in inside:
        client.hangs_up()
    wait_until(lambda: descriptors(daemon) < used)
    dave = daemon.client("tcp")
    dave.says("i job").hears("1 Lock Is Locked: job")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears_bytes("1 Lock Get Success: job\n")


def test_a_limit_of_descriptors_at_the_start_is_the_limit_of_connections(glockd: Spawner) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 200:
        pytest.skip("the limit is low already")
    folder = glockd.folder / "low"
    folder.mkdir()
    daemon = LowGlockd(folder, listen=("tcp",))
    glockd.processes.append(daemon)
    inside = [daemon.client("tcp") for _ in range(136)]
    inside[-1].says("ping").hears("1 pong")
    refused(daemon.connect("tcp"))
    inside.pop().hangs_up()
    daemon.client("tcp").says("ping").hears("1 pong")


class LowGlockd(Glockd):
    """A daemon that may have 200 descriptors."""

    def command(self) -> list[str]:
        return ["prlimit", "--nofile=200:200", *super().command()]


# Options


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("-max-locks", "-1"), "-max-locks: must be 0 or more"),
        (("-idle-seconds", "-1"), "-idle-seconds: must be 0 or more"),
        (("-max-message", "1"), "-max-message: must be from 4096"),
        (("-handshake-seconds", "0"), "-handshake-seconds: must be from 1"),
        (("-tls-key", "x"), "-tls-key: means nothing without -tls-cert"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(flags: tuple[str, ...], complaint: str) -> None:
    result = run_glockd(*flags)
    assert result.returncode == 2
    assert complaint in result.stderr


def test_the_unix_socket_has_the_owner_that_was_asked_for(glockd: Spawner, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a socket away")
    path = tmp_path / "s"
    glockd(
        "-port",
        "0",
        "-ws",
        "0",
        "-unix",
        str(path),
        "-unix-owner",
        "daemon",
        "-unix-group",
        "nogroup",
        listen=(),
    )
    assert (path.owner(), path.group(), path.stat().st_mode & 0o777) == ("daemon", "nogroup", 0o660)


def test_an_owner_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    result = run_glockd("-port", "0", "-ws", "0", "-unix", str(path), "-unix-group", "no-such-group")
    assert result.returncode == 1
    assert "no-such-group" in result.stderr
    assert not path.exists()
