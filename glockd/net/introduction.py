"""Connections for which a proxy speaks first: whose they are, before anything else is understood."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import cast

from glockd.net import proxy
from glockd.net.addresses import Callers, Source, neighbourhood, source
from glockd.net.peer import Peer, Told
from glockd.net.porch import Porch
from glockd.net.proxy import ProxyError
from glockd.policy import Reason
from glockd.service import Service


class Introduction(asyncio.Protocol):
    """A connection on an IP socket while it is not known whose it is.

    From some networks a header of the PROXY protocol must come first, ahead of TLS too. From all others nothing is
    waited for, and whoever answers refuses a header. Either way the client gets an address that no other one has.

    A connection counts from its beginning, and from the header on as one of the address that is told.

    Args:
        service: the core at work.
        networks: where proxies are.
        callers: gives each client what it is called.
        factory: makes the one that talks behind the header.
    """

    def __init__(
        self,
        service: Service,
        networks: Sequence[IPv4Network | IPv6Network],
        callers: Callers,
        factory: Callable[[], Peer | Porch],
    ) -> None:
        self._service = service
        self._networks = networks
        self._callers = callers
        self._peer = factory()
        self._transport = cast(asyncio.Transport, None)  # until the connection is made
        self._data = b""
        self._is_inside = False  # the gate counts it
        self._looks = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        gate = self._service.gate
        # At the limit, who answers turns it away in words.
        if not self._is_from_a_proxy() or gate.is_full:
            self._hand_over(source(transport))
            return
        self._is_inside = gate.enter("")
        self._service.sweep.watch(self)

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._data += data
        try:
            header = proxy.read(self._data)
        except ProxyError:
            self._refuse("proxy")
            return
        if header is not None:
            self._hand_over(header.source or source(self._transport), self._data[header.size :])

    def connection_lost(self, exc: Exception | None) -> None:
        # Not called any more once the connection has been handed over.
        self._leave()

    def look(self) -> bool:
        """Give up on a proxy that does not say whose the connection is; whether to look again."""
        if self._transport.is_closing():
            return False
        self._looks += 1
        if self._looks < self._service.policy.config.handshake_seconds:
            return True
        self._refuse("handshake")
        return False

    def drop(self) -> None:
        """End the connection at once, since the daemon ends."""
        self._transport.abort()

    def _is_from_a_proxy(self) -> bool:
        try:
            host = ip_address(source(self._transport).host)
        except ValueError:
            return False  # gone already
        return any(host in network for network in self._networks)

    def _refuse(self, reason: Reason) -> None:
        self._service.policy.refused[reason] += 1
        self._transport.write(self._peer.about_proxy(wanted=True))
        self._transport.close()

    def _leave(self) -> None:
        self._service.sweep.forget(self)
        if self._is_inside:
            self._is_inside = False
            self._service.gate.leave("")

    def _hand_over(self, client: Source, rest: bytes = b"") -> None:
        """Let the client talk, beginning with `rest`."""
        self._leave()
        transport, peer = self._transport, self._peer
        address = self._callers.take(client.address)
        peer.introduce(Told(neighbourhood(client.host), address, self._callers))
        transport.set_protocol(peer)
        peer.connection_made(transport)
        if rest and not transport.is_closing():
            peer.data_received(rest)
