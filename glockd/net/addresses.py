"""What a client is called: the address that identifies it everywhere."""

from __future__ import annotations

import asyncio
from ipaddress import IPv6Address
from itertools import count
from sys import intern
from typing import NamedTuple


class Source(NamedTuple):
    """Where a client is."""

    host: str  # an IP address; IPv4 clients have the IPv4 form, whatever the socket
    port: int

    @property
    def address(self) -> bytes:
        """`1.2.3.4:5678`, or `[::1]:5678` for IPv6."""
        host, port = self
        return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()


def source(transport: asyncio.BaseTransport) -> Source:
    """Where a connection comes from."""
    # Who is gone before he is accepted has no name any more.
    host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
    return Source(host.removeprefix("::ffff:"), port)


def ip_address(transport: asyncio.BaseTransport) -> bytes:
    """What a client is called by where its connection comes from."""
    return source(transport).address


class Callers:
    """What clients are called where proxies tell it: one may be told twice, or be that of another client."""

    def __init__(self) -> None:
        self._uses: dict[
            bytes, tuple[int, int]
        ] = {}  # how many clients have an address now, and the latest number

    def take(self, address: bytes) -> bytes:
        """`address`, or while another client has it `ADDRESS#2` and so on; no number is used twice meanwhile."""
        live, latest = self._uses.get(address, (0, 0))
        self._uses[address] = live + 1, latest + 1
        return address + b"#%d" % (latest + 1) if latest else address

    def free(self, called: bytes) -> None:
        """The client that was given `called` is gone."""
        address = called.partition(b"#")[0]
        live, latest = self._uses[address]
        if live > 1:
            self._uses[address] = live - 1, latest
        else:
            del self._uses[address]


class UnixAddresses:
    """`unix:N`, counting the Unix connections since the daemon began; no number is used twice."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def __call__(self, peer: object) -> bytes:
        return b"unix:%d" % next(self._numbers)


def neighbourhood(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which any of its hosts can fill."""
    if ":" not in host:
        return intern(host)
    address = IPv6Address(host.partition("%")[0])
    # Interned: all connections from there keep the same one.
    return intern(address.packed[:8].hex() if address.ipv4_mapped is None else str(address.ipv4_mapped))
