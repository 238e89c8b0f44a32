"""HTTP/1.1 (RFC 9110, 9112) for handlers: bytes in, Ask to Answer, bytes out.

The requests of one connection are carried out one after another, at most one a turn of the loop. What comes behind one
that is not answered yet lies unread. What is going on is told by these:

field       holds
_future     the answer in flight, given later by the handler
_pump       the answer in flight, sent bit by bit
_stuffed    the client does not read its answers; nothing more is carried out
_paused     it is not read from, as it has sent too much besides
_lingers    it has had its last answer; what it still sends is thrown away, so that the answer is not lost by a reset
_ended      it has shut down its side
_reader     what finds the requests; None before the connection has come in and when it is lost or handed over
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from glockd.net import proxy
from glockd.net.answers import Refused, refused, text
from glockd.net.exchange import Answer, Pieces
from glockd.net.heads import CONTINUE, has_body, head
from glockd.net.peer import Peer
from glockd.net.reader import BODY, BYTES_A_TURN, IDLE, Due, Reader
from glockd.net.streams import Pump
from glockd.net.sweep import has_hung_up

if TYPE_CHECKING:
    from glockd.net.http_way import HttpWay

# A client whose answer takes its time is read until it has sent this much more, in bytes.
BACKLOG = 65536

# Looks for which a client may still send what nobody reads.
LINGERING = 5

LAST_CHUNK = b"0\r\n\r\n"


NO_PROXY = "There is no PROXY protocol here."
ONLY_PROXY = "Only the PROXY protocol is understood here."


class HttpProtocol(Peer):
    """A client that speaks HTTP.

    Args:
        way: what it has in common with others.
    """

    __slots__ = (
        "_due",
        "_ended",
        "_future",
        "_lingers",
        "_paused",
        "_pump",
        "_reader",
        "_scheduled",
        "_served",
        "_stage",
        "_stuffed",
        "_unread",
        "_waited",
        "_way",
    )

    def __init__(self, way: HttpWay) -> None:
        super().__init__(way.service)
        self._way = way
        self._reader: Reader | None = None
        self._unread = bytearray()
        self._due: Due | None = None  # what the answer in flight is for
        self._future: asyncio.Future[Answer] | None = None
        self._pump: Pump | None = None
        self._stuffed = self._paused = self._lingers = self._ended = False
        self._scheduled = False  # `_go_on` is
        self._served = False  # an answer has been given
        self._stage = IDLE  # of the reader, at the last look
        self._waited = 0  # looks since that changed, or an answer was given

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.enter(transport):
            self._reader = Reader(self._way.limits, self.address)
            self._way.connections.add(self)
            self.service.sweep.watch(self)
        else:
            self._dismiss(text("Too many connections.", 503))

    def data_received(self, data: bytes) -> None:
        self._way.traffic.received += len(data)
        reader = self._reader
        if reader is None or self._lingers:
            return
        if not self._served and proxy.begins(data):
            self._served = True
            self.service.policy.refused["proxy"] += 1
            self._dismiss(text(NO_PROXY, 400))
        elif self._unread or len(data) > BYTES_A_TURN or not self._is_free(reader):
            self._unread += data
            self._proceed()
        else:
            self._read(reader, data)

    def eof_received(self) -> bool:
        self._ended = True
        reader = self._reader
        if reader is None or self._lingers:
            return False
        # TLS has no half of a connection that stays open: there is no other turn.
        half = self.transport.get_extra_info("sslcontext") is None
        while not half and self._has_more(reader) and self._may_go_on():
            self._go_on()
        self._proceed()
        return half and not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        self._part()

    def pause_writing(self) -> None:
        self._stuffed = True
        if self._pump is not None:
            self._pump.pause()

    def resume_writing(self) -> None:
        self._stuffed = False
        if self._pump is not None:
            self._pump.resume()
        self._proceed()

    # Peer

    def not_tls(self) -> bytes:
        return self._whole(
            text("Only TLS is understood here: this is an HTTP request to an HTTPS server.", 400)
        )

    def about_proxy(self, *, wanted: bool) -> bytes:
        return self._whole(text(ONLY_PROXY if wanted else NO_PROXY, 400))

    def _whole(self, answer: Answer) -> bytes:
        return head(answer, self._way.clock.date(), old=False, keeps=False) + answer.body

    def look(self) -> bool:
        if self.is_stalled():
            self.transport.abort()
            return False
        if not self.transport.is_closing() and self._reader is not None:
            self._look_for_silence(self._reader)
        return True

    def wind_up(self) -> None:
        """Close the connection, behind the answers to what has come whole."""
        reader = self._reader
        if reader is None or not (self._is_busy() or self._has_more(reader)):
            self.transport.close()

    # One request after another

    def _is_busy(self) -> bool:
        return self._future is not None or self._pump is not None

    def _is_free(self, reader: Reader) -> bool:
        """Whether what comes now may be read now."""
        return not (reader.due or self._stuffed or self._is_busy())

    def _may_go_on(self) -> bool:
        return not (self._stuffed or self._is_busy() or self._lingers or self.transport.is_closing())

    def _has_more(self, reader: Reader) -> bool:
        return bool(reader.due) or (bool(self._unread) and not reader.over)

    def _go_on(self) -> None:
        self._scheduled = False
        reader = self._reader
        if reader is None or not self._may_go_on():
            return
        if reader.due:
            self._begin(reader.due.pop(0))
            self._proceed()
        else:
            data = bytes(self._unread[:BYTES_A_TURN])
            del self._unread[:BYTES_A_TURN]
            self._read(reader, data)

    def _read(self, reader: Reader, data: bytes) -> None:
        behind = reader.feed(data)
        if behind:
            self._unread[:0] = behind
        if reader.due:
            self._begin(reader.due.pop(0))
        self._proceed()

    def _proceed(self) -> None:
        """See to it that what is to be done is done in the next turn."""
        reader = self._reader
        if reader is None or self._lingers or self.transport.is_closing():
            return
        free = not (self._stuffed or self._is_busy())
        if self._ended and self._is_busy() and not self._way.half_close:
            self._give_up()
            self.transport.close()
        elif free and self._has_more(reader):
            if not self._scheduled:
                self._scheduled = True
                self.service.loop.call_soon(self._go_on)
        elif free and self._ended:
            self.transport.close()
        elif free and reader.expects:
            reader.expects = False
            self._write(CONTINUE)
        stop = len(self._unread) > BACKLOG
        if stop != self._paused:
            self._paused = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _begin(self, due: Due) -> None:
        self._waited = 0
        self._due = due
        if due.refusal is not None:
            self._refuse(due.refusal)
            return
        if due.head:
            successor = self._way.upgrade(due.ask)
            if successor is not None:
                self._hand_over(successor, due.head)
                return
        refusal = self._way.guard(due.ask)
        if refusal is not None:
            self.service.policy.refused[refusal.reason] += 1
            self._give(refusal.answer)
            return
        try:
            answer = self._way.answer(due.ask)
        except Exception as error:
            answer = self._failed(error)
        if type(answer) is Answer:
            self._give(answer)
        else:
            future = cast("asyncio.Future[Answer]", answer)
            self._future = future
            if future.done():
                self._answered(future)
            else:
                future.add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[Answer]) -> None:
        if self._future is not future:
            return  # given up since it was done, earlier in this turn
        self._future = None
        if future.cancelled():
            self._give(text("The call was given up.", 503))
        else:
            error = future.exception()
            self._give(future.result() if error is None else self._failed(error))
        self._proceed()

    def _failed(self, error: BaseException) -> Answer:
        context = {"message": "a request could not be answered", "exception": error, "protocol": self}
        self.service.loop.call_exception_handler(context)
        return text("This is the daemon's own fault; its log says more.", 500)

    def _refuse(self, refusal: Refused) -> None:
        """Answer, and listen no more: nobody knows where the next request would begin."""
        self.service.policy.refused[refusal.reason] += 1
        self._dismiss(refusal.answer)

    def _dismiss(self, answer: Answer) -> None:
        self._due = None
        self._unread.clear()
        self._write(self._whole(answer))
        if self.transport.can_write_eof() and self._reader is not None and not self._ended:
            self._lingers = True
            self._waited = 0
            self.transport.write_eof()
            if self._paused:
                self._paused = False
                self.transport.resume_reading()
        else:
            self.transport.close()

    # Answers

    def _give(self, answer: Answer) -> None:
        due = cast(Due, self._due)
        keeps = due.keeps and not self._way.draining and not (answer.pieces is not None and due.old)
        try:
            start = head(answer, self._way.clock.date(), old=due.old, keeps=keeps)
        except ValueError as error:
            answer = self._failed(error)
            start = head(answer, self._way.clock.date(), old=due.old, keeps=keeps)
        told = due.ask.method != "HEAD" and has_body(answer.status)
        if answer.pieces is None:
            self._write(start + answer.body if told else start)
            self._finish(keeps)
        else:
            self._write(start)
            self._stream(answer.pieces, told, chunked=not due.old, keeps=keeps)

    def _stream(self, pieces: Pieces, told: bool, *, chunked: bool, keeps: bool) -> None:
        def done(whole: bool) -> None:
            self._pump = None
            if not whole:
                self.transport.abort()  # what is cut off must not look whole
                return
            if told and chunked:
                self._write(LAST_CHUNK)
            self._finish(keeps)
            self._proceed()

        write = self._write_chunk if chunked else self._write
        self._pump = Pump(self.service.loop, pieces, write if told else None, done)
        if self._stuffed:
            self._pump.pause()

    def _write(self, data: bytes) -> None:
        if data and not self.transport.is_closing():
            self._way.traffic.sent += len(data)
            self.transport.write(data)

    def _write_chunk(self, piece: bytes) -> None:
        self._write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _finish(self, keeps: bool) -> None:
        self._due = None
        self._served = True
        self._waited = 0
        if not keeps:
            self._unread.clear()
            self.transport.close()

    # Its end

    def _look_for_silence(self, reader: Reader) -> None:
        if self._lingers:
            self._waited += 1
            if self._waited >= LINGERING:
                self.transport.abort()
        elif self._is_busy() or self._stuffed or self._has_more(reader):
            self._waited = 0
            if self._paused and has_hung_up(self.transport.get_extra_info("socket").fileno()):
                self.transport.abort()  # it has sent more than anybody asked for, and left
        elif reader.stage != self._stage:
            self._stage = reader.stage
            self._waited = 0
        else:
            self._waited += 1
            self._mind_bounds(reader.stage)

    def _mind_bounds(self, stage: int) -> None:
        limits = self._way.limits
        handshake = self.service.policy.config.handshake_seconds
        if stage == IDLE and self._served:
            if self._waited >= limits.idle_seconds:
                self.transport.close()
        elif stage == BODY:
            if self._waited >= limits.body_seconds:
                self._refuse(refused("slow", 408, "The body did not come in time."))
        elif self._waited >= handshake:
            self._refuse(refused("handshake", 408, "The request did not come in time."))

    def _hand_over(self, successor: Peer, start: bytes) -> None:
        """Let somebody else have the connection, and all that has come of it from this request on."""
        transport = self.transport
        data = start + self._unread
        self._way.traffic.received -= len(data)  # it is counted again
        if self._paused:
            self._paused = False
            transport.resume_reading()
        self.give_way(successor)
        self._part()
        transport.set_protocol(successor)
        successor.connection_made(transport)
        successor.data_received(data)
        if self._ended and not successor.eof_received():
            transport.close()

    def _give_up(self) -> None:
        """Whoever makes the answer in flight need not go on."""
        future, self._future = self._future, None
        if future is not None:
            future.remove_done_callback(self._answered)
            future.cancel()
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.stop()
        self._due = None

    def _part(self) -> None:
        """There is no connection any more."""
        self._give_up()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        self._unread.clear()
        self._way.left(self)
