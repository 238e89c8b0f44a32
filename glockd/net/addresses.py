"""What a client is called: the address that identifies it everywhere."""

from __future__ import annotations

import asyncio
from ipaddress import IPv6Address
from itertools import count
from sys import intern


def ip_address(transport: asyncio.BaseTransport) -> bytes:
    """`1.2.3.4:5678`, or `[::1]:5678` for IPv6; an IPv4 client of a dual-stack socket has the IPv4 form."""
    # Who is gone before he is accepted has no name any more.
    host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
    host = host.removeprefix("::ffff:")
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()


class UnixAddresses:
    """`unix:N`, counting the Unix connections since the daemon began; no number is used twice."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def __call__(self, transport: asyncio.BaseTransport) -> bytes:
        return b"unix:%d" % next(self._numbers)


def neighbourhood(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which any of its hosts can fill."""
    if ":" not in host:
        return intern(host)
    address = IPv6Address(host.partition("%")[0])
    # Interned: all connections from there keep the same one.
    return intern(address.packed[:8].hex() if address.ipv4_mapped is None else str(address.ipv4_mapped))
