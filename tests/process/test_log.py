"""Whatever takes the log may stop, be full or be gone: clients are served, and SIGTERM ends the daemon."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import socket
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.http import ask, samples
from tests.support.process import Glockd, Spawner

PROMISED = 5.0  # seconds within which a daemon ends that is told to
ENOUGH = 3000  # lines that fill any of them: some 300 KB, the queue besides


class Reader:
    """Where a log leads, and the end that takes it."""

    def __init__(self, kind: str) -> None:
        match kind:
            case "pipe":
                self.end, self.log = os.pipe()
                fcntl.fcntl(self.log, fcntl.F_SETPIPE_SZ, 16384)
            case "terminal" | "stopped terminal":
                self.end, self.log = pty.openpty()
                if kind.startswith("stopped"):
                    termios.tcflow(self.log, termios.TCOOFF)  # Ctrl-S
            case "socket":
                self.end, self.log = (sock.detach() for sock in socket.socketpair())
            case "full disk":
                self.end, self.log = -1, os.open("/dev/full", os.O_WRONLY)

    def takes(self, most: int = 1 << 20) -> str:
        return os.read(self.end, most).decode()

    def leave(self) -> None:
        """Only the daemon writes from now on: the reader hears its end."""
        os.close(self.log)
        self.log = -1

    def close(self) -> None:
        for descriptor in {self.end, self.log} - {-1}:
            os.close(descriptor)
        self.end = self.log = -1


@pytest.fixture
def reader() -> Iterator[Callable[[str], Reader]]:
    readers: list[Reader] = []

    def make(kind: str) -> Reader:
        readers.append(Reader(kind))
        return readers[-1]

    yield make
    for one in readers:
        one.close()


def talk(daemon: Glockd, flags: tuple[str, ...]) -> None:
    """Make the log speak at its level, far more than fits anywhere."""
    alice = daemon.stream()
    if "-verbose" in flags:
        for number in range(ENOUGH):
            alice.says(f"g {number}").hears(f"1 Lock Get Success: {number}")
        return
    # Without -verbose a reload that fails is an error with a reason, at every level.
    for number in range(ENOUGH // 20):
        daemon.gets(signal.SIGHUP)
        alice.says(f"g {number}").hears(f"1 Lock Get Success: {number}")


def lost(daemon: Glockd) -> float:
    return samples(ask(daemon.ws, "/metrics").text)["glockd_lost_log_lines_total"]


def ends(daemon: Glockd) -> None:
    daemon.wait_until_ready()
    began = time.monotonic()
    daemon.gets(signal.SIGTERM)
    assert daemon.ends() == 0
    assert time.monotonic() - began < PROMISED


@pytest.mark.parametrize("kind", ["pipe", "terminal", "stopped terminal", "socket", "full disk"])
@pytest.mark.parametrize("flags", [("-verbose",), ("-log-level", "error")], ids=["verbose", "error"])
def test_a_log_that_is_not_taken_stops_nobody(
    glockd: Spawner, reader: Callable[[str], Reader], tmp_path: Path, kind: str, flags: tuple[str, ...]
) -> None:
    log = reader(kind)
    config = tmp_path / f"{'x' * 200}.toml"  # its name stands in the reason
    config.touch()
    settings = fcntl.fcntl(log.log, fcntl.F_GETFL)
    daemon = glockd.within(log.log, "-config", str(config), *flags)
    daemon.wait_until_ready()
    config.unlink()
    talk(daemon, flags)
    assert fcntl.fcntl(log.log, fcntl.F_GETFL) == settings  # the shell shares it
    if "-verbose" in flags:
        assert lost(daemon) > 0
    ends(daemon)


def test_a_log_whose_reader_is_gone_stops_nobody(glockd: Spawner, reader: Callable[[str], Reader]) -> None:
    log = reader("pipe")
    daemon = glockd.within(log.log, "-verbose")
    log.close()
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    assert lost(daemon) >= 1
    ends(daemon)


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_standard_error_stops_nobody(glockd: Spawner, closed: str) -> None:
    daemon = glockd.within(None, "-verbose", through=("bash", "-c", f'exec "$@" {closed}', "bash"))
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    for number in range(3):
        # Else a socket would have that number, and get what is written to standard error.
        assert os.readlink(f"/proc/{daemon.pid}/fd/{number}").startswith(("/dev/null", str(daemon.folder)))
    ends(daemon)


@pytest.mark.parametrize("form", ["console", "json"])
def test_lost_lines_are_told_when_the_log_is_back(
    glockd: Spawner, reader: Callable[[str], Reader], form: str
) -> None:
    log = reader("pipe")
    daemon = glockd.within(log.log, "-verbose", "-log-format", form)
    log.leave()
    talk(daemon, ("-verbose",))
    seen = ""
    while "log lines were lost" not in seen:
        seen += log.takes()
    lines = seen.splitlines()
    place = next(place for place, line in enumerate(lines) if "log lines were lost" in line)
    told = lines[place]
    count = json.loads(told)["lines"] if form == "json" else int(re.findall(r"lines=(\d+)", told)[0])
    # configuration, ready, connected and the grants: each is there or counted.
    assert place + count == 3 + ENOUGH
    assert lost(daemon) == count
    daemon.stream().says("g at last").hears("1 Lock Get Success: at last")
    while "at last" not in seen:
        seen += log.takes()
    assert seen.count("log lines were lost") == 1


def test_a_background_daemon_is_not_stopped_by_its_terminal(glockd: Spawner) -> None:
    """`stty tostop`: whoever is in the background and writes to the terminal gets SIGTTOU."""
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] |= termios.TOSTOP
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    # A shell with job control in a session of its own, and the daemon in its background.
    script = 'set -m; "$@" & echo $! >pid; wait'
    daemon = glockd.within(slave, "-verbose", through=("setsid", "-c", "bash", "-c", script, "bash"))
    os.close(slave)
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    pid = int((daemon.folder / "pid").read_text())
    assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "SR"
    os.kill(pid, signal.SIGTERM)
    daemon.ends()
    daemon.expected_status = None
    os.close(master)
