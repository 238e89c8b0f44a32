"""What carries HTTP/2's frames (RFC 9113): one connection, its beginning, turns and end. Streams are http2.py's.

The flags, and what holds when they are set:

- `_stuffed`: the transport's buffer is full; nothing is taken that has been read, and nothing more is read.
- `_going_on`: a turn was over before all frames were taken; the rest has its turn soon, and nothing more is read.
- `_paused`: the transport does not read, because of one of these two.
- `_ending`: a GOAWAY is out and the session has ended; no more streams are taken, and the connection closes with the
  last answer.
- `_over`: nothing that comes is taken any more; the connection is closed or closes with what is still to go out.
"""

from __future__ import annotations

from asyncio import BaseTransport
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from glockd.net import frames
from glockd.net.frames import ACK, MAX_FRAME, Error, Fault
from glockd.net.peer import Peer, how_it_ended
from glockd.policy import Reason

if TYPE_CHECKING:
    from glockd.core.stats import Traffic
    from glockd.service import Service

# How much may be under way on one connection; given back in halves.
CONNECTION_WINDOW = 16 << 20

# Frames within a second that bring no call forward: pings, resets, empty ones and the like.
MOST_IDLE_FRAMES = 20_000
# Frames that are taken before others get their turn: some 3 ms.
FRAMES_A_TURN = 256

# What we begin with: no push, and more room for the connection than HTTP/2 begins with.
GREETING = frames.settings((frames.ENABLE_PUSH, 0)) + (
    frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW)
)
SETTINGS_ACK = frames.frame(frames.SETTINGS, ACK, 0, b"")


