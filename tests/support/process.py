"""The real glockd program as a process of its own, with sockets handed over as systemd does."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.clients import (
    PATIENCE,
    SocketClient,
    StreamClient,
    WebSocketClient,
    host_port,
    wait_until,
)

# sd_listen_fds(3): inherited descriptors start at 3, and LISTEN_PID is the process that is to take them; it
# is known only once the process is there, so this runs first in it. Descriptors are moved up before they are
# moved to their places, as one may be in another's place.
LAUNCH = """
import fcntl, os, sys
count = int(sys.argv[1])
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 3 + count + 100) for fd in sys.argv[2 : 2 + count]]
for place, fd in enumerate(fds, 3):
    os.dup2(fd, place, inheritable=True)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, sys.argv[2 + count :])
"""

STARTUP = 30.0  # seconds a process gets to start or to end on a machine that is busy


def environment(**changes: str) -> dict[str, str]:
    """This process' environment without what would configure a glockd, and with `changes`."""
    foreign = ("GLOCKD_", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "GLOCK_")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | changes


def glockd_command(*flags: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "glockd", *flags]


def run_glockd(
    *flags: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a glockd that is expected to end by itself, and tell how it did."""
    result = subprocess.run(
        glockd_command(*flags),
        env=environment(**(env or {})),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STARTUP,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result


def one_clear_line(text: str) -> str:
    """The only line of `text`, which names its problem in words."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


# The kernel gives these to nobody who asks for any port (ip(7): it begins at 32768), and each process of tests
# has its own.
PORTS = 400
_FIRST = 20000 + PORTS * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 30)
_upcoming = itertools.cycle(range(_FIRST, _FIRST + PORTS))


