"""Text frames that come alone are read without the library's parser: no client can tell."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from glockd.config import Config
from glockd.daemon import Daemon
from glockd.doors.line.websocket import WebSocketProtocol
from tools.courses import pieces
from tools.fuzz import HANDSHAKE, Wire

CORPUS = pieces(random.Random(15))
PING = b"\x89\x80\1\2\3\4"
CLOSE = b"\x88\x80\1\2\3\4"


def frame(payload: bytes, first: int = 0x81, mask: bytes = b"\x07\x5b\xcd\x15") -> bytes:
    """A masked frame (RFC 6455, 5.2)."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([first]) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Recorder(Wire):
    """A transport that keeps what is written."""

    written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


class Patient(WebSocketProtocol):
    """Leaves every frame to the library."""

    def _read_at_once(self, data: bytes) -> bool:
        return False


class Counting(WebSocketProtocol):
    """Counts what is read at once."""

    times = 0

    def _read_at_once(self, data: bytes) -> bool:
        done = super()._read_at_once(data)
        Counting.times += done
        return done


class Side:
    """A daemon whose clock stands still, and the websockets on it.

    Args:
        kind: what answers.
    """

    def __init__(self, kind: type[WebSocketProtocol]) -> None:
        daemon = Daemon(Config(port=0, ws=0, history=50), asyncio.get_running_loop(), Config)
        self.service, self.kind, self.way = daemon.service, kind, daemon.line._websocket
        self.service.now = lambda: 1000.0
        self.service.policy.wall_offset = lambda: 0.0
        self.ours, self.theirs = socket.socketpair()

    async def hears(self, packets: Sequence[bytes]) -> tuple[bytes, bool, list[int]]:
        """What a new client is answered that sends these, whether it is hung up on, and which verbs were counted."""
        wire = Recorder(self.ours, 1234)
        protocol = self.kind(self.service, self.way, lambda request: None)
        protocol.connection_made(wire)
        before = list(self.service.state.stats.uses)
        for packet in packets:
            protocol.data_received(packet)
            while protocol._going_on:  # noqa: ASYNC110  # what no event tells
                await asyncio.sleep(0)
        self.service.settle()
        protocol.connection_lost(None)
        uses = [after - one for after, one in zip(self.service.state.stats.uses, before, strict=True)]
        return wire.written, wire.closing, uses


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens begin with the time, and both sides are to give the same."""
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    Counting.times = 0


@pytest.fixture
async def sides() -> AsyncIterator[Sequence[Side]]:
    both = [Side(Patient), Side(Counting)]
    yield both
    for side in both:
        side.ours.close()
        side.theirs.close()


async def same(sides: Sequence[Side], packets: Sequence[bytes]) -> tuple[bytes, bool, list[int]]:
    one, other = [await side.hears([HANDSHAKE, *packets]) for side in sides]
    assert one == other, packets
    return one


WAYS: dict[str, Callable[[bytes], list[bytes]]] = {
    "whole": lambda one: [frame(one)],
    "as bytes": lambda one: [frame(one, 0x82)],
    "one behind another": lambda one: [frame(one), frame(b"g job"), frame(one), frame(b"me")],
    "two in a packet": lambda one: [frame(one) + frame(b"me"), frame(b"g job")],
    "behind a ping": lambda one: [
        PING,
        frame(one),
        PING + frame(one),
        PING[:3],
        PING[3:] + frame(one),
        frame(one),
    ],
    "inside fragments": lambda one: [frame(b"g a", 0x01), PING, frame(one), frame(b"b", 0x80), frame(one)],
    "behind fragments": lambda one: [frame(one, 0x01), frame(b"b", 0x80), frame(one)],
    "after a close": lambda one: [frame(b"g job"), CLOSE, frame(one), frame(b"me")],
    "in a wait": lambda one: [frame(b"g a"), frame(b"wait 9 a"), frame(one), frame(b"cancel"), frame(one)],
    "not masked": lambda one: [b"\x81" + bytes([min(len(one), 125)]) + one[:125], frame(one)],
    "as it is": lambda one: [one, frame(b"me")],
    "with a longer size than needed": lambda one: [b"\x81\xfe\0\2\0\0\0\0me", frame(one), frame(b"me")],
    "inside another": lambda one: [frame(b"x" * 200)[:9], frame(one), frame(b"me")],
}


# In these, something comes before that makes each frame the library's, or none at all.
NEVER = {
    "as bytes",
    "inside fragments",
    "not masked",
    "as it is",
    "with a longer size than needed",
    "inside another",
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_message_is_answered_as_the_library_has_it(way: str, sides: Sequence[Side]) -> None:
    for one in CORPUS if way == "whole" else CORPUS[:1500]:
        await same(sides, WAYS[way](one))
    assert bool(Counting.times) is (way not in NEVER)


async def test_a_message_may_be_cut_anywhere(sides: Sequence[Side]) -> None:
    for one in CORPUS[:40]:
        whole = frame(one[:120])
        for at in range(1, len(whole)):
            await same(sides, [whole[:at], whole[at:], frame(b"me"), whole])
    assert Counting.times


async def test_a_handshake_may_be_cut_anywhere_and_more_may_come_with_it(sides: Sequence[Side]) -> None:
    tail = frame(b"i a\r\n\r\n") + frame(b"me")
    for at in range(1, len(HANDSHAKE) + len(tail)):
        whole = HANDSHAKE + tail
        one, other = [
            await side.hears([whole[:at], whole[at:], frame(b"g job"), frame(b"me")]) for side in sides
        ]
        assert one == other
        assert sum(one[2]) == 4
    assert Counting.times >= 2 * (len(HANDSHAKE) + len(tail) - 1)


@pytest.mark.parametrize(
    ("packets", "times"),
    [
        ([frame(b"me")], 1),
        ([frame(b"me")] * 3, 3),
        ([frame(b"")], 0),
        ([frame(b"g " + b"x" * 123)], 1),
        ([frame(b"g " + b"x" * 124)], 0),
        ([frame("g caf\u00e9".encode())], 0),
        ([frame(b"me", 0x82)], 0),
        ([frame(b"me", 0xC1)], 0),
        ([frame(b"a", 0x01), frame(b"me")], 0),
        ([CLOSE, frame(b"me")], 0),
        ([frame(b"me")[:3], frame(b"me"), frame(b"me")], 0),
        ([frame(b"g " + b"x" * 124), PING, frame(b"x" * 70, 0x82), frame(b"me")], 1),
        ([frame(b"g a"), frame(b"wait 9 a"), frame(b"me")], 3),
    ],
)
async def test_what_is_read_at_once(sides: Sequence[Side], packets: Sequence[bytes], times: int) -> None:
    await same(sides, packets)
    assert Counting.times == times
