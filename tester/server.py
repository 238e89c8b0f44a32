"""A server of the tester's own: started on free loopback ports, ended by its process id."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .addresses import Address
from .errors import CannotTest
from .peers import Ended, connect

GLOCKD = (sys.executable, "-m", "glockd")
# sd_listen_fds(3): inherited descriptors start at 3, and LISTEN_PID is the process that is to use them.
HAND_OVER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
for to, fd in enumerate([os.dup(fd) for fd in fds], 100):
    os.dup2(fd, to)
for to in range(len(fds)):
    os.dup2(100 + to, 3 + to, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))
os.closerange(3 + len(fds), 1 << 20)
if sys.argv[2] != "-":
    os.sched_setaffinity(0, {int(sys.argv[2])})
os.execvp(sys.argv[3], sys.argv[3:])
"""


class NotStarted(CannotTest):
    """The server has not come up; the text is what it said."""


class Program:
    """A program that this process starts and ends, and what it writes."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Start nothing yet.

        Args:
            command: the program and what comes before its options.
            log: the file for what it writes; what is in it already stays.
        """
        self.command, self.log = list(command), log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self.process is None:
            raise NotStarted("the server is not running")
        return self.process.pid

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], *, pass_fds: Sequence[int] = ()
    ) -> None:
        """Start `command`, with these variables besides our own that do not configure a glockd."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=pass_fds,
                env={**_own_environment(), **environment},
            )

    def complaint(self, otherwise: str) -> str:
        """What it has written, or else `otherwise`, as the reason why it does not answer."""
        said = self.log.read_text("utf-8", "replace").strip()
        return f"{shlex.join(self.command)} does not answer: {said or otherwise}"

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """SIGTERM; the exit code (killed after 10 s: -9)."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        return code


class LocalServer(Program):
    """A glockd that this process started and ends; use it as a context manager.

    The sockets are bound here and handed over as systemd would: the ports are known, nothing sleeps, and a
    server that is killed and started again has the same addresses.
    """

    def __init__(
        self,
        options: Sequence[str] = (),
        *,
        command: Sequence[str] = GLOCKD,
        core: int | None = None,
        environment: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """Bind the sockets and start.

        Args:
            options: flags for the server, beside the ones that this class gives.
            command: the program and what comes before its options.
            core: the only processor that it may use, if it is to be pinned.
            environment: variables for it, besides this process' own.
            host: where it listens on TCP and websocket; a loopback address means 127.0.0.1 and ::1.

        Raises:
            NotStarted: it ended or did not answer within 20 s.
        """
        self.folder = tempfile.TemporaryDirectory(prefix="glockd-tester-")
        unix_path = str(Path(self.folder.name, "glockd.sock"))
        tcp6 = None
        if host == "127.0.0.1":
            tcp, tcp6 = _listen_on_both_loopbacks()
        else:
            tcp = _listen(socket.AF_INET, (host, 0))
        ws = _listen(socket.AF_INET, (host, 0))
        unix = _listen(socket.AF_UNIX, unix_path)
        self.sockets = [("tcp", tcp), ("unix", unix), ("ws", ws)]
        if tcp6 is not None:
            self.sockets.insert(1, ("tcp", tcp6))
        self.tcp = Address("tcp", host, tcp.getsockname()[1])
        self.ws = Address("ws", host, ws.getsockname()[1], "/")
        self.unix = Address("unix", path=unix_path)
        self.options, self.core = list(options), core
        self.environment = dict(environment or {})
        super().__init__(command, Path(self.folder.name, "log"))
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it (again) and wait until it answers. Raises NotStarted."""
        fds = ",".join(str(sock.fileno()) for _, sock in self.sockets)
        core = "-" if self.core is None else str(self.core)
        command = [sys.executable, "-I", "-S", "-c", HAND_OVER, fds, core, *self.command]
        names = ":".join(name for name, _ in self.sockets)
        self.run(
            [*command, "-port", "0", "-ws", "0", *self.options],
            {"LISTEN_FDNAMES": names} | self.environment,
            pass_fds=[sock.fileno() for _, sock in self.sockets],
        )
        try:
            answers = self._answers(20.0)
        except (OSError, Ended) as problem:
            raise NotStarted(self.complaint(str(problem))) from problem
        if not answers:
            raise NotStarted(self.complaint("it is silent"))

    def _answers(self, timeout: float) -> bool:
        """Wait for its first reply, or its end."""
        deadline = time.monotonic() + timeout
        with connect(self.tcp, timeout) as peer:
            peer.send(b"i glockd-tester\n")
            while self.process is not None and self.process.poll() is None and time.monotonic() < deadline:
                if peer.receive_line(0.1) is not None:
                    return True
        return False

    def close(self) -> None:
        """End it and give everything back."""
        self.stop()
        for _, sock in self.sockets:
            sock.close()
        self.folder.cleanup()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _own_environment() -> dict[str, str]:
    """This process' environment without what would configure a glockd."""
    foreign = ("GLOCKD_", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)}


def _listen(family: socket.AddressFamily, address: tuple[str, int] | str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind(address)
        sock.listen(4096)
    except OSError:
        sock.close()
        raise
    return sock


def _listen_on_both_loopbacks() -> tuple[socket.socket, socket.socket | None]:
    """Listeners on 127.0.0.1 and ::1 with one port; without IPv6 only the first."""
    for _ in range(20):
        tcp = _listen(socket.AF_INET, ("127.0.0.1", 0))
        try:
            return tcp, _listen(socket.AF_INET6, ("::1", tcp.getsockname()[1]))
        except OSError:
            if not _has_ipv6():
                return tcp, None
            tcp.close()
    raise OSError("no port is free on both 127.0.0.1 and ::1")


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError):
        _listen(socket.AF_INET6, ("::1", 0)).close()
        return True
    return False
