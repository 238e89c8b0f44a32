"""The listener of one session: what it waits for, and how it ends.

A session is *here* until `leave`: its client may ask for more. What a session has that is not here any more ends at
once, or, with `-ldlm-keep-on-disconnect`, by Unlock, by the end of a lease or by `kick`; its waits always end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from glockd.core.history import CANCELLED, KICKED, ORPHANED
from glockd.doors.ldlm.calls import MOST_ENDED
from glockd.service import HOLDS_A_TURN

if TYPE_CHECKING:
    from glockd.core.events import Granted
    from glockd.core.holds import Hold, Waiter
    from glockd.core.sessions import Concurrent
    from glockd.doors.ldlm.desk import Desk
    from glockd.doors.ldlm.outcomes import Outcome

T = TypeVar("T")

SHUTDOWN = "shutdown"
SESSION_ENDED = "session ended"


class Wait(asyncio.Future[T]):
    """The answer to a Lock that stands in line.

    To cancel it gives the place in line up, and the lock too if that has been granted in this very turn of the loop:
    whoever cancels it will not hear of it any more.

    Args:
        keeper: whose it is.
        waiter: its place in line.
        lease: seconds from the grant; 0 for none.
        render: makes the answer of the outcome.
    """

    def __init__(self, keeper: Keeper, waiter: Waiter, lease: int, render: Callable[[Outcome], T]) -> None:
        super().__init__(loop=keeper.desk.service.loop)
        self._keeper = keeper
        self._waiter = waiter
        self._lease = lease
        self._render = render
        self._hold: Hold | None = None

    def grant(self, hold: Hold) -> None:
        """Its turn has come."""
        self._hold = hold
        self.set_result(self._render(self._keeper.desk.granted(hold, self._lease)))

    def resolve(self, outcome: Outcome) -> None:
        """It has ended in vain."""
        self.set_result(self._render(outcome))

    def cancel(self, msg: Any | None = None) -> bool:
        """Give it up."""
        if not self.cancelled():
            self._keeper.give_up(self._waiter, self._hold)
        return super().cancel(msg)


class Keeper:
    """The listener of one session.

    Args:
        desk: where its calls are made.
        session: that it listens for; live from now on.
    """

    __slots__ = ("_stays", "desk", "how", "session", "waits")

    def __init__(self, desk: Desk, session: Concurrent) -> None:
        self.desk = desk
        self.session = session
        self.waits: dict[Waiter, Wait[Any]] = {}
        self.how = ""  # it left; empty while it is here
        self._stays = False  # it has left, its waits have ended, and what it holds outlives it
        desk.service.admit(session, self)

    # Listener

    def granted(self, event: Granted) -> None:
        """A waiter's turn has come."""
        wait = self.waits.pop(event.waiter, None)
        if wait is not None:
            wait.grant(event.hold)
        else:
            # Nobody waits for it any more, and nothing may be booked on who is gone.
            self.desk.drop(event.hold, self.how)

    def timed_out(self, waiter: Waiter) -> None:
        """A waiter's time was up."""
        wait = self.waits.pop(waiter, None)
        if wait is not None:
            wait.resolve(self.desk.calls.timed_out(waiter))

    def lost(self, hold: Hold, why: str) -> None:
        """A lease is over."""
        self.desk.ended(hold, why)
        self.look()

    def end(self, how: str) -> None:
        """The session is to end."""
        if self.how:
            self._part(how)
        else:
            self.depart(how)

    # What its face says

    def depart(self, how: str) -> None:
        """End what carries the session, and the session with it."""
        self.leave(how)

    def give_up(self, waiter: Waiter, hold: Hold | None) -> None:
        """The client does not wait for an answer any more.

        Args:
            hold: what it has come by in this turn of the loop.
        """
        if hold is not None:
            self.desk.drop(hold, self.how)
            self.desk.service.settle()
        elif self.waits.pop(waiter, None) is not None:
            self.desk.withdraw(waiter, CANCELLED)
            self.desk.service.settle()

    def leave(self, how: str) -> None:
        """End the session, as far as it does not outlive what has carried it.

        Args:
            how: closed, reset, dead peer, slow reader, kicked, shutdown, idle or lapsed.
        """
        self.how = how
        self.waits = {}
        if self.desk.keeps and how not in (KICKED, SHUTDOWN):
            self._stay()
        else:
            self._part(how)

    def outlive(self, how: str) -> None:
        """Stay for what the session holds, although nothing carries it."""
        self.how = how
        self._stays = True

    def is_idle(self) -> bool:
        """Whether it holds nothing and waits for nothing."""
        return not (self.session.holds or self.session.waiters)

    def look(self) -> None:
        """End the session of who is gone, if nothing of it is left to stay for."""
        if self._stays and self.is_idle():
            self._part(self.how)

    # Inside

    def _stay(self) -> None:
        """End all waits, in several turns if they are very many; the holds stay."""
        for waiter in list(islice(reversed(self.session.waiters), HOLDS_A_TURN)):
            self.desk.withdraw(waiter, ORPHANED, self.how)
        self.desk.service.settle()
        if self.session.waiters:
            self.desk.service.loop.call_soon(self._stay)
        else:
            self._stays = True
            self.look()

    def _part(self, how: str) -> None:
        why = KICKED if how == KICKED else SESSION_ENDED
        for hold in islice(self.session.holds, MOST_ENDED):
            self.desk.ended(hold, why)
        self._stays = False
        self.desk.service.part(self.session, how)
