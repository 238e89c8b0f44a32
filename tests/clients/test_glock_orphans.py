"""Who has come to an end well leaves no orphan: a lock is released before `glock` ends, unless others have it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from glock import Client
from glock.cli.heirs import Heirs

from tests.clients.test_glock_run import Terminal, alive, glock, started
from tests.support.fakes import SECONDS, Daemon, daemon, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("orphans"), "-admin", "-history", "1000") as running:
        yield running


@pytest.fixture
def observer(server: Daemon) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return str(request.node.name)


class Orphans:
    """How many there are of a name, in the history, and of any, in the counters."""

    def __init__(self, observer: Client, name: str) -> None:
        self.observer, self.name = observer, name
        self.before = self.counted()

    def counted(self) -> int:
        stats = self.observer.stats()
        return stats["orphans"] + stats["shared_orphans"]

    def are(self, wanted: int) -> None:
        until(lambda: not self.observer.inspect(self.name) and not self.observer.inspect_shared(self.name))
        events = [each["event"] for each in self.observer.history(self.name)]
        assert events.count("orphaned") == wanted, events
        assert events.count("released") == events.count("granted") - wanted, events
        assert self.counted() - self.before == wanted


@pytest.fixture
def orphans(observer: Client, name: str) -> Orphans:
    return Orphans(observer, name)


@pytest.mark.parametrize("door", ["tcp", "unix", "ws"])
@pytest.mark.parametrize(
    "options",
    [[], ["-o"], ["--read"], ["-s", "2"], ["--foreground"], ["-w", "9"]],
    ids=lambda options: " ".join(options) or "plain",
)
def test_a_command_that_ends_leaves_no_orphan(
    server: Daemon, orphans: Orphans, name: str, door: str, options: list[str]
) -> None:
    assert glock(server.url_of(door), "run", *options, name, "--", "true").returncode == 0
    orphans.are(0)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["false"], 1),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["/no/such/command"], 127),
        (["/etc/passwd"], 126),
        (["bash", "-c", "exec {GLOCK_FD}>&-; exit 3"], 3),
    ],
    ids=["fails", "killed", "none", "no program", "closes the connection"],
)
def test_nor_does_one_that_ends_badly(
    server: Daemon, orphans: Orphans, name: str, command: list[str], status: int
) -> None:
    assert glock(server.url, "run", name, "--", *command).returncode == status
    orphans.are(0)


def test_the_lock_is_free_when_glock_has_ended(server: Daemon, name: str) -> None:
    for _ in range(10):
        assert glock(server.url, "run", "-n", name, "--", "true").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_that_are_passed_on_leave_no_orphan(
    server: Daemon, orphans: Orphans, name: str, number: signal.Signals
) -> None:
    with started(server.url, "run", name, "--", "sh", "-c", "echo ready; exec sleep 60") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number
    orphans.are(0)


def test_control_c_leaves_no_orphan(server: Daemon, orphans: Orphans, name: str) -> None:
    command = [sys.executable, "-m", "glock", "run", name, "--", "sh", "-c", "echo ready; exec sleep 60"]
    terminal = Terminal(*command, GLOCK_SERVER=server.url)
    assert terminal.shows("ready").types("\x03").ends() == -signal.SIGINT
    orphans.are(0)


def test_one_that_is_killed_does(server: Daemon, orphans: Orphans, name: str) -> None:
    with started(server.url, "run", "-o", name, "--", "sh", "-c", "echo $$; exec sleep 60") as process:
        command = int(process.stdout.readline())
        process.kill()
        process.wait()
        os.kill(command, signal.SIGKILL)
    orphans.are(1)


def test_one_that_becomes_the_command_does(server: Daemon, orphans: Orphans, name: str) -> None:
    assert glock(server.url, "run", "-F", name, "--", "true").returncode == 0
    orphans.are(1)


def test_get_leaves_no_orphan(server: Daemon, orphans: Orphans, name: str) -> None:
    with started(server.url, "get", name) as process:
        assert process.stdout.readline()
        process.stdin.close()
        assert process.wait(SECONDS) == 0
    orphans.are(0)


def test_get_that_is_interrupted_leaves_no_orphan(server: Daemon, orphans: Orphans, name: str) -> None:
    with started(server.url, "get", name) as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
    orphans.are(0)


# Heirs: the command has ended, and others have its connection

BACKGROUND = "(echo $(exec sh -c 'echo $PPID'); read line <&9) & exit 4"
GIVEN = """
import os, subprocess, sys
fd = int(os.environ["GLOCK_FD"])
helper = subprocess.Popen(["sh", "-c", "echo $$; exec 9<&0; read line"], pass_fds=[fd])
sys.stdout.flush()
helper.returncode = 0
os._exit(4)
"""


@pytest.mark.parametrize(
    "command",
    [["sh", "-c", f"exec 9<&0; {BACKGROUND}"], [sys.executable, "-c", GIVEN]],
    ids=["all that the command has", "the connection alone"],
)
@pytest.mark.parametrize("door", ["tcp", "unix"])
def test_an_heir_keeps_the_lock_when_the_command_has_ended(
    server: Daemon, observer: Client, name: str, command: list[str], door: str
) -> None:
    with started(server.url_of(door), "run", name, "--", *command) as process:
        heir = int(process.stdout.readline())
        assert process.wait(SECONDS) == 4
        assert observer.inspect(name)
        assert alive(heir)
        process.types("\n")
        until(lambda: not observer.inspect(name))


def test_who_has_closed_the_connection_is_no_heir(
    server: Daemon, observer: Client, orphans: Orphans, name: str
) -> None:
    """As one starts a service from a script that holds a lock: flock(1)'s `9>&-`."""
    ended = "while kill -0 $$ 2>/dev/null; do sleep 0.01; done"
    service = f"(exec {{GLOCK_FD}}>&-; echo $BASHPID; {ended}; read line <&50)"
    # The script goes on when the service has closed what it was given.
    script = f"exec 50<&0; {service} & read line; exit 4"
    with started(server.url, "run", name, "--", "bash", "-c", script) as process:
        helper = int(process.stdout.readline())
        process.types("\n")
        assert process.wait(SECONDS) == 4
        assert not observer.inspect(name)
        assert alive(helper)
        orphans.are(0)
        process.types("\n")
        until(lambda: not alive(helper))


@pytest.mark.parametrize(
    ("kept", "are_there"), [("both", True), ("connection", True), ("pipe", False), ("none", False)]
)
def test_heirs_are_those_who_have_the_connection(kept: str, are_there: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        heirs = Heirs(ours.fileno())
        connection, pipe = fds = heirs.pass_fds()
        given = {"both": fds, "connection": [connection], "pipe": [pipe], "none": []}[kept]
        process = subprocess.Popen(["sleep", "60"], pass_fds=given)
        try:
            heirs.given(fds)
            assert heirs.are_there() is are_there
        finally:
            process.kill()
            process.wait()
        assert not heirs.are_there()
        heirs.close()


def test_without_proc_who_keeps_the_pipe_is_an_heir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glock.cli.heirs._link", lambda fd: None)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        heirs = Heirs(ours.fileno())
        fds = heirs.pass_fds()
        process = subprocess.Popen(["sleep", "60"], pass_fds=fds)
        try:
            heirs.given(fds)
            assert heirs.are_there()
        finally:
            process.kill()
            process.wait()
        assert not heirs.are_there()
        heirs.close()