def free_port() -> int:
    """A TCP port that nobody has on any address of either family, and that no other test will get before it is used."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    for port in itertools.islice(_upcoming, PORTS):
        with (
            contextlib.suppress(OSError),
            socket.create_server(("", port), family=family, dualstack_ipv6=both),
        ):
            return port
    raise AssertionError(f"ports {_FIRST} to {_FIRST + PORTS - 1} are all taken")


class Glockd:
    """A running daemon.

    Attributes:
        tcp, tcp6, ws: where it listens, as (host, port), if those sockets were handed over.
        unix: the path of the Unix socket that was handed over.
        unix_count: how many Unix connections have been made, which is the number of the latest.
    """

    def __init__(
        self,
        folder: Path,
        *flags: str,
        listen: Sequence[str] = ("tcp", "unix", "ws"),
        env: Mapping[str, str] | None = None,
        stdio: int | None = None,
        through: Sequence[str] = (),
    ) -> None:
        """Start a daemon.

        Args:
            folder: an empty one, for its output and its Unix socket.
            flags: its command line, after `-port 0 -ws 0` if sockets are handed over.
            listen: which sockets to hand over; if none, the daemon has to bind by itself, and is ready
                when it says READY=1.
            env: additional environment.
            stdio: its standard error and input; otherwise the former is the file that `stderr` reads.
            through: a command that ends by turning into the one that is appended to it.
        """
        self.through = tuple(through)
        self.folder, self.flags, self.unix_count = folder, flags, 0
        self.listeners: list[tuple[str, socket.socket]] = []
        self.sockets: list[socket.socket] = []  # of its clients
        self.tcp = self.tcp6 = self.ws = ("", 0)
        self.unix = folder / "glockd.sock"
        for name in listen:
            self.bind(name)
        self.stderr_path, self.stdout_path = folder / "stderr", folder / "stdout"
        self.expected_status: int | None = 0
        changes = dict(env or {})
        self.notify = self.notify_socket()
        self.is_ready = False
        changes.setdefault("NOTIFY_SOCKET", str(folder / "notify"))
        with self.stderr_path.open("wb") as stderr, self.stdout_path.open("wb") as stdout:
            self.process = subprocess.Popen(
                self.command(),
                env=environment(**self.listen_environment(), **changes),
                cwd=folder,
                stdin=subprocess.DEVNULL if stdio is None else stdio,
                stdout=stdout,
                stderr=stderr if stdio is None else stdio,
                pass_fds=[sock.fileno() for _, sock in self.listeners],
            )
        for _, sock in self.listeners:
            sock.close()
        if not self.listeners:
            self.wait_until_ready()

    # How it starts

    def bind(self, name: str) -> None:
        if name == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(str(self.unix))
        elif name == "tcp6":
            sock = socket.socket(socket.AF_INET6)
            sock.bind(("::1", 0))
            self.tcp6 = sock.getsockname()[:2]
        else:
            sock = socket.socket(socket.AF_INET)
            sock.bind(("127.0.0.1", 0))
            if name == "ws":
                self.ws = sock.getsockname()
            else:
                self.tcp = sock.getsockname()
        sock.listen(512)
        self.listeners.append((name.rstrip("6"), sock))

    def command(self) -> list[str]:
        if not self.listeners:
            return [*self.through, *glockd_command(*self.flags)]
        fds = [str(sock.fileno()) for _, sock in self.listeners]
        # -I -S: this only gets the real program going, and needs no site-packages for it.
        launcher = [*self.through, sys.executable, "-I", "-S", "-c", LAUNCH, str(len(fds)), *fds]
        return launcher + glockd_command("-port", "0", "-ws", "0", *self.flags)

    def listen_environment(self) -> dict[str, str]:
        if not self.listeners:
            return {}
        names = ":".join(name for name, _ in self.listeners)
        return {"LISTEN_FDS": str(len(self.listeners)), "LISTEN_FDNAMES": names}

    def notify_socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(str(self.folder / "notify"))
        sock.settimeout(0.1)
        return sock

    def wait_until_ready(self) -> None:
        """Wait for READY=1 (sd_notify(3)), or for the process to end."""
        deadline = time.monotonic() + STARTUP
        while not self.is_ready and time.monotonic() < deadline and self.is_running:
            with contextlib.suppress(TimeoutError):
                self.is_ready = "READY=1" in self.notify.recv(4096).decode().split("\n")
        if self.is_ready:
            return
        self.kill()
        raise AssertionError(
            f"glockd {self.flags} is not ready, status {self.process.poll()}:\n{self.stderr}"
        )

    # Clients

    def connect(self, transport: str) -> SocketClient:
        """A new client; a websocket one has yet to open (see `client`)."""
        if transport == "unix":
            sock = socket.socket(socket.AF_UNIX)
            self.sockets.append(sock)
            sock.settimeout(PATIENCE)
            sock.connect(str(self.unix))
            self.unix_count += 1
            return StreamClient(sock, f"unix:{self.unix_count}", transport)
        where = {"tcp": self.tcp, "tcp6": self.tcp6, "websocket": self.ws}[transport]
        sock = socket.create_connection(where, PATIENCE)
        self.sockets.append(sock)
        address = host_port(sock.getsockname())
        if transport == "websocket":
            return WebSocketClient(sock, address)
        return StreamClient(sock, address, transport)

    def web(self) -> WebSocketClient:
        """A connection to the websocket port on which nothing has been said yet."""
        client = self.connect("websocket")
        assert isinstance(client, WebSocketClient)
        return client

    def stream(self, transport: str = "tcp") -> StreamClient:
        client = self.connect(transport)
        assert isinstance(client, StreamClient)
        return client

    def client(self, transport: str = "tcp") -> SocketClient:
        client = self.connect(transport)
        return client.opens() if isinstance(client, WebSocketClient) else client

    # What it says and how it ends

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text("utf-8", "replace")

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def logs(self, *words: str) -> str:
        """Wait for a line on standard error that has all `words`, and return it."""

        def found() -> list[str]:
            return [line for line in self.stderr.splitlines() if all(word in line for word in words)]

        wait_until(found, about=lambda: f"no line with {words} in:\n{self.stderr}")
        return found()[0]

    def gets(self, signal_number: signal.Signals) -> Self:
        """Send a signal; by the pid of the process that this object started."""
        self.process.send_signal(signal_number)
        return self

    def ends(self, within: float = STARTUP) -> int:
        """Wait for the process to end and return its exit status (negative: the signal that killed it)."""
        return self.process.wait(within)

    def kill(self) -> None:
        """End the process at once, as a power cut would; whatever it had to remove stays."""
        if self.is_running:
            self.process.kill()
        self.process.wait()
        self.expected_status = None

    def forget_clients(self) -> None:
        """Close whatever connections are left on this side."""
        for sock in [*self.sockets, self.notify]:
            sock.close()

    def stop(self) -> None:
        """End the process as an operator would; it has to end well."""
        if self.is_running:
            self.wait_until_ready()  # before that, a signal is not handled yet
            self.process.terminate()
        try:
            status = self.process.wait(STARTUP)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"glockd did not end:\n{self.stderr}") from None
        finally:
            self.forget_clients()
        assert "Traceback" not in self.stderr, self.stderr
        if self.expected_status is not None:
            assert status == self.expected_status, f"exit status {status}:\n{self.stderr}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Spawner:
    """Starts daemons that are the test's own: `glockd("-verbose")`; see `Glockd` for the arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Glockd] = []

    def __call__(self, *flags: str, listen: tuple[str, ...] = ("tcp", "unix", "ws"), **env: str) -> Glockd:
        return self.start(Glockd(self.room(), *flags, listen=listen, env=env))

    def within(self, stdio: int | None, *flags: str, through: Sequence[str] = ()) -> Glockd:
        """Start one with a standard error that is special, or by way of a command."""
        return self.start(Glockd(self.room(), *flags, stdio=stdio, through=through))

    def room(self) -> Path:
        folder = self.folder / f"glockd-{len(self.processes)}"
        folder.mkdir()
        return folder

    def start(self, daemon: Glockd) -> Glockd:
        self.processes.append(daemon)
        return daemon
