"""The PROXY protocol, versions 1 and 2: what a proxy says of its client before that says anything.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from glockd.net.addresses import Source

# Bytes of the longest header that is read: those of a proxy that tells of certificates have some hundred.
HEADER_MOST = 4096

# Section 2.1: the first word of version 1, and bytes of its longest line, CR LF included.
_WORD = b"PROXY "
_LINE_MOST = 107
_FAMILIES: dict[bytes, type[IPv4Address] | type[IPv6Address]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}
_PORT = re.compile(rb"(?:0|[1-9][0-9]{0,4})\Z")

# Section 2.2: how version 2 begins, as nothing else does. Then come version and command, family and protocol, and two
# bytes with the size of the rest.
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = len(SIGNATURE) + 4
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6, _UNIX, _UNSPECIFIED = 0x11, 0x21, 0x31, 0x00


class ProxyError(ValueError):
    """What has come is no header of the PROXY protocol; the text says why."""


class Header(NamedTuple):
    """A header, taken apart."""

    source: (
        Source | None
    )  # the client, as its proxy tells; None: the proxy speaks for itself or tells of no IP address
    size: int  # bytes; what follows is the client's


def begins(data: bytes) -> bool:
    """Whether a connection of which this came first begins with a header."""
    return data.startswith((SIGNATURE, _WORD))


def read(data: bytes) -> Header | None:
    """The header at the beginning of a connection.

    Args:
        data: all that has come so far.

    Returns:
        The header; None if it is not whole yet.

    Raises:
        ProxyError: it is none, whatever follows.
    """
    if data.startswith(_WORD):
        return _version_1(data)
    if data.startswith(SIGNATURE):
        return _version_2(data)
    if _WORD.startswith(data) or SIGNATURE.startswith(data):
        return None
    raise ProxyError("no header")


def _version_1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, _LINE_MOST)
    if end < 0:
        if len(data) >= _LINE_MOST:
            raise ProxyError(f"no end of line in {_LINE_MOST} bytes")
        return None
    words = data[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return Header(None, end + 2)
    family = _FAMILIES.get(words[1])
    if family is None or len(words) != 6:
        raise ProxyError("not TCP4 or TCP6 with two addresses and two ports")
    host, _ = (_address(family, word) for word in words[2:4])
    port, _ = (_port(word) for word in words[4:])
    return Header(Source(host, port), end + 2)


def _version_2(data: bytes) -> Header | None:
    if len(data) < _FIXED:
        return None
    command, family = data[len(SIGNATURE)], data[len(SIGNATURE) + 1]
    size = int.from_bytes(data[_FIXED - 2 : _FIXED])
    if command not in (_LOCAL, _PROXY):
        raise ProxyError(f"version and command {command:#04x}")
    if _FIXED + size > HEADER_MOST:
        raise ProxyError(f"{_FIXED + size} bytes, and {HEADER_MOST} are the most")
    if len(data) < _FIXED + size:
        return None
    told = data[_FIXED : _FIXED + size]
    source = None if command == _LOCAL else _source(family, told)
    return Header(source, _FIXED + size)


def _source(family: int, told: bytes) -> Source | None:
    """The client in what version 2 tells: both addresses, both ports, and more that does not matter here."""
    if family in (_UNSPECIFIED, _UNIX):
        return None
    if family not in (_TCP4, _TCP6):
        raise ProxyError(f"family and protocol {family:#04x}")
    size = 4 if family == _TCP4 else 16
    if len(told) < 2 * size + 4:
        raise ProxyError("no room for addresses and ports")
    kind = IPv4Address if family == _TCP4 else IPv6Address
    return Source(_shown(kind(told[:size])), int.from_bytes(told[2 * size : 2 * size + 2]))


def _address(family: type[IPv4Address] | type[IPv6Address], word: bytes) -> str:
    # Python reads a scope as part of an address; a link of the proxy's means nothing here.
    if b"%" in word or not word.isascii():
        raise ProxyError("an address that is none")
    try:
        return _shown(family(word.decode()))
    except ValueError as error:
        raise ProxyError("an address that is none") from error


def _shown(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _port(word: bytes) -> int:
    if not _PORT.match(word) or int(word) > 65535:
        raise ProxyError("a port that is none")
    return int(word)
