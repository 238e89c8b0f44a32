"""HTTP/2's streams (RFC 9113), our side of them: requests, and as much of their answers as windows let through.

- A stream is in `streams` from its HEADERS until its answer is out, or until either side has reset it. `ended`: the
  client has said all it will say there.
- What the windows of stream and connection do not let through of an answer is its stream's `unsent`; the stream is in
  `_ready` then, unless its own window is shut.
- A stream that we have ended before the client has is in `_forsaken`: what still comes on it is skipped.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Generic

from glockd.net import frames
from glockd.net.frames import END_HEADERS, END_STREAM, MAX_FRAME, PADDED, Error, Fault
from glockd.net.framing import CONNECTION_WINDOW, FRAMES_A_TURN, Framed
from glockd.net.headers import Blocks, Fields, are_trailers
from glockd.net.room import Grants, Room
from glockd.net.stream import H, Stream

if TYPE_CHECKING:
    from glockd.core.stats import Traffic
    from glockd.service import Service

# Streams open at the same time; announced is no limit, so that who waits on many can still give back what it has.
MOST_STREAMS = 16384
# Streams of which more may come although we have ended them.
MOST_FORSAKEN = 1024
# Bytes in one block of headers, CONTINUATIONs included.
MOST_HEADERS = 65536
# As a frame of a turn more count so many headers that must be read anew, and so many bytes of an answer: when the turn
# is over it is seen whether the client reads them.
HEADERS_A_FRAME = 4
BYTES_A_FRAME = 4096

DEPENDENCY = Struct(">IB")

# A flag that no frame can have: the headers are those of a malformed request.
MALFORMED = 0x100


class Http2(Framed, Generic[H]):
    """What makes requests of frames; who inherits it makes answers of requests.

    Args:
        service: the core at work.
        traffic: counts bytes and connections.
    """

    __slots__ = (
        "_blocks",
        "_forsaken",
        "_initial",
        "_ready",
        "_room",
        "_unread",
        "_unsent",
        "_window",
        "held",
        "streams",
    )

    def __init__(self, service: Service, traffic: Traffic) -> None:
        super().__init__(service, traffic)
        self._blocks = Blocks()
        self.streams: dict[int, Stream[H]] = {}
        self._forsaken: dict[int, None] = {}
        self._ready: dict[int, None] = {}
        self._initial = frames.DEFAULT_WINDOW  # where the windows of streams for our answers begin
        self._window = frames.DEFAULT_WINDOW  # bytes of answers that the connection may still carry
        self._unread = 0  # bytes of the client's window that are not given back yet
        self._unsent = 0  # bytes of answers that windows hold back
        self._room: Room | None = None  # for long requests, once there is one
        self.held = 0  # bytes of requests that are still coming

    # For subclasses

    def understand(self, fields: Fields) -> H | None:
        """What the headers of a request mean; None if it is malformed."""
        raise NotImplementedError

    def carry_out(self, stream: Stream[H], body: bytes) -> None:
        """Answer a request that has come whole, or have somebody answer it later."""
        raise NotImplementedError

    def take_piece(self, stream: Stream[H], body: bytearray) -> None:
        """Judge a body of which more will come; it is kept as long as nothing is answered."""
        raise NotImplementedError

    # What they use

    def answer(self, stream: Stream[H], opening: bytes, data: bytes, closing: bytes) -> None:
        """Answer a request: with HEADERS, DATA as far as windows let it through, and trailers.

        Args:
            opening: frames.
            data: bytes without frames.
            closing: a frame that ends the stream; empty: the last of the data does.
        """
        self.out.append(opening)
        stream.unsent, stream.closing = data, closing
        self._unsent += len(data)
        self._turn -= len(data) // BYTES_A_FRAME
        stream.waits = None
        self._send(stream)

    def answered(self, stream: Stream[H]) -> None:
        """The whole answer of a request is out; what else comes of it is skipped."""
        del self.streams[stream.number]
        self.idle_frames = 0
        self.forgiven = True
        self._make_room(stream)
        if not stream.ended:
            # RFC 9113, 8.1: who answers early asks the client to send no more.
            self._drop_body(stream)
            self.reset(stream.number, Error.NO_ERROR)

    def expect(self, stream: Stream[H], size: int) -> None:
        """Let a stream send a body of `size` bytes, as soon as there is room for it."""
        if size > frames.DEFAULT_WINDOW:
            if self._room is None:
                self._room = Room()
            self._grant(self._room.ask(stream.number, size - frames.DEFAULT_WINDOW))

    def reset(self, number: int, code: Error) -> None:
        """End a stream without an answer."""
        stream = self.streams.get(number)
        if stream is not None:
            self._forget(stream)
        self.out.append(frames.reset(number, code))
        if len(self._forsaken) >= MOST_FORSAKEN:
            del self._forsaken[next(iter(self._forsaken))]
        self._forsaken[number] = None

    def fits(self, stream: Stream[H], size: int) -> bool:
        """Take so many bytes of both windows for one DATA frame, if they have them."""
        if size > self._window or size > self._initial + stream.extra or size > MAX_FRAME:
            return False
        self._window -= size
        return True

    # Framed

    def unread(self) -> int:
        return super().unread() + self._unsent

    def has_answers(self) -> bool:
        return bool(self.streams)

    def forget_all(self) -> None:
        for stream in list(self.streams.values()):
            self._forget(stream)

    def change_initial(self, value: int) -> None:
        self._initial = value
        self._bear(len(self.streams) // FRAMES_A_TURN)
        for stream in self.streams.values():
            if value + stream.extra > frames.MAX_WINDOW:
                raise Fault(Error.FLOW_CONTROL_ERROR, "a window is too large")
            if stream.unsent:
                self._ready[stream.number] = None

    def send_ready(self) -> None:
        """Send what waited for the connection's window, or for the client to read."""
        while self._ready and self._window > 0 and not self._stuffed:
            self._send(self.streams[next(iter(self._ready))])

    # Frames

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._unread += size
        if self._unread >= CONNECTION_WINDOW // 2:
            self.out.append(frames.window_update(0, self._unread))
            self._unread = 0
        stream = self.streams.get(number)
        if stream is None or stream.ended:
            self._stray(number)
            return
        if flags & PADDED:
            payload = frames.without_padding(payload)
            if not flags & END_STREAM:
                self.out.append(frames.window_update(number, size - len(payload)))
        if flags & END_STREAM and stream.body is None:
            stream.ended = True
            self.carry_out(stream, payload)
            return
        stream.received += len(payload)
        room = frames.DEFAULT_WINDOW + (self._room.granted(number) if self._room else 0)
        if stream.received > room:
            self.reset(number, Error.FLOW_CONTROL_ERROR)
            return
        if stream.body is None:
            stream.body = bytearray()
        stream.body += payload
        self.held += len(payload)
        if flags & END_STREAM:
            self._end_body(stream)
        else:
            if not payload:
                self._bear()
            self.take_piece(stream, stream.body)

    def _end_body(self, stream: Stream[H]) -> None:
        stream.ended = True
        body = bytes(stream.body or b"")
        self._drop_body(stream)
        self.carry_out(stream, body)
        if not stream.unsent:
            # Else when its answer is out: who reads slowly asks slowly.
            self._make_room(stream)

    def _drop_body(self, stream: Stream[H]) -> None:
        if stream.body is not None:
            self.held -= len(stream.body)
            stream.body = None

    def _make_room(self, stream: Stream[H]) -> None:
        if self._room is not None:
            self._grant(self._room.leave(stream.number))

    def _grant(self, grants: Grants) -> None:
        self.out += [frames.window_update(number, more) for number, more in grants]

    def _stray(self, number: int) -> None:
        """Judge what has come for a stream that takes no more of it (5.1)."""
        self._check_begun(number)
        if number not in self._forsaken:
            raise Fault(Error.STREAM_CLOSED, "the stream has ended")
        self._bear()

    def _check_begun(self, number: int) -> None:
        if not number & 1 or number > self._last:
            raise Fault(Error.PROTOCOL_ERROR, "there is no such stream")

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number & 1:
            raise Fault(Error.PROTOCOL_ERROR, "clients begin streams with odd numbers")
        if flags & PADDED:
            payload = frames.without_padding(payload)
        if flags & frames.PRIORITISED:
            if len(payload) < DEPENDENCY.size:
                raise Fault(Error.FRAME_SIZE_ERROR, "HEADERS are cut off")
            if _depends_on(payload) == number:
                flags |= MALFORMED
            payload = payload[DEPENDENCY.size :]
        if flags & END_HEADERS:
            self._take_block(flags, number, payload)
        else:
            self._block = number, flags, payload

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        assert self._block is not None
        begun, first, block = self._block
        if begun != number:
            raise Fault(Error.PROTOCOL_ERROR, "a block of headers is torn")
        block += payload
        if len(block) > MOST_HEADERS:
            raise Fault(Error.ENHANCE_YOUR_CALM, "too many headers", "headers")
        self._bear()
        if flags & END_HEADERS:
            self._block = None
            self._take_block(first, number, block)
        else:
            self._block = number, first, block

    def _take_block(self, flags: int, number: int, block: bytes) -> None:
        if number <= self._last:
            self._take_trailers(flags, number, block)
            return
        head = self._blocks.known.get(block)
        if head is None:
            head = self._learn(block)
        self._last = number
        if self._ending or len(self.streams) >= MOST_STREAMS:
            if not self._ending:
                self.refuse("streams")
            self._bear()
            self.reset(number, Error.REFUSED_STREAM)
        elif head is None or flags & MALFORMED:
            self._bear()
            self.reset(number, Error.PROTOCOL_ERROR)
        else:
            stream = Stream(number, head)
            self.streams[number] = stream
            if flags & END_STREAM:
                stream.ended = True
                self.carry_out(stream, b"")

    def _learn(self, block: bytes) -> H | None:
        fields, constant = self._blocks.read(block)
        self._turn -= len(fields) // HEADERS_A_FRAME
        head = self.understand(fields)
        if constant and head is not None:
            self._blocks.remember(block, head)
        return head

    def _take_trailers(self, flags: int, number: int, block: bytes) -> None:
        """Take headers behind a request; what they say does not concern us."""
        fields, _ = self._blocks.read(block)
        self._turn -= len(fields) // HEADERS_A_FRAME
        stream = self.streams.get(number)
        if stream is None or stream.ended:
            self._stray(number)
        elif flags & MALFORMED or not flags & END_STREAM or not are_trailers(fields):
            self._bear()
            self.reset(number, Error.PROTOCOL_ERROR)
        else:
            self._end_body(stream)

    def _take_priority(self, flags: int, number: int, payload: bytes) -> None:
        if not number:
            raise Fault(Error.PROTOCOL_ERROR, "PRIORITY of no stream")
        self._bear()
        if len(payload) != DEPENDENCY.size:
            raise Fault(Error.FRAME_SIZE_ERROR, "PRIORITY of an odd size")
        if _depends_on(payload) == number:
            self.reset(number, Error.PROTOCOL_ERROR)

    def _take_reset(self, flags: int, number: int, payload: bytes) -> None:
        frames.word_of(payload, "RST_STREAM")
        self._check_begun(number)
        self._bear()
        stream = self.streams.get(number)
        if stream is not None:
            self._forget(stream)
            self._close_if_done()

    def _take_window_update(self, flags: int, number: int, payload: bytes) -> None:
        more = frames.word_of(payload, "WINDOW_UPDATE")
        self._bear()
        if not number:
            self._window += more
            if not more or self._window > frames.MAX_WINDOW:
                code = Error.FLOW_CONTROL_ERROR if more else Error.PROTOCOL_ERROR
                raise Fault(code, "a window is too large, or grows by nothing")
            self.send_ready()
            return
        self._check_begun(number)
        stream = self.streams.get(number)
        if stream is None:
            return
        stream.extra += more
        if not more:
            self.reset(number, Error.PROTOCOL_ERROR)
        elif self._initial + stream.extra > frames.MAX_WINDOW:
            self.reset(number, Error.FLOW_CONTROL_ERROR)
        elif stream.unsent:
            self._send(stream)

    # Answers

    def _send(self, stream: Stream[H]) -> None:
        """Send what the windows let through of an answer."""
        data, number = memoryview(stream.unsent), stream.number
        at = 0
        while at < len(data) and not self._stuffed:
            size = min(len(data) - at, MAX_FRAME, self._window, self._initial + stream.extra)
            if size <= 0:
                break
            last = not stream.closing and at + size == len(data)
            self.out += (
                frames.head(frames.DATA, END_STREAM if last else 0, number, size),
                data[at : at + size],
            )
            at += size
            self._window -= size
            stream.extra -= size
        self._unsent -= at
        stream.unsent = data[at:]
        if not stream.unsent:
            self.out.append(stream.closing)
            self._ready.pop(number, None)
            self.answered(stream)
        elif self._initial + stream.extra > 0:
            self._ready[number] = None
        else:
            self._ready.pop(number, None)

    def _forget(self, stream: Stream[H]) -> None:
        """Nobody wants this stream's answer any more."""
        del self.streams[stream.number]
        self._ready.pop(stream.number, None)
        self._unsent -= len(stream.unsent)
        self._drop_body(stream)
        self._make_room(stream)
        if stream.waits is not None:
            stream.waits()

    TAKE = (
        _take_data,
        _take_headers,
        _take_priority,
        _take_reset,
        Framed._take_settings,
        Framed._take_push,
        Framed._take_ping,
        Framed._take_goaway,
        _take_window_update,
        _take_continuation,
    )


def _depends_on(payload: bytes) -> int:
    """The stream that a stream says to depend on (5.3); of no further interest."""
    return int(DEPENDENCY.unpack_from(payload)[0]) & frames.MAX_STREAM
