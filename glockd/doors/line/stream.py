"""TCP and Unix sockets: the line language as it is."""

from __future__ import annotations

import asyncio
from itertools import chain
from os import write

from glockd.core.sessions import Session
from glockd.doors.line.connection import Connection, Way
from glockd.doors.line.wire.language import TOO_MANY_CONNECTIONS
from glockd.doors.line.wire.lines import LineConversation
from glockd.net.peer import how_it_ended
from glockd.service import Service

# What a descriptor is while there is none. To have it costs a connection 110 bytes more: who has been answered four
# times is worth that, and who holds a lock and says nothing is not.
NOWHERE = -1
WARMING_UP = NOWHERE - 4


class StreamProtocol(Connection):
    """A client on a byte stream.

    Args:
        service: the core at work.
        way: of tcp or unix.
    """

    __slots__ = ("_descriptor", "_lost", "_queued", "_traffic", "_way")
    talk: LineConversation

    def __init__(self, service: Service, way: Way) -> None:
        super().__init__(service)
        self._way = way
        self._traffic = way.traffic
        self._descriptor = WARMING_UP  # where replies may be written to at once; below 0: nowhere
        self._queued = True  # the transport may hold bytes that are to go first
        self._lost = ""  # how the connection has ended, while what was read is still carried out

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self.enter(transport):
            self.transport.write(TOO_MANY_CONNECTIONS)
            self.transport.close()
            return
        service, way = self.service, self._way
        session = Session(way.address(self), way.kind, service.now())
        service.admit(session, self)
        self._traffic.connections += 1
        self.session = session
        if transport.get_extra_info("sslcontext") is not None:
            self._descriptor = NOWHERE
        self.talk = LineConversation(service.state, session, service.policy, service.outbox, way.vocabulary)
        if self.minds_silence:
            service.sweep.watch(self)

    def data_received(self, data: bytes) -> None:
        # The hot path: two system calls and this.
        service = self.service
        talk = self.talk
        self._traffic.received += len(data)
        reply = talk.receive(data, service.now())
        if service.outbox or service.deadlines.moved:
            # Before the reply: who has waited for the lock has waited longest.
            service.settle()
        if reply:
            self._send(reply)
        if talk.busy:
            self.regulate()

    def eof_received(self) -> bool:
        """Carry out what is left, and release everything; the socket stays open until the last reply is out."""
        if self.session is not None:
            self._say(self.talk.end_of_input(self.service.now()))
        # Behind TLS that cannot be had.
        return self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave()
        if self.session is None:
            return
        self._lost = how_it_ended(exc)
        self.talk.deaf = True
        self.talk.end_of_input(self.service.now(), self._lost)
        self._wind_up()

    def _wind_up(self) -> None:
        """Carry out what had been read when the connection was lost, and end the session."""
        talk = self.talk
        if talk.more:
            talk.resume(self.service.now())
        self.service.settle()
        session = self.session
        if session is None:
            return
        if talk.more:
            self.service.loop.call_soon(self._wind_up)
        else:
            self.session = None
            self.service.part(session, self._lost)

    def regulate(self) -> None:
        if not self._lost:
            super().regulate()

    def announce(self, line: bytes) -> None:
        if self.talk.pieces is None:
            self.push(line)
        else:
            # A piece may end in the middle of a line.
            self.talk.pieces = chain(self.talk.pieces, (line,))

    def push(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self._send(reply)

    def _send(self, reply: bytes) -> None:
        """Send `reply` on a connection that is open."""
        self._traffic.sent += len(reply)
        # Straight to the socket, which nearly always takes it: the event loop's queue costs a tenth as much again as
        # the whole request. What the socket does not take, and all that comes behind, goes to the queue.
        if self._queued and self._is_queued():
            self.transport.write(reply)
            return
        try:
            sent = write(self._descriptor, reply)
        except OSError:
            sent = 0  # full, or broken, which the transport will find out
        if sent < len(reply):
            self.transport.write(reply[sent:])
            self._queued = True

    def backlog(self) -> int:
        return len(self.talk.unread)

    def go_on(self) -> None:
        if self._lost:
            return
        self._say(self.talk.resume(self.service.now()))

    def _say(self, reply: bytes) -> None:
        if reply:
            self.push(reply)
        self.service.settle()
        self.regulate()

    def _is_queued(self) -> bool:
        """Whether a reply has to stand in line behind others, or has no socket of its own to go to."""
        if self._descriptor < NOWHERE:
            self._descriptor += 1
            if self._descriptor == NOWHERE:
                self._descriptor = self.transport.get_extra_info("socket").fileno()
        self._queued = self._descriptor < 0 or self.transport.get_write_buffer_size() > 0
        return self._queued


class WatchedStreamProtocol(StreamProtocol):
    """A client on a byte stream whose silence matters. To note each command would slow down all others' clients."""

    __slots__ = ()
    minds_silence = True

    def data_received(self, data: bytes) -> None:
        # Part of a line is no command.
        self.looks.spoke |= b"\n" in data
        super().data_received(data)
