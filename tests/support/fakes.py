"""Servers for the tests of clients: the real daemon as a process, and a stand-in for the original glockd."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from glock import AsyncLock, Lock

from tests.support.process import Glockd

SECONDS = 10.0  # how long a fact may take to come true


def until(fact: Callable[[], Any], what: str = "") -> Any:
    """Wait for `fact` to be true, and return it."""
    deadline = time.monotonic() + SECONDS
    while not (value := fact()):
        assert time.monotonic() < deadline, what or f"not within {SECONDS:g} s"
        time.sleep(0.005)
    return value


def token_of(lock: Lock | AsyncLock) -> int:
    """Its token; every exclusive lock of the daemon has one."""
    assert lock.token is not None
    return lock.token


class Daemon(Glockd):
    """A glockd process, with its addresses as clients spell them."""

    def __init__(self, folder: Path, *flags: str, port: int = 0) -> None:
        self.wanted_port = port
        super().__init__(folder, *flags)

    def bind(self, name: str) -> None:
        if name != "tcp":
            super().bind(name)
            return
        sock = socket.create_server(("127.0.0.1", self.wanted_port))
        self.tcp = sock.getsockname()
        self.listeners.append((name, sock))

    @property
    def port(self) -> int:
        return self.tcp[1]

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.unix}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.ws[1]}/"

    def url_of(self, transport: str) -> str:
        return {"tcp": self.url, "unix": self.unix_url, "ws": self.ws_url}[transport]


@contextlib.contextmanager
def daemon(folder: Path, *flags: str, port: int = 0) -> Iterator[Daemon]:
    """A daemon that has to end well, unless the test kills it.

    Args:
        port: the TCP port of one that was killed before, to take its place.
    """
    folder = folder / f"glockd-{len(list(folder.iterdir()))}"
    folder.mkdir()
    with Daemon(folder, *flags, port=port) as running:
        yield running


class Original:
    """Speaks the original's old verbs and has its deviation 1: of what one read brings, only the first line
    counts.

    The rest of the read is gone, and unknown words get no answer at all. A stand-in, since the original needs
    an old Go: what it says follows PROTOCOL.md, which was recorded from the original.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.mutex = threading.Lock()
        self.exclusive: dict[bytes, socket.socket] = {}
        self.shared: dict[bytes, list[socket.socket]] = {}
        self.names: dict[socket.socket, bytes] = {}
        self.lines: list[bytes] = []  # all that were carried out
        self.open: set[socket.socket] = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.open.add(sock)
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := sock.recv(4096):
                pending += data
                line, found, _ = pending.partition(b"\n")
                if found:
                    pending = b""
                    self.lines.append(line)
                    verb, _, argument = line.strip().partition(b" ")
                    with self.mutex:
                        reply = self.answer(sock, verb, b" ".join(argument.split()))
                    if reply:
                        sock.sendall(reply)
        with self.mutex:
            self.exclusive = {name: holder for name, holder in self.exclusive.items() if holder is not sock}
            for holders in self.shared.values():
                if sock in holders:
                    holders.remove(sock)
            self.names.pop(sock, None)
            self.open.discard(sock)
        sock.close()

    def answer(self, sock: socket.socket, verb: bytes, name: bytes) -> bytes:
        holder = self.exclusive.get(name)
        sharers = self.shared.get(name, [])
        match verb:
            case b"g":
                if holder is None:
                    self.exclusive[name] = sock
                    return b"1 Lock Get Success: " + name + b"\r\n"
                return (
                    b"1 Lock Get Success: " + name + b"\n"
                    if holder is sock
                    else b"0 Lock Get Failure: " + name + b"\r\n"
                )
            case b"i":
                if holder is None:
                    return b"0 Lock Not Locked: " + name + b"\r\n"
                return b"1 Lock Is Locked: " + name + (b"\n" if holder is sock else b"\r\n")
            case b"r":
                if holder is sock:
                    del self.exclusive[name]
                    return b"1 Lock Release Success: " + name + b"\n"
                return b"0 Lock Release Failure: " + name + b"\n"
            case b"sg":
                sharers = self.shared.setdefault(name, [])
                if sock not in sharers:
                    sharers.append(sock)
                return b"%d Shared Lock Get Success: %s\r\n" % (len(sharers), name)
            case b"si":
                what = b"Is" if sharers else b"Not"
                return b"%d Shared Lock %s Locked: %s\r\n" % (len(sharers), what, name)
            case b"sr":
                if sock in sharers:
                    sharers.remove(sock)
                    return b"1 Shared Lock Release Success: " + name + b"\r\n"
                return b"0 Shared Lock Release Failure: " + name + b"\r\n"
            case b"d":
                held = self.exclusive.items() if not name else [(name, holder)] if holder else []
                return b"".join(lock + b": " + self.called(who) + b"\n" for lock, who in held)
            case b"sd":
                locks = [name] if name else list(self.shared)
                return b"".join(
                    lock + b": " + self.called(who) + b"\n"
                    for lock in locks
                    for who in self.shared.get(lock, [])
                )
            case b"iam":
                self.names[sock] = name
                return b"1 ok\n"
            case b"me":
                return b"1 " + self.address(sock) + b" " + self.called(sock) + b"\n"
            case b"who":
                return b"".join(
                    self.address(who) + b": " + given + b"\n"
                    for who, given in self.names.items()
                    if name in (b"", given)
                )
            case b"q":
                counters = {"connections": len(self.open), "locks": len(self.exclusive), "shared_orphans": 0}
                return b"".join(f"{key}: {value}\n".encode() for key, value in sorted(counters.items()))
        return b""

    def address(self, sock: socket.socket) -> bytes:
        return "{}:{}".format(*sock.getpeername()).encode()

    def called(self, sock: socket.socket) -> bytes:
        return self.names.get(sock) or self.address(sock)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in list(self.open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
