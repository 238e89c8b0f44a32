"""HTTP conversations with a protocol object, on a loop that a test holds in its hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from glockd.config import Config
from glockd.daemon import Daemon
from glockd.net.answers import Refused
from glockd.net.exchange import Ask, Handler
from glockd.net.http import HttpProtocol
from glockd.net.http_way import HttpWay
from glockd.net.reader import Limits
from glockd.policy import Policy
from glockd.service import Service
from tests.support.clients import PATIENCE


def service_alone(**options: Any) -> Service:
    """The core at work, behind no listener."""
    return Daemon(Config(port=0, ws=0, **options), asyncio.get_running_loop(), Config).service


def rings(service: Service) -> None:
    """Have a service do what is due by its clock, which a test may have moved; as its timer does."""
    if service._timer is not None:
        service._timer.cancel()
    service._expire()


def welcome(_: Ask) -> None:
    """A guard that lets everybody in."""


def way(
    service: Service,
    answer: Handler,
    limits: Limits | None = None,
    guard: Callable[[Ask], Refused | None] = welcome,
    **more: Any,
) -> HttpWay:
    """What HTTP connections of a test have in common."""
    return HttpWay(service, answer, guard, service.state.stats.traffic["tcp"], limits or Limits(), **more)


class Visit:
    """A client's side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, policy: Policy) -> None:
        self.reader, self.writer, self.policy = reader, writer, policy

    def sends(self, data: str | bytes) -> Visit:
        """Write; a text has LF for line ends, and they become CR LF."""
        raw = data.replace("\n", "\r\n").encode("latin-1") if isinstance(data, str) else data
        self.writer.write(raw)
        return self

    async def hears(self, status: int) -> tuple[dict[str, str], bytes]:
        """One answer: its header fields and its body."""
        async with asyncio.timeout(PATIENCE):
            line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
            assert line.split(" ")[:2] == ["HTTP/1.1", str(status)], (line, fields)
            if fields.get("transfer-encoding") == "chunked":
                return fields, b"".join([piece async for piece in self.pieces()])
            return fields, await self.reader.readexactly(int(fields.get("content-length", 0)))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The pieces of a body in chunks."""
        while size := int(await self.reader.readline(), 16):
            piece = await self.reader.readexactly(size + 2)
            yield piece[:-2]
        assert await self.reader.readline() == b"\r\n"

    async def is_hung_up_on(self) -> bytes:
        """What comes until the end."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def ends(self) -> None:
        """Hang up."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def resets(self) -> None:
        """Leave with a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def visiting(one: HttpWay) -> AsyncIterator[Callable[[], Any]]:
    """A listener of `one` on a free port; gives what connects to it."""
    made: list[Visit] = []
    server = await asyncio.get_running_loop().create_server(one.protocol, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()

    async def visit() -> Visit:
        reader, writer = await asyncio.open_connection(host, port)
        made.append(Visit(reader, writer, one.service.policy))
        return made[-1]

    try:
        yield visit
    finally:
        for each in made:
            await each.ends()
        server.close()
        await server.wait_closed()
        async with asyncio.timeout(PATIENCE):
            while one.connections:  # noqa: ASYNC110  # what no event tells
                await asyncio.sleep(0.001)


async def until(so: Callable[[], Any]) -> None:
    """Wait for a fact."""
    async with asyncio.timeout(PATIENCE):
        while not so():  # noqa: ASYNC110  # what no event tells
            await asyncio.sleep(0.001)


def looks(one: HttpWay, times: int) -> None:
    """Look at all connections, as the sweep does once a second."""
    watched = list[HttpProtocol](one.connections)
    for _ in range(times):
        watched = [protocol for protocol in watched if protocol.look()]
