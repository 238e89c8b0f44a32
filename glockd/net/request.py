"""What the headers of a gRPC request mean (gRPC's PROTOCOL-HTTP2), and how answers are put into headers."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote

from glockd.net import frames
from glockd.net.calls import Code, Handler, Metadata, Status, Trailers
from glockd.net.frames import END_HEADERS, END_STREAM, MAX_FRAME
from glockd.net.headers import Fields, field, is_request, status_line

GRPC = b"application/grpc"
LONGEST_TYPE = 100  # bytes of a content type that we repeat

TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])\Z")
SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

# Headers of the protocol's own, which no handler wants to see.
OURS = frozenset((b"te", b"content-type", b"content-length", b"grpc-timeout", b"grpc-encoding"))

LONGEST_MESSAGE = 1000  # characters of a status message; each becomes 12 bytes at most
PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

# LDLM's server sends an empty message with each success.
DONE = field(b"grpc-status", b"0") + field(b"grpc-message", b"")


class Refusal(NamedTuple):
    """An answer that is known before the request has come whole."""

    block: bytes  # headers
    body: bytes  # what a client that speaks no gRPC reads; mostly empty


class Head:
    """What the headers of one request mean.

    Args:
        content_type: of the request, and of what is answered.
    """

    __slots__ = ("block", "call", "encoding", "length", "metadata", "opening", "refusal", "timeout")

    def __init__(self, content_type: bytes = GRPC) -> None:
        self.call: Handler | None = None  # not None if there is no refusal
        self.refusal: Refusal | None = None
        self.metadata: Metadata = {}
        self.timeout: float | None = None  # seconds
        self.length: int | None = None  # bytes of the body, where it is said
        self.encoding = b"identity"
        # The first headers of a good answer, around their stream's number.
        self.block = status_line(200) + field(b"content-type", content_type)
        self.opening = frames.head(frames.HEADERS, END_HEADERS, 0, len(self.block))[:5]

    def refuse(self, code: Code, text: str, http: int = 200) -> Head:
        """Have the request refused when it has come whole."""
        if http == 200:
            self.refusal = Refusal(self.block + status_fields(Status(code, text)), b"")
        else:
            block = status_line(http) + field(b"content-type", b"text/plain")
            self.refusal = Refusal(block + status_fields(Status(code, text)), text.encode("ascii") + b"\n")
        return self

    def within(self, timeout: bytes) -> Head:
        """The same with a deadline, as `grpc-timeout` says it."""
        if self.refusal is not None:
            return self
        head = Head.__new__(Head)
        head.call, head.metadata, head.length = self.call, self.metadata, self.length
        head.encoding, head.block, head.opening = self.encoding, self.block, self.opening
        head.refusal = head.timeout = None
        found = TIMEOUT.match(timeout)
        if found is None:
            return head.refuse(Code.INTERNAL, "malformed grpc-timeout", 400)
        head.timeout = int(found[1]) * SECONDS[found[2]]
        return head


def understand(fields: Fields, calls: Mapping[bytes, Handler]) -> Head | None:
    """What request headers mean, besides the deadline; None if they are malformed.

    Args:
        calls: by path.
    """
    if not is_request(fields):
        return None
    first: dict[bytes, bytes] = {}
    for name, value in fields:
        first.setdefault(name, value)
    content_type = first.get(b"content-type", b"").lower()
    head = Head(content_type if len(content_type) <= LONGEST_TYPE else GRPC)
    length = first.get(b"content-length")
    if length is not None:
        if not length.isdigit() or len(length) > len(str(frames.MAX_STREAM)):
            return None
        head.length = int(length)
    if first[b":method"] != b"POST":
        return head.refuse(Code.INTERNAL, "the method must be POST", 405)
    if content_type != GRPC and not content_type.startswith((GRPC + b"+", GRPC + b";")):
        return head.refuse(Code.INVALID_ARGUMENT, "the content type must be application/grpc", 415)
    return _understand_call(head, first, calls)


def _understand_call(head: Head, first: dict[bytes, bytes], calls: Mapping[bytes, Handler]) -> Head:
    path = first[b":path"]
    head.call = calls.get(path)
    if head.call is None:
        return head.refuse(Code.UNIMPLEMENTED, _unknown(path, calls))
    head.encoding = first.get(b"grpc-encoding", head.encoding)
    try:
        head.metadata = metadata(first)
    except NotBase64:
        return head.refuse(Code.INTERNAL, "malformed binary metadata")
    return head


def _unknown(path: bytes, calls: Mapping[bytes, Handler]) -> str:
    service, found, method = path.decode("latin-1").removeprefix("/").rpartition("/")
    if not found:
        return f'malformed method name: "{path.decode("latin-1")}"'
    if any(known.startswith(f"/{service}/".encode("latin-1")) for known in calls):
        return f"unknown method {method} for service {service}"
    return f"unknown service {service}"


def metadata(first: dict[bytes, bytes]) -> Metadata:
    """What a handler sees of headers.

    Raises:
        binascii.Error: a binary value is not base64.
    """
    kept = {
        name.decode("ascii"): _from_base64(value) if name.endswith(b"-bin") else value
        for name, value in first.items()
        if name[:1] != b":" and name not in OURS
    }
    return MappingProxyType(kept)


def _from_base64(value: bytes) -> bytes:
    # Several values may come in one header, by commas; their padding may be left out.
    first = value.split(b",")[0]
    return b64decode(first + b"=" * (-len(first) % 4), validate=True)


def status_fields(status: Status) -> bytes:
    """The headers that say how a call has ended."""
    text = quote(status.message[:LONGEST_MESSAGE], safe=PRINTABLE, errors="replace")
    block = field(b"grpc-status", b"%d" % status.code) + field(b"grpc-message", text.encode("ascii"))
    return block + trailer_fields(status.trailers)


def trailer_fields(trailers: Trailers) -> bytes:
    """Metadata behind an answer.

    Raises:
        ValueError: it is more than fits into a frame, beside the rest.
    """
    block = b"".join(
        field(name, b64encode(value).rstrip(b"=") if name.endswith(b"-bin") else value)
        for name, value in trailers
    )
    if len(block) > MAX_FRAME // 2:
        raise ValueError("there is too much metadata behind an answer")
    return block


def closing(number: int, block: bytes) -> bytes:
    """A frame of headers that ends a stream."""
    return frames.frame(frames.HEADERS, END_STREAM | END_HEADERS, number, block)