class Framed(Peer):
    """One connection, our side of it.

    Args:
        service: the core at work.
        traffic: counts bytes and connections.
    """

    __slots__ = (
        "_begun",
        "_block",
        "_ending",
        "_going_on",
        "_last",
        "_over",
        "_paused",
        "_rest",
        "_stuffed",
        "_traffic",
        "_turn",
        "forgiven",
        "heard",
        "idle_frames",
        "out",
    )

    # What takes a frame, by its kind: the connection, flags, the stream's number, payload.
    TAKE: ClassVar[tuple[Callable[[Any, int, int, bytes], None], ...]]

    def __init__(self, service: Service, traffic: Traffic) -> None:
        super().__init__(service)
        self._traffic = traffic
        self._begun = 0  # bytes of the preface that have come; one more when the first SETTINGS have
        self._rest = b""  # what has been read and not taken
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and beginning of a block of headers
        self._last = 0  # the newest stream that the client has begun
        self._turn = 0  # frames that may still be taken in this turn
        self.out: list[bytes | memoryview] = []  # what goes out when the turn is over
        self.idle_frames = 0  # since the last look, or the last answer
        self.forgiven = False  # something has been answered since the client's last ping
        self.heard = False  # something has come since the last look
        self._stuffed = self._paused = self._going_on = self._ending = self._over = False

    # For subclasses

    def send_ready(self) -> None:
        """Send what can be sent of answers that have waited."""
        raise NotImplementedError

    def change_initial(self, value: int) -> None:
        """The windows of streams begin with so many bytes now, those of open streams too.

        Raises:
            Fault: one would be too large.
        """
        raise NotImplementedError

    def has_answers(self) -> bool:
        """Whether something is still to be answered."""
        raise NotImplementedError

    def forget_all(self) -> None:
        """Nobody wants answers any more."""
        raise NotImplementedError

    def pinged(self) -> None:
        """The client has sent a ping, and its answer is on the way."""

    def lost(self, how: str) -> None:
        """The connection ends: nobody can be answered any more. Called once, and only if it was let in.

        Args:
            how: closed, reset, dead peer, slow reader, or what `end` was given.
        """
        raise NotImplementedError

    # What they use

    def flush(self) -> None:
        """Send what has been put into `out`."""
        if self.out:
            data = b"".join(self.out)
            self.out.clear()
            self._traffic.sent += len(data)
            self.transport.write(data)
            if self._ending:
                self._close_if_done()

    def refuse(self, why: Reason) -> None:
        """Count what a client was not allowed."""
        self.service.policy.refused[why] += 1

    def fail(self, fault: Fault) -> None:
        """End the session because of what the client did, and tell it why.

        It may be sending still: to close at once would reset the connection, and the reason might not be read. So the
        client closes it, or the sweep.
        """
        if not self._over:
            self.refuse(fault.why)
            self.out.append(frames.goaway(self._last, fault.code, str(fault)))
            self._finish("closed")
            if self._paused:
                self._paused = False
                self.transport.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()

    def end(self, how: str) -> None:
        """Take no more calls, and close the connection when the answers that have been made are out.

        The door has answered what waits; its session ends at once.

        Args:
            how: kicked, shutdown, idle or lapsed.
        """
        if not self._ending and not self._over:
            self._ending = True
            self.out.append(frames.goaway(self._last, Error.NO_ERROR, how))
            self.lost(how)
            self.flush()
            self._close_if_done()

    def cut(self, how: str) -> None:
        """End the connection at once."""
        if not self._over:
            self._over = True
            self._leave_all(how)
        self.transport.abort()

    @property
    def begun(self) -> bool:
        """Whether the client speaks HTTP/2."""
        return self._begun > len(frames.PREFACE)

    @property
    def newest(self) -> int:
        """The number of the newest stream that the client has begun."""
        return self._last

    @property
    def is_read(self) -> bool:
        """Whether what the client sends is read."""
        return not self._paused

    @property
    def is_over(self) -> bool:
        """Whether it is closed, or closes with what it still sends."""
        return self._over

    # asyncio.Protocol

    def connection_made(self, transport: BaseTransport) -> None:
        self._traffic.connections += 1
        self.out.append(GREETING)
        if self.enter(transport):
            self.service.sweep.watch(self)
        else:
            self.out.append(frames.goaway(0, Error.ENHANCE_YOUR_CALM, "too many connections"))
            self._over = True
            self.flush()
            self.transport.close()
            return
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.heard = True
        self._traffic.received += len(data)
        if self._over:
            return
        self._rest = self._rest + data if self._rest else data
        if not self._going_on:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        if not self._over:
            self._over = True
            self._leave_all(how_it_ended(exc))

    def pause_writing(self) -> None:
        self._stuffed = True
        self._regulate()

    def resume_writing(self) -> None:
        self._stuffed = False
        self.send_ready()
        self.flush()
        if self._rest and not self._going_on:
            self._going_on = True
            self.service.loop.call_soon(self._go_on)
        self._regulate()

    def _regulate(self) -> None:
        """Read from the client or not; who does not read its answers is not read from."""
        stop = self._stuffed or self._going_on
        if stop != self._paused and not self.transport.is_closing():
            self._paused = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    # Frames

    def _go_on(self) -> None:
        """Take what has come, but let others have their turn."""
        self._going_on = False
        if self._over:
            self._rest = b""
        if self._over or self._stuffed:
            return
        self._turn = FRAMES_A_TURN
        try:
            if self._begun < len(frames.PREFACE):
                self._take_preface()
            more = self._take_frames()
        except Fault as fault:
            self.fail(fault)
            return
        self.flush()
        if more and not self._over:
            self._going_on = True
            self.service.loop.call_soon(self._go_on)
        if more or self._paused:
            self._regulate()

    def _take_preface(self) -> None:
        size = len(frames.PREFACE) - self._begun
        some = self._rest[:size]
        if not frames.PREFACE.startswith(some, self._begun):
            raise Fault(Error.PROTOCOL_ERROR, "no HTTP/2")
        self._begun += len(some)
        self._rest = self._rest[size:]

    def _take_frames(self) -> bool:
        """Take frames until there are no more whole ones, or the turn is over; whether it is."""
        data, at, unpack = self._rest, 0, frames.HEAD.unpack_from
        end = len(data)
        while end - at >= 9:
            high, low, kind, flags, number = unpack(data, at)
            size = high << 8 | low
            if size > MAX_FRAME:
                raise Fault(Error.FRAME_SIZE_ERROR, "a frame is too large")
            start = at + 9
            if start + size > end:
                break
            if self._turn <= 0:
                self._rest = data[at:]
                return True
            self._turn -= 1
            at = start + size
            if kind > frames.CONTINUATION:
                self._skip(kind)
            elif (kind == frames.CONTINUATION) is (self._block is None):
                raise Fault(Error.PROTOCOL_ERROR, "a block of headers is torn")
            elif self._begun <= len(frames.PREFACE) and kind != frames.SETTINGS:
                raise Fault(Error.PROTOCOL_ERROR, "SETTINGS come first")
            else:
                self.TAKE[kind](self, flags, number & frames.MAX_STREAM, data[start:at])
        self._rest = data[at:]
        return False

    def _skip(self, kind: int) -> None:
        if self._block is not None:
            raise Fault(Error.PROTOCOL_ERROR, "a block of headers is torn")
        self._bear()

    def _bear(self, cost: int = 1) -> None:
        """Count what brings no call forward; it is forgiven each second, and with each answer."""
        self.idle_frames += cost
        if self.idle_frames > MOST_IDLE_FRAMES:
            raise Fault(Error.ENHANCE_YOUR_CALM, "too many frames for nothing", "flood")

    def _take_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Fault(Error.PROTOCOL_ERROR, "SETTINGS of a stream")
        if flags & ACK:
            if payload or not self.begun:
                raise Fault(Error.FRAME_SIZE_ERROR, "SETTINGS that are not due")
            return
        self._begun = len(frames.PREFACE) + 1
        for name, value in frames.settings_of(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                self.change_initial(value)
        self._bear()
        self.out.append(SETTINGS_ACK)
        self.send_ready()

    def _take_push(self, flags: int, number: int, payload: bytes) -> None:
        raise Fault(Error.PROTOCOL_ERROR, "clients push nothing")

    def _take_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Fault(Error.PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != 8:
            raise Fault(Error.FRAME_SIZE_ERROR, "PING of an odd size")
        self._bear()
        if not flags & ACK:
            # Ahead of all that waits to go out.
            self.out.insert(0, frames.frame(frames.PING, ACK, 0, payload))
            self.pinged()

    def _take_goaway(self, flags: int, number: int, payload: bytes) -> None:
        """The client begins no more streams; it closes when it has its answers."""
        if number:
            raise Fault(Error.PROTOCOL_ERROR, "GOAWAY of a stream")
        if len(payload) < 8:
            raise Fault(Error.FRAME_SIZE_ERROR, "GOAWAY is cut off")
        self._bear()

    # The end

    def _close_if_done(self) -> None:
        if self._ending and not self._over and not self.out and not self.has_answers():
            self._finish("closed")
            self.transport.close()

    def _finish(self, how: str) -> None:
        """Send what is to go out, and take nothing more."""
        self._over = True
        self.flush()
        self._leave_all(how)

    def _leave_all(self, how: str) -> None:
        if not self._ending:
            self.lost(how)
        self.forget_all()
        self._rest = b""
