"""TLS: what happens to a connection before its client can talk."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from glockd.net import proxy
from glockd.net.peer import Peer, Told
from glockd.service import Service

# How a TLS handshake begins (RFC 8446, 5.1: type 22, version 3).
TLS_RECORD = b"\x16\x03"

# Seconds in which a client that is hung up on should say goodbye in TLS.
SHUTDOWN = 5.0


class Porch(asyncio.Protocol):
    """A connection on which nothing but a TLS handshake is understood.

    It counts from the beginning: half handshakes fill the daemon no more than other connections do.

    Args:
        service: the core at work.
        context: gives what to shake hands with, as it is now.
        factory: makes the one that talks behind the handshake.
    """

    def __init__(
        self, service: Service, context: Callable[[], ssl.SSLContext], factory: Callable[[], Peer]
    ) -> None:
        self._service = service
        self._context = context
        self._peer = factory()
        self._plain = cast(asyncio.Transport, None)  # until the connection is made
        self._task: asyncio.Task[None] | None = None  # kept, or it might be collected before it ends
        self._looks = 0

    def introduce(self, told: Told) -> None:
        """Learn whose the connection is; to be called before it is made."""
        self._peer.introduce(told)

    def about_proxy(self, *, wanted: bool) -> bytes:
        """What to tell a proxy; see `Peer`."""
        return self._peer.about_proxy(wanted=wanted)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._plain = cast(asyncio.Transport, transport)
        if self._peer.enter(transport):
            self._service.sweep.watch(self)
        else:
            self._plain.close()  # what a line could say would not be understood

    def data_received(self, data: bytes) -> None:
        if self._plain.is_closing():
            return
        if not TLS_RECORD.startswith(data[: len(TLS_RECORD)]):
            proxied = proxy.begins(data)
            self._service.policy.refused["proxy" if proxied else "tls"] += 1
            self._plain.write(self._peer.about_proxy(wanted=False) if proxied else self._peer.not_tls())
            self._plain.close()
            return
        self._plain.pause_reading()
        self._task = self._service.loop.create_task(self._shake_hands(data))

    def connection_lost(self, exc: Exception | None) -> None:
        # Not called any more once there has been a handshake to begin.
        self._leave()

    def look(self) -> bool:
        """Give up on who does not even begin."""
        self._looks += 1
        if self._looks >= self._service.policy.config.handshake_seconds:
            self._service.policy.refused["handshake"] += 1
            self._plain.abort()
        return True

    def drop(self) -> None:
        """End the connection at once, since the daemon ends."""
        self._plain.abort()

    def _leave(self) -> None:
        self._service.sweep.forget(self)
        self._peer.leave()

    async def _shake_hands(self, data: bytes) -> None:
        service, arrival = self._service, _Arrival()
        service.sweep.forget(self)
        handshake = service.loop.create_task(
            service.loop.start_tls(
                self._plain,
                arrival,
                self._context(),
                server_side=True,
                ssl_handshake_timeout=service.policy.config.handshake_seconds,
                ssl_shutdown_timeout=SHUTDOWN,
            )
        )
        # It has taken the connection over by the next turn, and looks at it in the one after that.
        await asyncio.sleep(0)
        service.loop.call_soon(_feed, self._plain, data)
        try:
            transport = await handshake
        except (OSError, RuntimeError):
            # No TLS of ours, no certificate that is trusted, a half handshake, or gone in the middle of it.
            service.policy.refused["tls"] += 1
            transport = None
        if transport is None or arrival.lost:
            self._plain.abort()
            self._leave()
            return
        peer = self._peer
        transport.set_protocol(peer)
        peer.connection_made(transport)
        if arrival.data:
            peer.data_received(bytes(arrival.data))
        if arrival.ended and not peer.eof_received():
            transport.close()


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """Hand on to TLS what had been read before it was there."""
    protocol = cast(asyncio.BufferedProtocol, transport.get_protocol())
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


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
