"""Which hosts are this one."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from glockd.doors.windows.specs import host_of
from glockd.net.exchange import Ask


def is_own_address(address: str) -> bool:
    """Whether an IP address is one of this machine's."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if found.is_loopback:
        return True
    if found.is_unspecified or found.is_multicast:
        return False
    family = socket.AF_INET if found.version == 4 else socket.AF_INET6
    # Whoever may bind to it has it: bind(2), EADDRNOTAVAIL. Nothing is sent.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(found), 0))
        except OSError:
            return False
    return True


def host_header(ask: Ask) -> str:
    """What the one who asks calls this server, with the port if it says one."""
    return ask.headers.get("Host") or socket.gethostname()


def is_this(host: str | None, ask: Ask) -> bool:
    """Whether a participant is this server; None says so."""
    if host is None:
        return True
    called = host_header(ask).lower()
    name = host_of(host).lower().removesuffix(".")
    mine = {called, host_of(called), socket.gethostname().lower(), socket.getfqdn().lower(), "localhost"}
    return host.lower() in mine or name in mine or is_own_address(name)


def peer_of(ask: Ask) -> str:
    """The address of the one who asks, without its port."""
    host = ask.peer.decode("ascii", "backslashreplace").rpartition(":")[0]
    return host.removeprefix("[").removesuffix("]")
