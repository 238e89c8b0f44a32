"""Websocket (RFC 6455): each message is a command, and each gets one text message back.

Small text frames that come alone are read here, `_read_at_once` says when; all else is the library's.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Sequence

from websockets.exceptions import NegotiationError
from websockets.frames import (  # type: ignore[attr-defined]
    BINARY,
    CLOSE,
    CONT,
    TEXT,
    CloseCode,
    Frame,
    apply_mask,  # in C, if the package was built with that
)
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from glockd.core.sessions import Session
from glockd.doors.line.connection import Connection, Way
from glockd.doors.line.wire.language import HANDSHAKE_TOO_LONG, NO_PROXY, TOO_MANY_CONNECTIONS
from glockd.doors.line.wire.messages import MessageConversation
from glockd.net import proxy
from glockd.net.guard import is_own_page
from glockd.net.peer import how_it_ended
from glockd.net.sweep import TICK
from glockd.service import Service

# RFC 6455, 7.4.1: what a close frame says, by how the session ends.
CLOSE_CODES = {
    "closed": CloseCode.NORMAL_CLOSURE,
    "kicked": CloseCode.POLICY_VIOLATION,
    "idle": CloseCode.POLICY_VIOLATION,
    "shutdown": CloseCode.GOING_AWAY,
}

# So many bytes of one client are looked at before others get their turn: some hundred commands.
BYTES_A_TURN = 16384

# What the library would log of each connection is not worth its time; the daemon logs what matters.
_SILENT = logging.getLogger("glockd.websockets")
_SILENT.setLevel(logging.CRITICAL)

# Answers a request that is no handshake, or may not be one; None lets the handshake go on.
Pages = Callable[[Request], Response | None]


class _Protocol(ServerProtocol):
    """The library's protocol, with the original's manners."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """The one that is offered; it changes nothing."""
        if len(subprotocols) > 1:
            raise NegotiationError("several subprotocols offered")
        return subprotocols[0] if subprotocols else None

    def recv_frame(self, frame: Frame) -> None:
        """Leave the answer to a close frame, whatever its code, to who reads the events.

        The messages before it are still to be answered, and the locks to be released.
        """
        if frame.opcode is CLOSE:
            self.events.append(frame)
        else:
            super().recv_frame(frame)


class WebSocketProtocol(Connection):
    """A client on a websocket.

    Args:
        service: the core at work.
        way: of websockets.
        pages: answers what is no websocket handshake.
    """

    __slots__ = (
        "_departing",
        "_fragments",
        "_heard",
        "_inside",
        "_pages",
        "_protocol",
        "_traffic",
        "_unheard",
        "_unparsed",
        "_way",
    )
    talk: MessageConversation
    minds_silence = True

    def __init__(self, service: Service, way: Way, pages: Pages) -> None:
        super().__init__(service)
        self._way = way
        self._pages = pages
        self._traffic = way.traffic
        self._protocol = _Protocol(max_size=service.policy.config.max_message, logger=_SILENT)
        self._fragments: list[bytes] | None = None
        self._unparsed = b""
        self._inside = 0  # bytes behind the handshake that the library has, and has made no frame of
        self._heard = False  # something has come since the last look
        self._unheard = 0  # looks since something came
        self._departing = False  # its close frame is there; what came before is still carried out

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.enter(transport):
            self.service.sweep.watch(self)
        else:
            self._turn_away(503, TOO_MANY_CONNECTIONS)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        self._traffic.received += len(data)
        if not self._inside and self._read_at_once(data):
            return
        if self._unparsed or (len(data) > BYTES_A_TURN and self.session is not None):
            self._unparsed += data
            if not self.talk.more:
                self._parse_some()
                self.regulate()
        else:
            self._parse(data)

    def eof_received(self) -> bool:
        self._lose("closed")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        self._lose(how_it_ended(exc))
        _break_cycles(self._protocol)

    def push(self, reply: bytes) -> None:
        self._answer(reply)
        self._flush()

    def backlog(self) -> int:
        return self.talk.held_back

    def look(self) -> bool:
        if self.session is None and not self.transport.is_closing():
            self.looks.silent += 1
            if self.looks.silent >= self.service.policy.config.handshake_seconds:
                self.service.policy.refused["handshake"] += 1
                self._turn_away(408, HANDSHAKE_TOO_LONG)
            return True
        return super().look()

    def look_for_silence(self, session: Session) -> None:
        if self._paused:
            return  # its pongs are not read either
        super().look_for_silence(session)
        config = self.service.policy.config
        if config.ws_ping and self.session is not None:
            # What came right behind a look was heard almost a TICK after it; another one is left for the end.
            self._unheard = 0 if self._heard else self._unheard + 1
            self._heard = False
            if self._unheard >= config.dead_peer_seconds - 2 * TICK:
                self.cut("dead peer")
            elif self._unheard and self._unheard % max(1, config.dead_peer_seconds // 3) == 0:
                self._protocol.send_ping(b"")
                self._flush()

    def is_behind(self) -> bool:
        return self.talk.more or bool(self._unparsed)

    def go_on(self) -> None:
        for reply in self.talk.resume(self.service.now()):
            self._answer(reply)
        self._flush()
        if self._unparsed and not self.talk.more:
            self._parse_some()
        self.service.settle()
        if self._departing and not self.talk.more:
            self.hang_up("closed")
        self.regulate()

    def _read_at_once(self, data: bytes) -> bool:
        """Carry out a packet that is one small text frame and nothing else; whether it was, else nothing has happened.

        It is read as the library would, which takes ten times as long. The library knows nothing of it, so it must
        stand between two frames, and no fragmented message may be open: a text frame would be an error then.
        """
        size = len(data) - 6
        # RFC 6455, 5.2: the end of a message of text without extensions, masked, of less than 126 bytes.
        if not 0 < size < 126 or data[0] != 0x81 or data[1] != 0x80 | size:
            return False
        protocol = self._protocol
        if (
            self.session is None
            or protocol.state is not OPEN
            or self._fragments is not None
            or self._unparsed
            or protocol.writes
        ):
            return False
        talk = self.talk
        message = apply_mask(data[6:], data[2:6])
        if talk.over or not message.isascii():
            return False  # the library sees to what is UTF-8
        self.looks.spoke = True
        service = self.service
        replies = talk.receive(message, service.now())
        if replies:
            answer = b"".join([_text_header(len(reply)) + reply for reply in replies])
            self._traffic.sent += len(answer)
            self.transport.write(answer)
        if service.outbox or service.deadlines.moved:
            service.settle()
        if talk.more or talk.waiter is not None or talk.promise is not None or talk.over:
            self.regulate()
        return True

    def _parse_some(self) -> None:
        data, self._unparsed = self._unparsed[:BYTES_A_TURN], self._unparsed[BYTES_A_TURN:]
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        protocol = self._protocol
        if self.session is None:
            self._inside = _behind_request(protocol.reader.buffer, data)
        else:
            self._inside += len(data)
        protocol.receive_data(data)
        for event in protocol.events_received():
            if type(event) is Frame:
                opcode = event.opcode
                if opcode is CLOSE:
                    # Answered when everything is released. It stays in `_inside`: what comes behind is the library's.
                    self._departing = True
                    if self.session is None or not self.talk.more:
                        self.hang_up("closed")
                    else:
                        self._unparsed = b""
                        self.regulate()
                    return
                self._inside -= _size_on_the_wire(event)
                if self.session is not None:
                    message = self._whole(event)
                    if message is not None:
                        self.looks.spoke = True
                        for reply in self.talk.receive(message, self.service.now()):
                            self._answer(reply)
            elif isinstance(event, Request):
                self._shake_hands(event)
        parts = protocol.data_to_send()
        if parts:
            # The empty part stands for the end; `hang_up` sees to that.
            answer = parts[0] if len(parts) == 1 else b"".join(parts)
            self._traffic.sent += len(answer)
            self.transport.write(answer)
        if self.service.outbox or self.service.deadlines.moved:
            self.service.settle()
        if protocol.state is not OPEN:
            if self.session is None and proxy.begins(data):
                self.service.policy.refused["proxy"] += 1
                self._turn_away(400, NO_PROXY)
            elif protocol.close_expected():
                self.hang_up("closed")
        elif self.session is not None:
            talk = self.talk
            if talk.more or talk.waiter is not None or talk.promise is not None or talk.over:
                self.regulate()

    def _whole(self, frame: Frame) -> bytes | None:
        """The message that `frame` completes, if it does."""
        opcode = frame.opcode
        if opcode is TEXT or opcode is BINARY:
            if frame.fin:
                return bytes(frame.data)
            self._fragments = [bytes(frame.data)]
        elif opcode is CONT and self._fragments is not None:
            if frame.data:
                self._fragments.append(bytes(frame.data))
            if frame.fin:
                message = b"".join(self._fragments)
                self._fragments = None
                return message
        return None

    def _answer(self, reply: bytes) -> None:
        protocol = self._protocol
        if protocol.state is OPEN:
            # As protocol.send_text, which takes five times as long: a tenth of the cost of a whole message.
            protocol.writes.append(_text_header(len(reply)) + reply)

    def about_proxy(self, *, wanted: bool) -> bytes:
        return self._protocol.reject(400, super().about_proxy(wanted=wanted).decode()).serialize()

    def close(self, how: str) -> None:
        if self._protocol.state is OPEN:
            self._protocol.send_close(CLOSE_CODES[how])
        self._flush()
        self.transport.close()

    def _shake_hands(self, request: Request) -> None:
        """Begin the conversation, or answer with a page or a refusal."""
        protocol = self._protocol
        page = self._pages(request)
        if page is None:
            page = protocol.accept(request)
        if page.status_code == 101:
            service, way = self.service, self._way
            session = Session(way.address(self), way.kind, service.now())
            service.admit(session, self)
            self.session = session
            headers = request.headers
            self.talk = MessageConversation(
                service.state,
                session,
                service.policy,
                service.outbox,
                way.vocabulary,
                own_page=is_own_page(headers.get_all("Origin"), headers.get_all("Host")),
            )
            self._traffic.connections += 1
        if protocol.close_expected():
            # Junk followed the request, and the library has given the connection up.
            self.transport.write(page.serialize())
        else:
            protocol.send_response(page)

    def _turn_away(self, status: int, why: bytes) -> None:
        """Answer, and close, before there was a handshake."""
        self.transport.write(self._protocol.reject(status, why.decode()).serialize())
        self.transport.close()

    def _flush(self) -> None:
        """Send what the protocol has to say."""
        parts = self._protocol.data_to_send()
        if parts and not self.transport.is_closing():
            # The empty part stands for the end; `hang_up` sees to that.
            data = b"".join(parts)
            self._traffic.sent += len(data)
            self.transport.write(data)

    def _lose(self, how: str) -> None:
        session, self.session = self.session, None
        if session is not None:
            self.service.part(session, how)


def _behind_request(begun: bytearray, data: bytes) -> int:
    """How many bytes of `data` lie behind the request that ends in it, if one does.

    Args:
        begun: what there was already of the line that goes on in `data`.
    """
    # The blank line ends the request, and may have begun before `data`.
    return len((b"\r\n" + begun + data).partition(b"\r\n\r\n")[2])


def _size_on_the_wire(frame: Frame) -> int:
    """RFC 6455, 5.2: two bytes, four of the mask, and none, two or eight for a longer size."""
    size = len(frame.data)
    return size + (6 if size < 126 else 8 if size < 65536 else 14)


def _break_cycles(protocol: _Protocol) -> None:
    """Let go of what refers to `protocol` and is referred to by it: the daemon has no collector for cycles."""
    protocol.parser.close()
    for error in (protocol.handshake_exc, protocol.parser_exc):
        while error is not None:
            # A traceback refers to the frames it went through, and they to all that was in them.
            error.__traceback__ = None
            error = error.__context__  # type: ignore[assignment]
    protocol.handshake_exc = protocol.parser_exc = None


def _text_header(size: int) -> bytes:
    """RFC 6455, 5.2: the only fragment of a text message, not masked, and its size in 7, 16 or 64 bits."""
    if size < 126:
        return _SHORT_HEADERS[size]
    return struct.pack("!BBH", 0x81, 126, size) if size < 65536 else struct.pack("!BBQ", 0x81, 127, size)


_SHORT_HEADERS = [bytes((0x81, size)) for size in range(126)]
