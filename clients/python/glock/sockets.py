"""Socket options of a client's connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

# Seconds, seconds, count: 30 s, the daemon's own default (-dead-peer-seconds).
IDLE, INTERVAL, PROBES = 10, 5, 4


def tune(sock: socket.socket) -> None:
    """Send small lines at once; find out within about 30 s that the server has vanished without a word
    (tcp(7))."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", IDLE),
        ("TCP_KEEPINTVL", INTERVAL),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", 1000 * (IDLE + PROBES * INTERVAL)),
    ):
        if hasattr(socket, option):  # not everywhere outside Linux
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


@contextlib.contextmanager
def borrowed(transport: asyncio.BaseTransport) -> Iterator[socket.socket]:
    """The transport's socket, as one that can set options and be shut down: what uvloop calls a socket cannot.

    Raises:
        OSError: it is closed already.
    """
    its = transport.get_extra_info("socket")
    if its is None or its.fileno() < 0:
        raise OSError("the transport is closed")
    sock = socket.socket(fileno=its.fileno())
    try:
        yield sock
    finally:
        sock.detach()
