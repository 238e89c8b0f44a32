"""What a connection may cost, and how many there may be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address
from sys import intern

from glockd.doors.line.wire.language import TOO_MANY_CONNECTIONS
from glockd.policy import UNLIMITED

MEBIBYTE = 1 << 20


@dataclass(slots=True)
class Limits:
    """Limits of connections; shared by all clients, so that a reload reaches them all."""

    connections: int = UNLIMITED  # open at the same time
    address_connections: int = UNLIMITED  # the same, from one address
    message: int = 32 * MEBIBYTE  # bytes of a websocket message, all its fragments together
    output: int = 64 * MEBIBYTE  # bytes that wait for a client that does not read them
    slow_reader: int = 30  # seconds in which a client reads nothing of what waits for it
    handshake: int = 10  # seconds for TLS and websocket handshakes
    first_command: int = UNLIMITED  # seconds to the first command
    idle: int = UNLIMITED  # seconds without a command, lock or wait
    dead_peer: int = 30  # seconds within which a peer that vanished is to be found
    ping: bool = True  # whether websocket clients must answer pings

    @property
    def watches_the_quiet(self) -> bool:
        """Whether it matters when a client has last said something."""
        return min(self.first_command, self.idle) < UNLIMITED


class Gate:
    """Counts connections, all and by address.

    Args:
        limits: how many there may be.
        refused: counts who was not let in.
    """

    def __init__(self, limits: Limits, refused: Counter[str]) -> None:
        self._limits = limits
        self._refused = refused
        self._inside: Counter[str] = Counter()
        self.connections = 0

    def enter(self, host: str) -> bytes | None:
        """Count a connection from `host`, which is empty for a Unix socket.

        Returns:
            None, or the line that says why it may not come in; then it is not counted.
        """
        limits = self._limits
        if self.connections >= limits.connections:
            self._refused["connections"] += 1
            return TOO_MANY_CONNECTIONS
        if host and self._inside[host] >= limits.address_connections:
            self._refused["address_connections"] += 1
            return TOO_MANY_CONNECTIONS
        self.connections += 1
        if host:
            self._inside[host] += 1
        return None

    def leave(self, host: str) -> None:
        """Count a connection from `host` no more."""
        self.connections -= 1
        if host:
            self._inside[host] -= 1
            if not self._inside[host]:
                del self._inside[host]


def neighbourhood(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which any of its hosts can fill."""
    if ":" not in host:
        return intern(host)
    address = IPv6Address(host.partition("%")[0])
    # Interned: all connections from there keep the same one.
    return intern(address.packed[:8].hex() if address.ipv4_mapped is None else str(address.ipv4_mapped))
