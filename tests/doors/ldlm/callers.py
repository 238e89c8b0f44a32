"""LDLM's door without a process or a socket, and clients whose every packet a test chooses."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from glockd.config import Config
from glockd.daemon import Daemon
from glockd.doors.ldlm.door import LdlmDoor
from glockd.net.grpc import GrpcServer
from tests.doors.ldlm.adapters import KINDS as CALLS
from tests.support.http2 import Client, Pipe, prefixed, request
from tests.support.wires import rings, until


class Caller(Client):
    """A gRPC client."""

    def asks(self, call: str, *more: tuple[str, str], **fields: Any) -> int:
        """Make a call; its stream."""
        stream = self.begins(request(f"/ldlm.LDLM/{call}", *more))
        self.says(stream, prefixed(CALLS[call][0].encode({"name": "job", **fields})))
        return stream

    def takes(self, **fields: Any) -> str:
        """The key of a TryLock, which must succeed."""
        answer = CALLS["TryLock"][1].decode(self.has(self.asks("TryLock", **fields)).message)
        assert answer["locked"]
        return str(answer["key"])


class Visitor:
    """A REST client, on one connection."""

    def __init__(self, door: LdlmDoor) -> None:
        self.pipe = Pipe()
        self.protocol = door.answers["ldlm-rest"]()
        self.protocol.connection_made(self.pipe)
        self.cookie = ""

    def sends(self, data: bytes) -> None:
        self.protocol.data_received(data)

    def asks(self, method: str, path: str, body: bytes = b"") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{self.cookie}Content-Length: {len(body)}\r\n\r\n"
        self.sends(head.encode() + body)

    async def hears(self, status: int = 200) -> dict[str, Any]:
        """The body of the one answer that comes next."""
        await until(lambda: self.pipe.written.endswith(b"}"))
        assert self.pipe.written.startswith(b"HTTP/1.1 %d " % status), self.pipe.written
        heard: dict[str, Any] = json.loads(self.pipe.written.rpartition(b"\r\n\r\n")[2])
        self.pipe.written.clear()
        return heard

    async def begins(self) -> None:
        """Open a session."""
        self.asks("POST", "/session")
        self.cookie = f"Cookie: ldlm-session={(await self.hears(201))['session_id']}\r\n"

    def vanishes(self, error: Exception | None = None) -> None:
        self.protocol.connection_lost(error)


class House:
    """The door, on a service of its own.

    Args:
        options: of the daemon's configuration.
    """

    def __init__(self, **options: Any) -> None:
        daemon = Daemon(Config(port=0, ws=0, **options), asyncio.get_running_loop(), Config)
        self.service, self.book = daemon.service, daemon.book
        self.door = LdlmDoor(self.service, self.book)

    def caller(self) -> Caller:
        return Caller(cast(GrpcServer, self.door.answers["ldlm"]))

    def visitor(self) -> Visitor:
        return Visitor(self.door)

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        now = self.service.now
        self.service.now = lambda: now() + seconds
        rings(self.service)

    def is_empty(self) -> bool:
        state = self.service.state
        return not (len(state.registry) or len(state.exclusive) or state.exclusive.waiting)
