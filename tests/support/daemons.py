"""A daemon as a test sees it: clients of one transport, and counters since the test began."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from tests.support.clients import Client, StreamClient, WebSocketClient, wait_until
from tests.support.process import Glockd

# PROTOCOL: `q` always shows these; of the other commands only those that have been used.
ALWAYS_COUNTED = (
    *(f"command_{verb}" for verb in ("d", "dump", "g", "i", "q", "r", "sd", "sg", "si", "sr")),
    *("connections", "invalid_commands", "locks", "orphans", "shared_locks", "shared_orphans"),
)
GAUGES = ("connections", "locks", "shared_locks")


def counters(reply: bytes) -> dict[str, int]:
    """The counters in a reply to `q`, which must be well-formed and sorted."""
    assert re.fullmatch(rb"(?:\w+: \d+\n)+", reply), reply
    pairs = [line.split(": ") for line in reply.decode().splitlines()]
    values = {key: int(value) for key, value in pairs}
    assert list(values) == sorted(values)
    assert set(ALWAYS_COUNTED) <= set(values)
    return values


class Observer:
    """A client beside those of the test, that only ever asks for the counters."""

    def __init__(self, client: Client) -> None:
        self.client, self.asked = client, 0

    def counters(self, line: str = "q") -> dict[str, int]:
        self.asked += 1
        self.client.says(line)
        self.client.asked.clear()
        reply = b""
        while not re.search(rb"^shared_orphans: \d+\n\Z", reply, re.MULTILINE):
            reply += self.client.receive_line()
            assert reply, "the daemon has hung up"
        return counters(reply)


class Daemon(Protocol):
    """What the `daemon` fixture gives."""

    transport: str

    def client(self, transport: str | None = None) -> Client:
        """A new client, on the transport under test or another one."""

    def counts(self, **changes: int) -> None:
        """Wait until these counters of `q` have changed by so much since the test began.

        `connections`, `locks` and `shared_locks` tell how many the test has open and held.
        """


class ProcessDaemon:
    """A running glockd, shared by many tests one after another."""

    def __init__(self, process: Glockd, transport: str) -> None:
        self.process, self.processes, self.transport = process, [process], transport
        self.clients: list[Client] = []
        self.observer = Observer(process.client("tcp"))
        self.before: dict[str, int] = {}
        try:
            wait_until(self.is_deserted, about=lambda: self.before)
        except AssertionError:
            self.abandon()
            raise
        self.asked_before = self.observer.asked

    def is_deserted(self) -> bool:
        """Whether nobody but the observer is there; an earlier test's clients may have left just now."""
        self.before = self.observer.counters()
        return [self.before[key] for key in GAUGES] == [1, 0, 0]

    def client(self, transport: str | None = None) -> Client:
        client = self.process.client(transport or self.transport)
        self.clients.append(client)
        return client

    def stream(self, transport: str | None = None) -> StreamClient:
        """A new client that can send any bytes."""
        client = self.process.stream(transport or self.transport)
        self.clients.append(client)
        return client

    def web(self) -> WebSocketClient:
        """A connection to the websocket port, on which nothing has been said yet."""
        client = self.process.web()
        self.clients.append(client)
        return client

    def websocket(self, headers: Mapping[str, str | None] | None = None) -> WebSocketClient:
        """A new client that can send any frames."""
        return self.web().opens(headers=headers)

    def changes(self) -> dict[str, int]:
        """Counters as the test's own clients made them."""
        now = self.observer.counters()
        found = {key: value - self.before.get(key, 0) for key, value in now.items()}
        found["command_q"] -= self.observer.asked - self.asked_before
        return found

    def counts(self, **changes: int) -> None:
        seen: dict[str, int] = {}

        def so() -> bool:
            seen.update(self.changes())
            return all(seen.get(key, 0) == value for key, value in changes.items())

        wait_until(so, about=lambda: {key: seen.get(key, 0) for key in changes} | {"wanted": changes})

    def abandon(self) -> None:
        """Drop all connections, as the test has failed already."""
        for client in [*self.clients, self.observer.client]:
            if client.is_open:
                client.vanishes()

    def ends(self) -> None:
        """Every client hangs up, has heard all that it was told, and leaves nothing behind."""
        try:
            for client in self.clients:
                if client.is_open:
                    client.hangs_up()
            self.counts(connections=0, locks=0, shared_locks=0)
            self.observer.client.hangs_up()
        finally:
            self.abandon()
        assert self.process.is_running
        assert "Traceback" not in self.process.stderr, self.process.stderr


class Pool:
    """The running daemons, one for each set of flags."""

    def __init__(self, folder: Callable[[], Path], listen: tuple[str, ...]) -> None:
        self.folder, self.listen = folder, listen
        self.processes: dict[tuple[str, ...], Glockd] = {}

    def get(self, *flags: str) -> Glockd:
        if flags not in self.processes or not self.processes[flags].is_running:
            self.processes[flags] = Glockd(self.folder(), *flags, listen=self.listen)
        return self.processes[flags]

    def discard(self, process: Glockd) -> None:
        self.processes.pop(process.flags, None)
        process.kill()
        process.forget_clients()


class Views:
    """Gives views on shared daemons: `shared_daemon("tcp", "-registry=false")`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.daemons: list[ProcessDaemon] = []

    def __call__(self, transport: str, *flags: str) -> ProcessDaemon:
        self.daemons.append(ProcessDaemon(self.pool.get(*flags), transport))
        return self.daemons[-1]

    @property
    def processes(self) -> list[Glockd]:
        return [daemon.process for daemon in self.daemons]

    def end(self, *, failed: bool) -> None:
        """Check that the test has left nothing behind; a daemon that is in doubt is not used again."""
        for daemon in self.daemons:
            try:
                if failed:
                    daemon.abandon()
                else:
                    daemon.ends()
            except BaseException:
                failed = True
                raise
            finally:
                if failed:
                    self.pool.discard(daemon.process)
