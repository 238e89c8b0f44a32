"""gRPC's unary calls on HTTP/2, for the doors that speak it: no task a call, one write a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from glockd.net import frames
from glockd.net.calls import Answer, Caller, Code, Handler, Status
from glockd.net.frames import END_HEADERS, Error, Fault
from glockd.net.headers import MAX_LIST, Fields, list_size
from glockd.net.health import HEALTH, check_health
from glockd.net.http2 import Http2
from glockd.net.request import DONE, Head, closing, status_fields, trailer_fields, understand
from glockd.net.room import MOST_GRANTED
from glockd.net.stream import Stream

if TYPE_CHECKING:
    from glockd.core.stats import Traffic
    from glockd.service import Service

MAX_MESSAGE = 4 << 20  # bytes of a request's message
# Bytes of requests that are still coming, on one connection: those that have been granted room, and as much again of
# beginnings.
MOST_HELD = 2 * MOST_GRANTED
# A request that will be refused is waited for so long, in bytes.
MOST_SKIPPED = 32768

# Lists of headers whose meaning is remembered, for all connections, and how long they may be: some 400 KB.
MOST_KNOWN_LISTS = 256
LONGEST_KNOWN_LIST = 1024

STRIKES = 2  # pings too early that are borne
LONGEST_TIMER = 1e6  # seconds; who waits longer waits for ever

TOO_LONG = Head().refuse(Code.RESOURCE_EXHAUSTED, "the headers are too long", 431)
TOO_LARGE = f"the message is larger than {MAX_MESSAGE} bytes"
LATE = Status(Code.DEADLINE_EXCEEDED, "context deadline exceeded")

PREFIX = Struct(">BI")  # of a message: whether it is compressed, its size
# The beginning of a DATA frame and a message's prefix.
DATA_AND_PREFIX = Struct(">HBBBIBI")
# A good answer's last headers, around their stream's number.
DONE_OPENING = closing(0, DONE)[:5]


class Manners(NamedTuple):
    """What is asked of clients while they say nothing, or too much of it.

    The default is that a peer that vanished is found within the dead-peer bound, and that pings are free.
    """

    keepalive_seconds: int = (
        0  # of silence before we ask for a sign of life; 0: so that the dead-peer bound holds
    )
    keepalive_timeout_seconds: int = 0  # for that sign; used only with keepalive_seconds
    ping_seconds: int = (
        0  # that must lie between a client's pings; each answer of ours forgives those too early
    )


class GrpcServer:
    """Answers on a kind of socket: calling it makes what answers one connection.

    Args:
        service: the core at work.
        traffic: counts bytes and connections.
        calls: by path, `/package.Service/Method`.
        caller: makes the door's side of a connection; no bytes have come yet.
        manners: what is asked of silent clients; may be replaced at any time.
        health: whether health checks are answered, too.
    """

    def __init__(
        self,
        service: Service,
        traffic: Traffic,
        calls: Mapping[str, Handler],
        caller: Callable[[GrpcConnection], Caller],
        manners: Manners | None = None,
        *,
        health: bool = True,
    ) -> None:
        self.service = service
        self.traffic = traffic
        self.caller = caller
        self.manners = manners or Manners()
        names = frozenset(path.split("/")[1] for path in calls)
        known = dict(calls)
        if health:
            known[HEALTH] = partial(check_health, names | {""})
        self.calls = {path.encode("ascii"): call for path, call in known.items()}
        self.connections: set[GrpcConnection] = set()
        self._known: dict[Fields, Head] = {}

    def __call__(self) -> GrpcConnection:
        return GrpcConnection(self)

    def understand(self, fields: Fields, size: int) -> Head | None:
        """What the headers of a request mean; None if they are malformed.

        Args:
            size: how long the list is.
        """
        # Deadlines differ from call to call, and nothing else does; most come last.
        timeout = next((value for name, value in fields if name == b"grpc-timeout"), None)
        rest = tuple(fields if timeout is None or fields[-1][0] != b"grpc-timeout" else fields[:-1])
        head = self._known.get(rest)
        if head is None:
            head = understand(rest, self.calls)
            if head is None:
                return None
            if size <= LONGEST_KNOWN_LIST:
                if len(self._known) >= MOST_KNOWN_LISTS:
                    self._known.clear()
                self._known[rest] = head
        return head if timeout is None else head.within(timeout)

    async def drain(self, deadline: float) -> None:
        """Answer every call that waits with UNAVAILABLE, send what is answered, and close every connection.

        Args:
            deadline: monotonic seconds; what is not closed by then is cut off.
        """
        for one in tuple(self.connections):
            one.end("shutdown")
            if one.is_over:
                one.transport.close()
        while self.connections and self.service.now() < deadline:  # noqa: ASYNC110  # what no event tells
            await asyncio.sleep(0.005)
        for one in tuple(self.connections):
            one.cut("shutdown")


class GrpcConnection(Http2[Head]):
    """One client's connection.

    Args:
        server: says what is answered.
    """

    __slots__ = ("_caller", "_pinged", "_quiet", "_seen", "_server", "_strikes")

    def __init__(self, server: GrpcServer) -> None:
        super().__init__(server.service, server.traffic)
        self._server = server
        self._caller: Caller | None = None  # until it is let in, and when it has left
        self._pinged = -LONGEST_TIMER  # when the client's last ping came
        self._strikes = 0
        self._seen = 0  # the newest stream at the last look
        self._quiet = 0  # looks without a call

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self.is_over:
            self._server.connections.add(self)
            self._caller = self._server.caller(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.connections.discard(self)
        self._caller = None  # which may know this connection

    # Http2

    def understand(self, fields: Fields) -> Head | None:
        size = list_size(fields)
        if size > MAX_LIST:
            self.refuse("headers")
            return TOO_LONG
        return self._server.understand(fields, size)

    def take_piece(self, stream: Stream[Head], body: bytearray) -> None:
        if stream.head.refusal is not None:
            if len(body) > MOST_SKIPPED:
                self._turn_down(stream)
            return
        size = PREFIX.unpack_from(body)[1] if len(body) >= PREFIX.size else 0
        if size > MAX_MESSAGE or self.held > MOST_HELD:
            self._too_large(stream)
        elif len(body) > PREFIX.size + size:
            self.say(stream, Status(Code.INTERNAL, "more than one message"))
        else:
            self.expect(stream, PREFIX.size + size)

    def carry_out(self, stream: Stream[Head], body: bytes) -> None:
        head, size = stream.head, len(body)
        if (
            head.refusal is None
            and size >= 5
            and PREFIX.unpack_from(body) == (0, size - 5)
            and size - 5 <= MAX_MESSAGE
            and head.length in (None, size)
        ):
            self._call(stream, body[5:])
        elif head.length not in (None, size):
            self.reset(stream.number, Error.PROTOCOL_ERROR)
        elif head.refusal is not None:
            self._turn_down(stream)
        else:
            self._find_fault(stream, body)

    def pinged(self) -> None:
        least = self._server.manners.ping_seconds
        if not least:
            return
        now = self.service.now()
        if self.forgiven:
            self._strikes = 0
        elif now < self._pinged + least:
            self._strikes += 1
        self._pinged, self.forgiven = now, False
        if self._strikes > STRIKES:
            raise Fault(Error.ENHANCE_YOUR_CALM, "too_many_pings", "pings")

    def lost(self, how: str) -> None:
        assert self._caller is not None
        self._caller.leave(how)
        if not self.is_over:
            for stream in list(self.streams.values()):
                if stream.waits is not None:
                    stream.waits()
                    self.say(stream, Status(Code.UNAVAILABLE, f"the server ends this connection: {how}"))

    # Calls

    def _call(self, stream: Stream[Head], message: bytes) -> None:
        head = stream.head
        assert head.call is not None
        if head.timeout == 0:
            self.say(stream, LATE)
            return
        try:
            answer = head.call(self._caller, head.metadata, message)
            if isinstance(answer, asyncio.Future):
                self._wait(stream, answer)
            else:
                self._reply(stream, answer)
        except Status as status:
            self.say(stream, status)
        except Exception as error:
            self._apologise(stream, error)

    def _reply(self, stream: Stream[Head], answer: Answer) -> None:
        """Send an answer, or the status that stands for it."""
        number, head = stream.number, stream.head
        if number not in self.streams:
            return  # its own handler has ended the connection
        if isinstance(answer, bytes):
            message, last = answer, b""
        elif isinstance(answer, Status):
            self.say(stream, answer)
            return
        else:
            message, last = answer.message, closing(number, DONE + trailer_fields(answer.trailers))
        size = len(message) + 5
        sid = frames.WORD.pack(number)
        if self.fits(stream, size):
            start = DATA_AND_PREFIX.pack(size >> 8, size & 255, frames.DATA, 0, number, 0, size - 5)
            self.out += head.opening, sid, head.block, start, message
            self.out += (last,) if last else (DONE_OPENING, sid, DONE)
            self.answered(stream)
        else:
            data = PREFIX.pack(0, size - 5) + message
            self.answer(stream, head.opening + sid + head.block, data, last or closing(number, DONE))

    def say(self, stream: Stream[Head], status: Status) -> None:
        """Answer a call by a status alone."""
        if stream.number in self.streams:
            self.answer(stream, closing(stream.number, stream.head.block + status_fields(status)), b"", b"")

    def _turn_down(self, stream: Stream[Head]) -> None:
        """Answer what no handler is asked about."""
        block, body = stream.head.refusal or ((b""), b"")
        if body:
            headers = frames.frame(frames.HEADERS, END_HEADERS, stream.number, block)
            self.answer(stream, headers, body, b"")
        else:
            self.answer(stream, closing(stream.number, block), b"", b"")

    def _find_fault(self, stream: Stream[Head], body: bytes) -> None:
        """Say what is wrong with a request that is not one whole message."""
        if len(body) < PREFIX.size:
            self.say(stream, Status(Code.UNKNOWN, "EOF"))
            return
        compressed, size = PREFIX.unpack_from(body)
        encoding = stream.head.encoding
        if compressed == 1 and encoding != b"identity":
            text = f"messages compressed by {encoding.decode('latin-1')} are not understood"
            self.say(stream, Status(Code.UNIMPLEMENTED, text, ((b"grpc-accept-encoding", b"identity"),)))
        elif compressed:
            self.say(stream, Status(Code.INTERNAL, "a message is said to be compressed, but not how"))
        elif size > MAX_MESSAGE:
            self._too_large(stream)
        elif len(body) < PREFIX.size + size:
            self.say(stream, Status(Code.UNKNOWN, "EOF"))
        else:
            self.say(stream, Status(Code.INTERNAL, "more than one message"))

    def _too_large(self, stream: Stream[Head]) -> None:
        self.refuse("message")
        self.say(stream, Status(Code.RESOURCE_EXHAUSTED, TOO_LARGE))

    def _apologise(self, stream: Stream[Head], error: BaseException) -> None:
        """Tell the log what has gone wrong here, and the client only that something has."""
        self.service.loop.call_exception_handler(
            {"message": "a call could not be answered", "exception": error}
        )
        self.say(stream, Status(Code.INTERNAL, "the server could not answer this call"))

    # Calls that wait

    def _wait(self, stream: Stream[Head], future: asyncio.Future[Answer]) -> None:
        timeout = stream.head.timeout
        timer = None
        if timeout is not None and timeout < LONGEST_TIMER:
            timer = self.service.loop.call_later(timeout, self._expire, stream)
        stream.waits = partial(_give_up, future, timer)
        future.add_done_callback(partial(self._done, stream, timer))

    def _done(
        self, stream: Stream[Head], timer: asyncio.TimerHandle | None, future: asyncio.Future[Answer]
    ) -> None:
        """The future of a call has its answer, or has been cancelled."""
        if timer is not None:
            timer.cancel()
        error = Status(Code.CANCELLED, "the call was given up") if future.cancelled() else future.exception()
        if self.streams.get(stream.number) is not stream or stream.waits is None:
            return  # nobody waits any more
        stream.waits = None
        # Not raised again: the exception would know this frame, and the frame it.
        if isinstance(error, Status):
            self.say(stream, error)
        elif error is not None:
            self._apologise(stream, error)
        else:
            try:
                self._reply(stream, future.result())
            except Exception as problem:
                self._apologise(stream, problem)
        self.flush()

    def _expire(self, stream: Stream[Head]) -> None:
        if self.streams.get(stream.number) is stream and stream.waits is not None:
            stream.waits()
            self.say(stream, LATE)
            self.flush()

    # The sweep

    def look(self) -> bool:
        """Notice what no event tells of; it is looked at as long as it is connected."""
        if self.is_stalled():
            self.cut("slow reader")
        elif self.is_over:
            # The client has had its time to read why.
            if self.looks.ending:
                self.transport.close()
            self.looks.ending = True
        elif not self.transport.is_closing() and self.is_read:
            self.idle_frames = 0
            self._quiet = 0 if self.streams or self.newest != self._seen else self._quiet + 1
            self._seen = self.newest
            self._look_for_calls()
            self._look_for_life()
        return not self.is_over or not self.transport.is_closing() or self.unread() > 0

    def _look_for_calls(self) -> None:
        """Dismiss who does not begin, or does nothing, as far as that is not allowed."""
        config, quiet = self.service.policy.config, self._quiet
        if not self.begun and quiet >= config.handshake_seconds:
            self.refuse("handshake")
            self.end("idle")
        elif self.begun and not self.newest and quiet >= config.first_command_seconds:
            self.refuse("first_command")
            self.end("idle")
        elif self.begun and quiet >= config.idle_seconds and self._caller and self._caller.is_idle():
            self.refuse("idle")
            self.end("idle")

    def _look_for_life(self) -> None:
        """Ask a silent client for a sign of life, and end it if there is none."""
        looks, (seconds, timeout, _) = self.looks, self._server.manners
        looks.silent = 0 if self.heard else looks.silent + 1
        self.heard = False
        if not seconds:
            # What came right behind a look was heard almost a second after it; another one is left for the end.
            bound = self.service.policy.config.dead_peer_seconds
            timeout = bound // 3
            seconds = bound - timeout - 2
        if looks.silent >= seconds + timeout:
            self.cut("dead peer")
        elif looks.silent == seconds:
            self.out.append(PING)
            self.flush()


def _give_up(future: asyncio.Future[Answer], timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
    future.cancel()


PING = frames.frame(frames.PING, 0, 0, b"glockd\0\0")
