"""HTTP/2's frames (RFC 9113): what they are called, how they are made, and what is wrong with some."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from glockd.policy import Reason

# 3.4: what a client begins with.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# 6: kinds of frames, in the order of their numbers.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)

# Flags; what they mean depends on the kind.
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20

# 6.5.2: the settings that concern us.
ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 2, 4, 5, 6

MAX_FRAME = 16384  # bytes of payload that everybody must take; we neither allow nor send more
DEFAULT_WINDOW = 65535
MAX_WINDOW = (1 << 31) - 1
MAX_STREAM = (1 << 31) - 1

# Length in three bytes (as two and one), kind, flags, stream.
HEAD = Struct(">HBBBI")
WORD = Struct(">I")
SETTING = Struct(">HI")


class Error(IntEnum):
    """7: why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Fault(Exception):
    """The peer did what ends the connection.

    Args:
        code: what it is told.
        text: the same in words; ASCII.
        why: as what it is counted.
    """

    def __init__(self, code: Error, text: str, why: Reason = "http") -> None:
        super().__init__(text)
        self.code = code
        self.why: Reason = why


def head(kind: int, flags: int, stream: int, size: int) -> bytes:
    """What a frame of `size` bytes begins with."""
    return HEAD.pack(size >> 8, size & 255, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of at most MAX_FRAME bytes of payload."""
    return head(kind, flags, stream, len(payload)) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*pair) for pair in pairs))


def reset(stream: int, code: Error) -> bytes:
    """An RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, WORD.pack(code))


def goaway(last: int, code: Error, text: str = "") -> bytes:
    """A GOAWAY frame.

    Args:
        last: the newest stream that has been, or will be, dealt with.
        code: why.
        text: the same in words; ASCII.
    """
    return frame(GOAWAY, 0, 0, WORD.pack(last) + WORD.pack(code) + text.encode("ascii"))


def window_update(stream: int, more: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, WORD.pack(more))


def without_padding(payload: bytes) -> bytes:
    """What a padded frame carries (6.1).

    Raises:
        Fault: there is more padding than frame.
    """
    if not payload or payload[0] >= len(payload):
        raise Fault(Error.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """The settings in a SETTINGS frame (6.5), each within its range.

    Raises:
        Fault: one is out of its range, or the frame is cut off.
    """
    if len(payload) % SETTING.size:
        raise Fault(Error.FRAME_SIZE_ERROR, "SETTINGS of an odd size")
    pairs = list(SETTING.iter_unpack(payload))
    for name, value in pairs:
        if name == ENABLE_PUSH and value > 1:
            raise Fault(Error.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is 0 or 1")
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise Fault(Error.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is too large")
        if name == MAX_FRAME_SIZE and not MAX_FRAME <= value < 1 << 24:
            raise Fault(Error.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE is out of its range")
    return pairs


def word_of(payload: bytes, what: str) -> int:
    """The one number of a frame that has no more, without its reserved bit.

    Raises:
        Fault: the frame has another size.
    """
    if len(payload) != WORD.size:
        raise Fault(Error.FRAME_SIZE_ERROR, f"{what} of an odd size")
    return int(WORD.unpack(payload)[0]) & MAX_STREAM
