"""The connection of one client, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from glockd.core.events import Granted
from glockd.core.holds import Hold, Waiter
from glockd.core.sessions import Session
from glockd.core.stats import Traffic
from glockd.doors.line.wire.handlers import Vocabulary
from glockd.doors.line.wire.language import ALIVE, IDLE_TOO_LONG, NO_PROXY, ONLY_PROXY, ONLY_TLS, lost
from glockd.net.peer import Peer
from glockd.net.sweep import has_hung_up
from glockd.policy import Reason

if TYPE_CHECKING:
    from glockd.doors.line.wire.conversation import Conversation
    from glockd.service import Service

# A client that waits is read until it has sent so many bytes more.
UNREAD_MOST = 65536


class Way(NamedTuple):
    """What all connections on one kind of socket have in common."""

    kind: str  # tcp, unix or websocket
    traffic: Traffic
    address: Callable[[Connection], bytes]  # gives a client's address
    vocabulary: Vocabulary


class Connection(Peer):
    """One client's connection: the flow of bytes, and its end; the listener of its session.

    A client is not read from while it does not read its replies, while lines it has sent are still
    to be carried out, or while it waits and has sent too much besides.
    """

    __slots__ = ("_going_on", "_paused", "_stuffed", "session", "talk")

    minds_silence = False  # whether `spoke` is kept, and `look_for_silence` called

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.session: Session | None = None  # until it is admitted, and when it has ended
        self.talk: Conversation | None = None
        self._stuffed = False  # it does not read its replies
        self._paused = False  # it is not read from
        self._going_on = False  # `go_on` is scheduled

    # Listener

    def granted(self, event: Granted) -> None:
        """Tell the client that its turn has come, and go on with what it sent meanwhile."""
        talk = self.talk
        # Who has been hung up on meanwhile hears nothing any more.
        if self.session is not None and talk is not None and talk.waiter is event.waiter:
            reply = talk.granted(event)
            if reply:
                self.push(reply)
            if talk.busy or self._paused:
                self.regulate()

    def timed_out(self, waiter: Waiter) -> None:
        """Tell the client that its wait has ended in vain, and go on."""
        talk = self.talk
        if self.session is not None and talk is not None and talk.waiter is waiter:
            self.push(talk.timed_out())
            self.regulate()

    def lost(self, hold: Hold, why: str) -> None:
        """Tell the client, if it wants to know, that a hold of its has ended without its doing."""
        if self.session is not None and self.talk is not None and self.talk.notify:
            self.announce(lost(hold, why))

    def hear(self, line: bytes) -> None:
        """Tell the client, if it wants to know such things."""
        if self.session is not None and self.talk is not None and self.talk.notify:
            self.announce(line)

    def end(self, how: str) -> None:
        """Tell the client of what it loses by it, if it wants to know, and hang up."""
        if self.session is not None:
            for hold in self.session.holds if self.talk is not None and self.talk.notify else ():
                self.lost(hold, how)
            self.hang_up(how)

    # The flow of bytes

    def announce(self, line: bytes) -> None:
        """Send one line that the client has not asked for, but not in the middle of a reply."""
        self.push(line)

    def push(self, reply: bytes) -> None:
        """Send one reply, or one line that the client has not asked for, at once."""
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
            self.service.part(session, how, partial(self.close, how))
        self.service.sweep.watch(self)

    def close(self, how: str) -> None:
        """Close the connection once the last reply is out; the session has ended."""
        self.transport.close()

    def cut(self, how: str) -> None:
        """End the session, and the connection at once."""
        session, self.session = self.session, None
        if session is not None:
            self.service.part(session, how)
        self.transport.abort()

    def look(self) -> bool:
        """Notice what no event tells of; whether to look again in a second."""
        if self.is_stalled():
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
        if self.session is None or self.talk is None:
            return self._paused
        if self.talk.alive:
            self._show_life(self.talk.alive)
        if self.minds_silence:
            self.look_for_silence(self.session)
        return self.minds_silence or self._paused or self.talk.alive > 0

    def _show_life(self, often: int) -> None:
        """Say once every `often` looks that the daemon lives, unless it is on its way to the client already."""
        looks = self.looks
        looks.quiet += 1
        if looks.quiet >= often:
            looks.quiet = 0
            if not looks.unsent:
                self.announce(ALIVE)

    def not_tls(self) -> bytes:
        return ONLY_TLS

    def about_proxy(self, *, wanted: bool) -> bytes:
        return ONLY_PROXY if wanted else NO_PROXY

    # For subclasses

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
        if (behind and not self._stuffed and not self._going_on) or talk.after is not None:
            self._going_on = True
            after, talk.after = talk.after or self.service.loop.call_soon, None
            after(self._go_on)
        if talk.alive:
            self.service.sweep.watch(self)
        stop = self._stuffed or behind or (self.backlog() > UNREAD_MOST and not self.looks.ending)
        if stop != self._paused and not self.transport.is_closing():
            self._paused = stop
            if stop:
                self.transport.pause_reading()
                self.service.sweep.watch(self)
            else:
                self.transport.resume_reading()

    def _go_on(self) -> None:
        self._going_on = False
        if self.session is not None:
            self.go_on()

    def look_for_silence(self, session: Session) -> None:
        """Dismiss a client that says nothing, as far as that is not allowed."""
        looks = self.looks
        looks.silent = 0 if looks.spoke else looks.silent + 1
        looks.began |= looks.spoke
        looks.spoke = False
        limits = self.service.policy.config
        if not looks.began and looks.silent >= limits.first_command_seconds:
            self._dismiss("first_command")
        elif looks.silent >= limits.idle_seconds and not (session.holds or session.waiters or self._paused):
            self._dismiss("idle")

    def _dismiss(self, what: Reason) -> None:
        self.service.policy.refused[what] += 1
        self.push(IDLE_TOO_LONG)
        self.hang_up("idle")

    # asyncio.Protocol

    def pause_writing(self) -> None:
        self._stuffed = True
        self.regulate()

    def resume_writing(self) -> None:
        self._stuffed = False
        self.regulate()
