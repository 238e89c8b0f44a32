"""How clients of the line language come in, on each transport."""

from __future__ import annotations

from dataclasses import dataclass

from tests.doors.contract import Refused
from tests.support.clients import SocketClient
from tests.support.process import Glockd


class LineParty:
    """One connection."""

    def __init__(self, client: SocketClient) -> None:
        self.client = client

    def asks(self, line: bytes) -> bool:
        """Say a line; whether the answer is a yes."""
        return self.client.says(line).hears_a_line()[:1] == b"1"

    def takes(self, name: bytes, lease: float | None = None) -> bool:
        taken = self.asks(b"g " + name)
        return taken and (lease is None or self.asks(b"lease %g " % lease + name))

    def waits(self, name: bytes, seconds: float | None = None) -> None:
        self.client.says(b"wait inf " + name if seconds is None else b"wait %g " % seconds + name)

    def hears(self) -> bool:
        return self.client.hears_a_line()[:1] == b"1"

    def gives(self, name: bytes) -> bool:
        return self.asks(b"r " + name)

    def vanishes(self) -> None:
        self.client.vanishes()


@dataclass(frozen=True)
class LineAdapter:
    """The line language on one transport."""

    name: str
    flags: tuple[str, ...] = ()
    secrets: str = "-auth-file"
    odd_names: tuple[bytes, ...] = ()  # it has none: white space ends a name, and a line ends a command

    def opens(self, daemon: Glockd, secret: str | None = None) -> LineParty:
        party = LineParty(daemon.client(self.name))
        if secret is not None and not party.asks(f"auth {secret}".encode()):
            raise Refused(secret)
        return party


class Worker(LineParty):
    """One connection that takes items of work lists: each name is a list with one item."""

    def takes(self, name: bytes, lease: float | None = None) -> bool:
        self.asks(b"put %b item" % name)  # it may be there
        taken = self.asks_for_item(b"take 0 " + name)
        return taken and (lease is None or self.asks(b"keep %g %b item" % (lease, name)))

    def asks_for_item(self, line: bytes) -> bool:
        """Say a line; whether there is an item."""
        return self.client.says(line).hears_a_line()[:1] != b"0"

    def waits(self, name: bytes, seconds: float | None = None) -> None:
        self.client.says(b"take inf " + name if seconds is None else b"take %g " % seconds + name)

    def hears(self) -> bool:
        return self.client.hears_a_line()[:1] != b"0"

    def gives(self, name: bytes) -> bool:
        return self.asks(b"give %b item" % name)


@dataclass(frozen=True)
class WorkAdapter(LineAdapter):
    """Work lists on one transport."""

    def opens(self, daemon: Glockd, secret: str | None = None) -> Worker:
        return Worker(super().opens(daemon, secret).client)


WORK_ADAPTERS = tuple(WorkAdapter(transport) for transport in ("tcp", "unix", "websocket"))
ADAPTERS = tuple(LineAdapter(transport) for transport in ("tcp", "unix", "websocket"))
