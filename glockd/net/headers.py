"""Header blocks (RFC 7541): hpack reads those of clients; our own use no dynamic table, so they are constants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from glockd.config import StartError
from glockd.net.frames import Error, Fault

try:
    from hpack import Decoder, HPACKError, OversizedHeaderListError
    from hpack.table import HeaderTable
except ModuleNotFoundError:
    raise StartError("gRPC needs the package hpack: pip install 'glockd[ldlm]'") from None

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]

# Bytes of names and values, and 32 for each field (RFC 9113, 6.5.2), of which a stranger may make us keep so many …
MAX_LIST = 16384
# … and before whom the connection is closed: to refuse a stream its block must be read to the end.
MAX_READ = 65536

# How many blocks of one connection are remembered, and how long they may be: some 10 KB.
MOST_KNOWN = 16
LONGEST_KNOWN = 256
# Fields that are looked up without counting their bytes: at most as many times the table's 4,096.
SHORT = 16

# RFC 7541, 4.2: a block begins with two changes of the table's size at most, each more would only cost time; and they
# come before any field.
SIZES_OUT_OF_PLACE = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\0-\x7f]){3}|[\x80-\xfe]+[\x20-\x3f]")

# RFC 9113, 8.2.1: what no name and no value may be.
BAD_NAME = re.compile(rb"[\0- A-Z\x7f-\xff:]")
BAD_VALUE = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]\Z")
# 8.2.2: what belongs to HTTP/1.1.
FOREIGN = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
# 8.3.1: what a request has, each at most once.
PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
DEMANDED = frozenset((b":method", b":scheme", b":path"))


class _Table(HeaderTable):
    """Tells whether it has been changed."""

    changed = False

    def add(self, name: bytes, value: bytes) -> None:
        self.changed = True
        super().add(name, value)


class Blocks:
    """What a client's header blocks mean.

    A block that changes nothing in the dynamic table means the same until one comes that does: until then its meaning
    is remembered by its bytes.
    """

    __slots__ = ("_decoder", "_table", "known")

    def __init__(self) -> None:
        self.known: dict[bytes, Any] = {}  # what the caller has made of blocks
        self._table = _Table()
        self._decoder = Decoder(MAX_READ)
        self._decoder.header_table = self._table

    def read(self, block: bytes) -> tuple[Fields, bool]:
        """The fields of a block, and whether what they mean may be remembered.

        Raises:
            Fault: the block is broken, or has more than MAX_READ bytes; what follows it could not be read.
        """
        if SIZES_OUT_OF_PLACE.match(block):
            raise Fault(Error.COMPRESSION_ERROR, "the table's size changes too often, or too late")
        table = self._table
        table.changed = False
        size = table.maxsize
        fields: list[tuple[bytes, bytes]] = []
        try:
            # Mostly all but a deadline is in the table, each by one byte (6.1): no more than a look at it.
            for octet in block:
                if not 128 <= octet < 255 or len(fields) == SHORT:
                    break
                fields.append(table.get_by_index(octet - 128))
            fields += self._decoder.decode(block[len(fields) :], raw=True)
        except OversizedHeaderListError:
            raise Fault(Error.ENHANCE_YOUR_CALM, "too many headers", "headers") from None
        except (HPACKError, IndexError, ValueError):
            raise Fault(Error.COMPRESSION_ERROR, "a header block is broken") from None
        if table.changed or table.maxsize != size:
            self.known.clear()
            return fields, False
        return fields, len(block) <= LONGEST_KNOWN

    def remember(self, block: bytes, meaning: Any) -> None:
        """Keep what a block means, and forget the oldest if there are too many."""
        known = self.known
        if len(known) >= MOST_KNOWN:
            del known[next(iter(known))]
        known[block] = meaning


def list_size(fields: Fields) -> int:
    """How long a header list is, as RFC 9113, 6.5.2 counts it."""
    return sum(len(name) + len(value) + 32 for name, value in fields)


def is_request(fields: Fields) -> bool:
    """Whether these are the headers of a well-formed request (RFC 9113, 8.2 and 8.3)."""
    pseudo: set[bytes] = set()
    regular = False
    for name, value in fields:
        if name[:1] == b":":
            if regular or name not in PSEUDO or name in pseudo or BAD_VALUE.search(value):
                return False
            pseudo.add(name)
            if name == b":path" and not value:
                return False
        else:
            regular = True
            if not _is_regular(name, value):
                return False
    return pseudo >= DEMANDED


def are_trailers(fields: Fields) -> bool:
    """Whether these are well-formed trailers of a request (RFC 9113, 8.1)."""
    return all(name[:1] != b":" and _is_regular(name, value) for name, value in fields)


def _is_regular(name: bytes, value: bytes) -> bool:
    if not name or name in FOREIGN or BAD_NAME.search(name) or BAD_VALUE.search(value):
        return False
    return name != b"te" or value == b"trailers"


def field(name: bytes, value: bytes) -> bytes:
    """A header for a block of ours (RFC 7541, 6.2.2): literal, not indexed, new name, no Huffman code."""
    return b"\0" + _length(len(name)) + name + _length(len(value)) + value


def status_line(code: int) -> bytes:
    """The pseudo-header `:status`; the static table has it as 8, and with 200."""
    return b"\x88" if code == 200 else b"\x08\x03%d" % code


def _length(value: int) -> bytes:
    """RFC 7541, 5.1: an integer with a prefix of seven bits."""
    if value < 127:
        return bytes((value,))
    octets = bytearray((127,))
    value -= 127
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)
