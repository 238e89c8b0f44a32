"""The connection of one client, whatever it is made of."""

from __future__ import annotations

import asyncio
import errno
from functools import partial
from typing import TYPE_CHECKING, cast

from glockd.core.events import Granted
from glockd.core.sessions import Session
from glockd.doors.line.wire.language import IDLE_TOO_LONG
from glockd.net.gate import neighbourhood
from glockd.net.sweep import has_hung_up

if TYPE_CHECKING:
    from glockd.doors.line.wire.conversation import Conversation
    from glockd.service import Door

# A client that waits is read until it has sent this much more, in bytes.
BACKLOG = 65536


class _Looks:
    """What the sweep has seen of a client so far."""

    __slots__ = ("began", "ending", "silent", "spoke", "stalled", "unsent")

    def __init__(self) -> None:
        self.spoke = False  # a command has come since the last look; kept only where it matters
        self.began = False  # it has sent a command; kept as `spoke` is
        self.silent = 0  # looks since a command came
        self.ending = False  # no more than what lies in the socket will come
        self.stalled = 0  # looks since it read something of what waits for it
        self.unsent = 0  # bytes that waited for it at the last look


class Client(asyncio.Protocol):
    """One connection: the flow of bytes, and its end.

    A client is not read from while it does not read its replies, while lines it has sent are still
    to be carried out, or while it waits and has sent too much besides.
    """

    __slots__ = (
        "_going_on",
        "_host",
        "_looks",
        "_paused",
        "_stuffed",
        "door",
        "session",
        "talk",
        "transport",
    )

    minds_silence = False  # whether `spoke` is kept, and `look_for_silence` called

    def __init__(self, door: Door) -> None:
        self.door = door
        self.transport = cast(asyncio.Transport, None)  # until the connection is made
        self.session: Session | None = None  # until it is admitted, and when it has ended
        self.talk: Conversation | None = None
        self._stuffed = False  # it does not read its replies
        self._paused = False  # it is not read from
        self._going_on = False  # `go_on` is scheduled
        self._host: str | None = None  # as the gate counts it, while it does
        self._looks: _Looks | None = None  # what the sweep has seen; most clients never concern it

    @property
    def looks(self) -> _Looks:
        """What the sweep has seen."""
        if self._looks is None:
            self._looks = _Looks()
        return self._looks

    # For the daemon

    def granted(self, event: Granted) -> None:
        """Tell the client that its turn has come, and go on with what it sent meanwhile."""
        talk = self.talk
        # Who has been hung up on meanwhile hears nothing any more.
        if self.session is not None and talk is not None and talk.waiter is event.waiter:
            self.push(talk.granted(event))
            if talk.busy or self._paused:
                self.regulate()

    def timed_out(self) -> None:
        """Tell the client that its wait has ended in vain, and go on."""
        if self.talk is not None and self.talk.waiter is not None:
            self.push(self.talk.timed_out())
            self.regulate()

    def push(self, reply: bytes) -> None:
        """Send one reply, or one line that the client has not asked for."""
        raise NotImplementedError

    def hang_up(self, how: str) -> None:
        """End the session, and close the connection once the last reply is out.

        Args:
            how: closed, kicked, shutdown or idle.
        """
        if self.talk is not None:
            # What still comes is not carried out.
            self.talk.over = self.talk.busy = True
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
        session, self.session = self.session, None
        if session is None:
            self.close(how)
        else:
            self.door.part(session, how, partial(self.close, how))
        self.door.sweep.watch(self)

    def close(self, how: str) -> None:
        """Close the connection once the last reply is out; the session has ended."""
        self.transport.close()

    def cut(self, how: str) -> None:
        """End the session, and the connection at once."""
        session, self.session = self.session, None
        if session is not None:
            self.door.part(session, how, _nothing)
        self.transport.abort()

    def look(self) -> bool:
        """Notice what no event tells of; whether to look again in a second."""
        if self._is_stalled():
            self.door.policy.refused["output"] += 1
            self.cut("slow reader")
            return False
        if self.transport.is_closing():
            return True
        if (
            self._paused
            and not self.looks.ending
            and has_hung_up(self.transport.get_extra_info("socket").fileno())
        ):
            # What lies in the socket is no more than the kernel has room for, and the end comes behind it.
            self.looks.ending = True
            self.regulate()
        if self.session is not None and self.minds_silence:
            self.look_for_silence(self.session)
            return True
        return self._paused

    # For subclasses

    def enter(self, transport: asyncio.BaseTransport) -> bytes | None:
        """Take the connection, and ask the gate whether it may come in; if not, what to tell it.

        It may be asked again with the TLS transport of the same connection.
        """
        self.transport = cast(asyncio.Transport, transport)
        if self._host is not None:
            return None
        peer = transport.get_extra_info("peername")
        host = neighbourhood(peer[0]) if isinstance(peer, tuple) else ""
        refusal = self.door.gate.enter(host)
        if refusal is None:
            self._host = host
        return refusal

    def leave(self) -> None:
        """The connection is lost."""
        self.door.sweep.forget(self)
        host, self._host = self._host, None
        if host is not None:
            self.door.gate.leave(host)

    def backlog(self) -> int:
        """How many bytes have been read that cannot be carried out yet."""
        raise NotImplementedError

    def is_behind(self) -> bool:
        """Whether some of what has come can be carried out when others have had their turn."""
        return self.talk is not None and self.talk.more

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
        behind = self.is_behind()
        if behind and not self._stuffed and not self._going_on:
            self._going_on = True
            self.door.loop.call_soon(self._go_on)
        stop = self._stuffed or behind or (self.backlog() > BACKLOG and not self.looks.ending)
        if stop != self._paused and not self.transport.is_closing():
            self._paused = stop
            if stop:
                self.transport.pause_reading()
                self.door.sweep.watch(self)
            else:
                self.transport.resume_reading()

    def _go_on(self) -> None:
        self._going_on = False
        if self.session is not None:
            self.go_on()

    def _is_stalled(self) -> bool:
        """Whether the client has left too much unread, or for too long."""
        unsent = self.transport.get_write_buffer_size()
        looks = self.looks
        looks.stalled = looks.stalled + 1 if 0 < looks.unsent <= unsent else 0
        looks.unsent = unsent
        limits = self.door.limits
        return unsent > limits.output or looks.stalled >= limits.slow_reader

    def look_for_silence(self, session: Session) -> None:
        """Dismiss a client that says nothing, as far as that is not allowed."""
        looks = self.looks
        looks.silent = 0 if looks.spoke else looks.silent + 1
        looks.began |= looks.spoke
        looks.spoke = False
        limits = self.door.limits
        if not looks.began and looks.silent >= limits.first_command:
            self._dismiss("first_command")
        elif looks.silent >= limits.idle and not (session.holds or session.waiters or self._paused):
            self._dismiss("idle")

    def _dismiss(self, what: str) -> None:
        self.door.policy.refused[what] += 1
        self.push(IDLE_TOO_LONG)
        self.hang_up("idle")

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
    # tcp(7): a connection that times out says so, or what routers or neighbours said of its peer meanwhile.
    return "dead peer" if isinstance(error, OSError) and error.errno in VANISHED else "reset"


VANISHED = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)


def _nothing() -> None:
    pass
