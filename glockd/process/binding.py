"""From the hosts that an operator names to addresses that can be listened on together."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from glockd.config import StartError

ANY_IPV4, ANY_IPV6 = "0.0.0.0", "::"


class Address(NamedTuple):
    """Where one socket listens."""

    host: str  # as the operator named it
    family: socket.AddressFamily
    address: tuple[str, int] | tuple[str, int, int, int]  # as bind(2) wants it
    both: bool = False  # `::` that takes IPv4 besides, as the original's sockets do

    @property
    def is_any(self) -> bool:
        """Whether it stands for all addresses of its kind."""
        return self.address[0] in (ANY_IPV4, ANY_IPV6)

    @property
    def is_needed(self) -> bool:
        """Whether it is an error if this machine has no such address: not for IPv6 that was not asked for by itself."""
        return self.address[0] != "::1" and self.host != "*"


def addresses(hosts: Sequence[str], port: int) -> list[Address]:
    """What to listen on so that each host is reached, in the order of `hosts`.

    `0.0.0.0` and `::` take all other addresses of their kind with them. `::` is for IPv6 only if an IPv4 wildcard is
    there, too, and takes both kinds otherwise.

    Args:
        hosts: names and addresses; a name stands for all its addresses, `*` for all of this machine.
        port: the port for all; 0 leaves it to the system.

    Raises:
        StartError: a name has no address.
    """
    found: dict[object, Address] = {}
    for host in hosts:
        for one in _resolved(host, port):
            found.setdefault(one.address, one)
    places = {one.address[0] for one in found.values()}
    both = ANY_IPV6 in places and ANY_IPV4 not in places
    covered = {socket.AF_INET: both or ANY_IPV4 in places, socket.AF_INET6: ANY_IPV6 in places}
    return [
        one._replace(both=both and one.is_any)
        for one in found.values()
        if one.is_any or not covered[one.family]
    ]


def overlaps(address: Address, other: socket.socket) -> bool:
    """Whether a socket that listens is in the way of an address."""
    if other.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    host, port = other.getsockname()[:2]
    takes_both = other.family == socket.AF_INET6 and not other.getsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
    )
    if port != address.address[1] or (other.family != address.family and not (takes_both or address.both)):
        return False
    return address.is_any or host in (ANY_IPV4, ANY_IPV6, address.address[0])


def _resolved(host: str, port: int) -> Iterable[Address]:
    for name in (ANY_IPV4, ANY_IPV6) if host == "*" else (_plain(host),):
        try:
            infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise StartError(f"cannot listen on {host} port {port}: {error.strerror}") from error
        for family, _, _, _, address in infos:
            yield Address(host, family, address)  # type: ignore[arg-type]


def _plain(host: str) -> str:
    """An address in its usual form: an IPv4 address within IPv6 is an IPv4 address."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
