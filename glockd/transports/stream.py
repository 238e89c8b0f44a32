"""TCP and Unix sockets: the line language as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from os import write
from typing import cast

from glockd.core.sessions import Session
from glockd.transports.client import Client, how_it_ended
from glockd.transports.door import Door
from glockd.wire.lines import LineConversation


class StreamProtocol(Client):
    """A client on a byte stream.

    Args:
        door: the daemon.
        kind: tcp or unix.
        name_it: gives the client's address for the transport.
    """

    __slots__ = ("_descriptor", "_kind", "_name_it", "_queued", "_traffic")
    talk: LineConversation

    def __init__(self, door: Door, kind: str, name_it: Callable[[asyncio.BaseTransport], bytes]) -> None:
        super().__init__(door)
        self._kind = kind
        self._traffic = door.state.stats.traffic[kind]
        self._name_it = name_it
        self._descriptor = -1  # where replies may be written to at once; -1: nowhere
        self._queued = True  # the transport may hold bytes that are to go first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        door = self.door
        self.transport = cast(asyncio.Transport, transport)
        session = Session(self._name_it(transport), self._kind, door.now())
        refusal = door.admit(self, session)
        if refusal is not None:
            self.transport.write(refusal)
            self.transport.close()
            return
        self._traffic.connections += 1
        self.session = session
        if transport.get_extra_info("sslcontext") is None:
            self._descriptor = transport.get_extra_info("socket").fileno()
        self.talk = LineConversation(door.state, session, door.policy, door.outbox)

    def data_received(self, data: bytes) -> None:
        # The hot path: two system calls and this.
        door = self.door
        talk = self.talk
        traffic = self._traffic
        traffic.received += len(data)
        reply = talk.receive(data, door.now())
        if reply:
            # Straight to the socket, which nearly always takes it: the event loop's queue costs a tenth as much again
            # as the whole request. What the socket does not take, and all that comes behind, goes to the queue.
            if self._queued and self._is_queued():
                self.push(reply)
            else:
                try:
                    sent = write(self._descriptor, reply)
                except OSError:
                    sent = 0  # full, or broken, which the transport will find out
                if sent < len(reply):
                    self.push(reply[sent:])
                traffic.sent += sent
        if door.outbox:
            door.deliver()
        if talk.busy:
            self.regulate()

    def eof_received(self) -> bool:
        """Carry out what is left, and release everything; the socket stays open until the last reply is out."""
        if self.session is not None:
            self._say(self.talk.end_of_input(self.door.now()))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        session, self.session = self.session, None
        if session is None:
            return
        now = self.door.now()
        self.talk.end_of_input(now)
        while self.talk.more:
            self.talk.resume(now)
        self.door.part(session, how_it_ended(exc), _nothing)

    def push(self, reply: bytes) -> None:
        self._traffic.sent += len(reply)
        self.transport.write(reply)
        self._queued = True

    def backlog(self) -> int:
        return len(self.talk.unread)

    def go_on(self) -> None:
        self._say(self.talk.resume(self.door.now()))

    def _say(self, reply: bytes) -> None:
        if reply and not self.transport.is_closing():
            self.push(reply)
        self.door.deliver()
        self.regulate()

    def _is_queued(self) -> bool:
        """Whether a reply has to stand in line behind others, or has no socket of its own to go to."""
        self._queued = self._descriptor < 0 or self.transport.get_write_buffer_size() > 0
        return self._queued


def _nothing() -> None:
    pass
