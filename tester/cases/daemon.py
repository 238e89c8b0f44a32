"""The daemon that cases are played to: its ports stay the same when it is ended and started again."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..server import GLOCKD, NotStarted, Program

HOST = "127.0.0.1"
PATIENCE = 20.0  # seconds until a daemon that has not come up counts as broken
POLL = 0.01  # seconds between two looks whether it has


class Daemon(Program):
    """A daemon with some of its listeners on ports of our own; use it as a context manager."""

    def __init__(
        self,
        options: Sequence[str],
        listeners: Iterable[str],
        folder: Path,
        *,
        command: Sequence[str] = GLOCKD,
        port: int = 0,
    ) -> None:
        """Take ports for it, and start it.

        Args:
            options: its options but for the listeners.
            listeners: the options that name an address each, as `-ldlm`.
            folder: for its log.
            command: the program and what comes before its options.
            port: for the first listener; 0: any.

        Raises:
            NotStarted: it ended, or does not listen within PATIENCE.
            OSError: the port is taken.
        """
        super().__init__(command, folder / f"log-{secrets.token_hex(4)}")
        self.options = list(options)
        self.ports: dict[str, socket.socket] = {}
        try:
            for listener in listeners:
                self.ports[listener] = _reserved(0 if self.ports else port)
            self.start()
        except BaseException:
            self.close()
            raise

    def address(self, listener: str) -> tuple[str, int]:
        """Host and port of a listener."""
        host, port = self.ports[listener].getsockname()
        return str(host), int(port)

    def start(self) -> None:
        """Start it (again), and wait until it listens everywhere. Raises NotStarted."""
        places = [(listener, "{}:{}".format(*self.address(listener))) for listener in self.ports]
        words = [word for place in places for word in place]
        self.run([*self.command, "-port", "0", "-ws", "0", *words, *self.options], {})
        deadline = time.monotonic() + PATIENCE
        for listener in self.ports:
            while not self._listens(listener):
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    raise NotStarted(self._last_words(listener))
                time.sleep(POLL)

    def _last_words(self, listener: str) -> str:
        said = self.log.read_text("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "it says nothing")
        return f"the daemon does not listen for {listener}: {last}"

    def _listens(self, listener: str) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(self.address(listener), PATIENCE).close()
            return True
        return False

    def close(self) -> None:
        """End it, and give its ports back."""
        self.kill()
        for sock in self.ports.values():
            sock.close()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reserved(port: int) -> socket.socket:
    """A socket that has a port and does not listen.

    socket(7), SO_REUSEADDR: as long as nobody listens, others with that option may have the port too. So the
    daemon gets it, also after its end and new start, and nobody is given it as a free one in between.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    return sock
