"""How the process begins, what it leaves behind, and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import stat
import time
from pathlib import Path

import pytest

from glockd import __version__
from tests.support.clients import PATIENCE, StreamClient
from tests.support.process import Glockd, Spawner, free_port, one_clear_line, run_glockd

OFF = ("-port", "0", "-ws", "0")
PROMISED = 5.0  # seconds within which a daemon ends that is told to


def unix_client(path: Path) -> StreamClient:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(str(path))
    return StreamClient(sock, "unix:1", "unix")


# The pid file


def test_there_is_no_thread_beside_the_event_loop(glockd: Spawner) -> None:
    """One that opens files could take the descriptor that libuv keeps for when there are no more."""
    daemon = glockd()
    daemon.client("tcp").says("ping").hears("1 pong")
    assert os.listdir(f"/proc/{daemon.pid}/task") == [str(daemon.pid)]


def test_the_pid_file_holds_the_pid_and_is_locked_for_life(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("a longer text than any pid is\n")
    daemon = glockd("-pidfile", str(path))
    alice = daemon.stream()
    for _ in range(2000):  # the original lost the lock to a garbage collection
        alice.says("g job", "r job")
        alice.hears("1 Lock Get Success: job").hears("1 Lock Release Success: job")
    assert path.read_bytes() == str(daemon.pid).encode()
    with path.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    alice.hangs_up()
    daemon.stop()
    assert not path.exists()


def test_a_second_daemon_leaves_the_pid_file_alone(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    first = glockd("-pidfile", str(path))
    first.stream().hangs_up()
    second = run_glockd(*OFF, "-pidfile", str(path))
    assert second.returncode == 4
    assert str(path) in one_clear_line(second.stderr)
    assert path.read_bytes() == str(first.pid).encode()
    assert first.is_running


@pytest.mark.parametrize("where", ["no/such/folder/pid", "."])
def test_a_pid_file_that_cannot_be_opened(tmp_path: Path, where: str) -> None:
    result = run_glockd(*OFF, "-pidfile", str(tmp_path / where))
    assert result.returncode == 3
    assert str(tmp_path / where) in one_clear_line(result.stderr)


def test_a_pid_file_that_cannot_be_written() -> None:
    result = run_glockd("-port", "0", "-pidfile", "/dev/full")
    assert result.returncode == 3
    assert "/dev/full" in one_clear_line(result.stderr)


def test_a_stale_pid_file_is_taken_over(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    first = glockd("-pidfile", str(path))
    first.stream().hangs_up()
    first.kill()
    assert path.exists()
    second = glockd("-pidfile", str(path))
    second.stream().hangs_up()
    assert path.read_bytes() == str(second.pid).encode()


# The Unix socket


def test_the_unix_socket_is_made_and_removed(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    daemon = glockd(*OFF, "-unix", str(path), listen=())
    alice = unix_client(path)
    alice.says("me").hears("1 unix:1 unix:1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    alice.hangs_up()
    daemon.stop()
    assert not path.exists()


@pytest.mark.parametrize("mode", ["0600", "0666", "0777"])
def test_the_mode_of_the_unix_socket_is_as_told(glockd: Spawner, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "sock"
    glockd(*OFF, "-unix", str(path), "-unix-mode", mode, listen=())
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)


def test_a_stale_unix_socket_is_replaced(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    glockd(*OFF, "-unix", str(path), listen=()).kill()
    assert path.is_socket()
    glockd(*OFF, "-unix", str(path), listen=())
    alice = unix_client(path)
    alice.says("me").hears("1 unix:1 unix:1").hangs_up()


def test_a_live_unix_socket_is_never_stolen(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    glockd(*OFF, "-unix", str(path), listen=())
    alice = unix_client(path)
    alice.says("g job").hears("1 Lock Get Success: job")
    second = run_glockd(*OFF, "-unix", str(path))
    assert second.returncode == 1
    assert str(path) in one_clear_line(second.stderr)
    bob = unix_client(path)
    bob.says("i job").hears("1 Lock Is Locked: job").hangs_up()
    alice.hangs_up()


def test_a_file_at_the_path_of_the_unix_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    path.write_text("precious")
    result = run_glockd(*OFF, "-unix", str(path))
    assert result.returncode == 1
    assert str(path) in one_clear_line(result.stderr)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("where", ["no/such/folder/sock", "x" * 200])
def test_a_unix_socket_that_cannot_be_made(tmp_path: Path, where: str) -> None:
    result = run_glockd(*OFF, "-unix", str(tmp_path / where))
    assert result.returncode == 1
    one_clear_line(result.stderr)


def test_a_socket_that_was_handed_over_is_not_removed(glockd: Spawner) -> None:
    daemon = glockd()
    daemon.stream("unix").hangs_up()
    daemon.stop()
    assert daemon.unix.is_socket()  # it belongs to whoever made it, systemd say


# Ports


def test_the_daemon_listens_where_it_is_told(glockd: Spawner) -> None:
    # Of the whole loopback network each run takes an address of its own: nobody else has a port there.
    host = f"127.{os.getpid() >> 16 & 127}.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
    daemon = glockd("-port", "9100", "-ws", "9101", "-bind", host, listen=())
    daemon.tcp, daemon.ws = (host, 9100), (host, 9101)
    alice, bob = daemon.client("tcp"), daemon.client("websocket")
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("me").hears(f"1 {alice.address} {alice.address}")
    bob.says("g job").hears("0 Lock Get Failure: job")
    alice.hangs_up()
    bob.hangs_up()


def test_by_default_the_daemon_listens_on_loopback_only(glockd: Spawner, has_ipv6: bool) -> None:
    port = free_port()
    daemon = glockd("-port", str(port), "-ws", "0", listen=())
    daemon.tcp, daemon.tcp6 = ("127.0.0.1", port), ("::1", port)
    for transport in ("tcp", "tcp6") if has_ipv6 else ("tcp",):
        alice = daemon.client(transport)
        alice.says("me").hears(f"1 {alice.address} {alice.address}")
        alice.hangs_up()
    with pytest.raises(ConnectionRefusedError):  # it would be open if the daemon had bound to all addresses
        socket.create_connection(("127.0.0.2", port), PATIENCE)


@pytest.mark.parametrize("option", ["-port", "-ws"])
def test_a_port_in_use(option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        flags = {"-port": "0", "-ws": "0"} | {option: port}
        result = run_glockd(*(word for pair in flags.items() for word in pair))
    assert result.returncode == 1
    assert port in one_clear_line(result.stderr)


def test_an_address_that_is_not_here() -> None:
    result = run_glockd("-port", "9999", "-ws", "0", "-bind", "192.0.2.1")  # RFC 5737: nobody has it
    assert result.returncode == 1
    assert "192.0.2.1" in one_clear_line(result.stderr)


def test_a_daemon_with_nothing_to_listen_on_does_not_start() -> None:
    result = run_glockd(*OFF)
    assert result.returncode == 1
    assert "nothing to listen on" in one_clear_line(result.stderr)


def test_sockets_meant_for_another_process_are_not_taken() -> None:
    # sd_listen_fds(3): LISTEN_PID must be our own.
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "tcp"}
    result = run_glockd(*OFF, env=environment)
    assert result.returncode == 1
    assert "no socket was handed over" in result.stderr


# The end


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_properly(glockd: Spawner, tmp_path: Path, which: signal.Signals) -> None:
    daemon = glockd("-pidfile", str(tmp_path / "pid"))
    clients = [daemon.client(transport) for transport in ("tcp", "unix", "websocket")]
    for client in clients:
        client.says(f"g {client.transport}").hears(f"1 Lock Get Success: {client.transport}")
    start = time.monotonic()
    daemon.gets(which)
    assert daemon.ends() == 0
    assert time.monotonic() - start < PROMISED
    assert not (tmp_path / "pid").exists()
    for client in clients[:2]:
        client.is_hung_up_on()
    for transport in ("tcp", "unix"):
        with pytest.raises(ConnectionRefusedError):
            daemon.connect(transport)


def test_a_websocket_is_told_that_the_daemon_goes_away(glockd: Spawner) -> None:
    daemon = glockd()
    alice = daemon.web().opens()
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.gets(signal.SIGTERM)
    alice.hears_close(1001)  # RFC 6455, 7.4.1: going away, such as a server going down
    assert daemon.ends() == 0


@pytest.mark.transports("tcp", "unix")
def test_what_has_arrived_is_answered_before_the_end(glockd: Spawner, transport: str) -> None:
    daemon = glockd()
    alice = daemon.stream(transport)
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.gets(signal.SIGSTOP)  # so that both the lines and the signal wait for it
    names = [f"n{number}" for number in range(3000)]
    alice.sends("".join(f"g {name}\n" for name in names))
    daemon.gets(signal.SIGTERM).gets(signal.SIGCONT)
    alice.hears_bytes("".join(f"1 Lock Get Success: {name}\r\n" for name in names)).is_hung_up_on()
    assert daemon.ends() == 0


def test_a_client_that_does_not_read_does_not_hold_up_the_end(glockd: Spawner) -> None:
    daemon = glockd()
    alice = daemon.stream("unix")
    name = "n" * 4000
    alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    alice.sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(1000):
            alice.sock.send(b"dump\n" * 1000)
    daemon.gets(signal.SIGTERM)
    start = time.monotonic()
    assert daemon.ends() == 0
    assert time.monotonic() - start < PROMISED
    alice.sock.close()


def test_a_client_that_is_still_being_cleared_away_does_not_spoil_the_end(glockd: Spawner) -> None:
    daemon = glockd()
    alice, bob = daemon.stream(), daemon.stream("unix")
    many = 100_000  # clearing them away takes a hundred turns of the loop
    for start in range(0, many, 5000):
        alice.sends(b"".join(b"g lock-%d\n" % number for number in range(start, start + 5000)))
        for _ in range(5000):
            alice.receive_line()
    alice.sock.shutdown(socket.SHUT_WR)
    everything = f'"total":{many}'.encode()
    while everything in bob.says("find exclusive 0 1").hears_a_line():
        pass
    daemon.stop()  # the exit status is 0, and there is no traceback


def test_a_second_signal_does_no_harm(glockd: Spawner) -> None:
    daemon = glockd()
    daemon.stream().hangs_up()
    while daemon.is_running:
        daemon.gets(signal.SIGTERM)
    assert daemon.ends() == 0


def test_a_client_of_a_killed_daemon_knows_at_once(glockd: Spawner) -> None:
    daemon = glockd()
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.kill()
    alice.is_hung_up_on()


# What it says of itself


def test_a_fresh_daemon_shows_sixteen_counters(glockd: Spawner) -> None:
    alice = glockd().stream()
    names = ["d", "dump", "g", "i", "q", "r", "sd", "sg", "si", "sr"]
    lines = [f"command_{name}: {int(name == 'q')}" for name in names]
    lines += ["connections: 1", "invalid_commands: 0", "locks: 0", "orphans: 0", "shared_locks: 0"]
    lines += ["shared_orphans: 0"]
    alice.says("q").hears(*lines)
    alice.says("me").hears_a_line()
    lines[4] = "command_q: 2"
    lines.insert(4, "command_me: 1")
    alice.says("q").hears(*lines)
    alice.hangs_up()


def ready(daemon: Glockd) -> dict[str, object]:
    """What the daemon says of itself when it is ready."""
    daemon.wait_until_ready()
    found: dict[str, object] = json.loads(daemon.logs('"ready"'))
    return {name: value for name, value in found.items() if name not in ("event", "level", "timestamp")}


def test_the_ready_line_says_which_address_is_what(glockd: Spawner) -> None:
    daemon = glockd("-log-format", "json")
    tcp, ws = (f"{host}:{port}" for host, port in (daemon.tcp, daemon.ws))
    assert ready(daemon) == {
        "version": __version__,
        "tcp": [tcp],
        "unix": [str(daemon.unix)],
        "ws": [ws],
        "console": f"http://{ws}/",
    }


@pytest.mark.parametrize(
    ("flags", "console"),
    [
        (("-http", "127.0.0.1:0"), r"http://127\.0\.0\.1:\d+/"),
        (("-http", "0.0.0.0:0"), r"http://localhost:\d+/"),
        (("-console=false",), ""),
    ],
)
def test_the_ready_line_says_where_the_console_is(
    glockd: Spawner, flags: tuple[str, ...], console: str
) -> None:
    said = ready(glockd("-log-format", "json", *flags))
    assert re.fullmatch(console, str(said.get("console", "")))
    if console:
        assert str(said["console"]).rstrip("/").rpartition(":")[2] in str(said["http"])


def test_verbose_tells_who_did_what(glockd: Spawner) -> None:
    daemon = glockd("-verbose")
    alice, bob = daemon.stream(), daemon.stream("unix")
    alice.says("g the job").hears("1 Lock Get Success: the job")
    daemon.logs(alice.address, "the job")
    bob.says("sg pool").hears("1 Shared Lock Get Success: pool")
    daemon.logs("unix:1", "pool", "shared")
    alice.says("r the job").hears("1 Lock Release Success: the job")
    daemon.logs(alice.address, "the job", "released")
    alice.says("iam Alice").hears("1 ok")
    daemon.logs(alice.address, "Alice")
    alice.says("bogus words").says("me").hears_nothing().hears(f"1 {alice.address} Alice")
    daemon.logs(alice.address, "bogus words", "invalid")
    bob.hangs_up()
    daemon.logs("unix:1", "pool", "orphaned")
    daemon.logs("unix:1", "disconnected")
    alice.hangs_up()
    assert daemon.stdout == ""


def test_without_verbose_clients_leave_no_line(glockd: Spawner) -> None:
    daemon = glockd()
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job").hangs_up()
    daemon.stop()
    assert alice.address not in daemon.stderr


def test_the_log_can_be_json(glockd: Spawner) -> None:
    daemon = glockd("-verbose", "-log-format", "json")
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job").hangs_up()
    daemon.stop()
    records = [json.loads(line) for line in daemon.stderr.splitlines()]
    assert any(alice.address in record.values() and "job" in record.values() for record in records)


def test_the_log_can_hold_any_name(glockd: Spawner) -> None:
    daemon = glockd("-verbose")
    alice = daemon.stream()
    alice.sends(b"g \xff\x1b[31m \0\n").hears_bytes(b"1 Lock Get Success: \xff\x1b[31m \0\r\n").hangs_up()
    daemon.logs("orphaned", alice.address)
    assert "\x1b[31m" not in daemon.stderr  # a name never speaks to the operator's terminal
