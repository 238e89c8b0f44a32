"""The connection of one client, whatever it is made of."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from glockd.core.events import Granted
from glockd.core.sessions import Session

if TYPE_CHECKING:
    from glockd.transports.door import Door
    from glockd.wire.conversation import Conversation

# A client that waits is read until it has sent this much more, in bytes.
BACKLOG = 65536


class Client(asyncio.Protocol):
    """One connection: the flow of bytes, and its end.

    A client is not read from while it does not read its replies, while lines it has sent are still to be carried out,
    or while it waits and has sent too much besides.
    """

    __slots__ = ("_going_on", "_paused", "_stuffed", "door", "session", "talk", "transport")

    def __init__(self, door: Door) -> None:
        self.door = door
        self.transport = cast(asyncio.Transport, None)  # until the connection is made
        self.session: Session | None = None  # until it is admitted, and when it has ended
        self.talk: Conversation | None = None
        self._stuffed = False  # it does not read its replies
        self._paused = False  # it is not read from
        self._going_on = False  # `go_on` is scheduled

    # For the daemon

    def granted(self, event: Granted) -> None:
        """Tell the client that its turn has come, and go on with what it sent meanwhile."""
        assert self.talk is not None
        self.push(self.talk.granted(event))
        self.regulate()

    def timed_out(self) -> None:
        """Tell the client that its wait has ended in vain, and go on."""
        assert self.talk is not None
        self.push(self.talk.timed_out())
        self.regulate()

    def push(self, reply: bytes) -> None:
        """Send one reply, or one line that the client has not asked for."""
        raise NotImplementedError

    def hang_up(self, how: str) -> None:
        """End the session, and close the connection once the last reply is out.

        Args:
            how: closed, kicked or shutdown.
        """
        session, self.session = self.session, None
        if session is None:
            self.close(how)
        else:
            self.door.part(session, how, partial(self.close, how))

    def close(self, how: str) -> None:
        """Close the connection once the last reply is out; the session has ended."""
        self.transport.close()

    # For subclasses

    def backlog(self) -> int:
        """How many bytes have been read that cannot be carried out yet."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Carry out what is left from before a pause."""
        raise NotImplementedError

    def regulate(self) -> None:
        """Read from the client or not, and go on or hang up, as the conversation is now."""
        talk = self.talk
        if talk is None or self.session is None:
            return
        if talk.over:
            self.hang_up("closed")
            return
        if talk.more and not self._stuffed and not self._going_on:
            self._going_on = True
            self.door.loop.call_soon(self._go_on)
        stop = self._stuffed or talk.more or self.backlog() > BACKLOG
        if stop != self._paused and not self.transport.is_closing():
            self._paused = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _go_on(self) -> None:
        self._going_on = False
        if self.session is not None:
            self.go_on()

    # asyncio.Protocol

    def pause_writing(self) -> None:
        self._stuffed = True
        self.regulate()

    def resume_writing(self) -> None:
        self._stuffed = False
        self.regulate()


def how_it_ended(error: Exception | None) -> str:
    """closed, reset or dead peer, from what the event loop says of the end of a connection."""
    if error is None:
        return "closed"
    return "dead peer" if isinstance(error, TimeoutError) else "reset"
