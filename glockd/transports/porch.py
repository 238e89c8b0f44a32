"""TLS: what happens to a connection before its client can talk."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from glockd.transports.client import Client
from glockd.transports.door import Door


class Tls(Protocol):
    """Where the certificate comes from."""

    context: ssl.SSLContext


# Seconds in which a client that is hung up on should say goodbye in TLS.
SHUTDOWN = 5.0


class Porch(asyncio.Protocol):
    """A connection on which nothing but a TLS handshake is understood.

    It counts from the beginning: half handshakes fill the daemon no more than other connections do.

    Args:
        door: the daemon.
        tls: has what to shake hands with, in `context`.
        factory: makes the client that talks behind the handshake.
    """

    def __init__(self, door: Door, tls: Tls, factory: Callable[[], Client]) -> None:
        self._door = door
        self._tls = tls
        self._factory = factory
        self._task: asyncio.Task[None] | None = None  # kept, or it might be collected before it ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast(asyncio.Transport, transport)
        client = self._factory()
        if client.enter(plain) is not None:
            plain.close()  # what a line could say would not be understood
            return
        plain.pause_reading()
        self._task = self._door.loop.create_task(self._shake_hands(plain, client))

    async def _shake_hands(self, plain: asyncio.Transport, client: Client) -> None:
        arrival = _Arrival()
        try:
            transport = await self._door.loop.start_tls(
                plain,
                arrival,
                self._tls.context,
                server_side=True,
                ssl_handshake_timeout=self._door.limits.handshake,
                ssl_shutdown_timeout=SHUTDOWN,
            )
        except (OSError, RuntimeError):
            # Plain text, no certificate that is trusted, a half handshake, or gone in the middle of it.
            self._door.policy.refused["tls"] += 1
            transport = None
        if transport is None or arrival.lost:
            plain.abort()
            client.leave()
            return
        transport.set_protocol(client)
        client.connection_made(transport)
        if arrival.data:
            client.data_received(bytes(arrival.data))
        if arrival.ended and not client.eof_received():
            transport.close()


class _Arrival(asyncio.Protocol):
    """Keeps what comes right behind the handshake, until its client is told of the connection."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
