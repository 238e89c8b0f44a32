"""The listener of one session: what it waits for, and how it ends.

A session is here until `leave`: its client may ask for more. What a session has that is not here any more ends at once,
or, with `-ldlm-keep-on-disconnect`, by Unlock, by the end of a lease or by `kick`; its waits always end.

field    set by                        what then holds
how      `leave`, `outlive`            it is not here any more: what is granted to it is given on
_stays   `leave` behind the last wait  only its holds are left, and with the last of them it ends
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from glockd.core.history import CANCELLED, KICKED, ORPHANED
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
    """The answer to a call that takes or may take a lock, and is not answered at once.

    To cancel it gives the place in line up, and the lock too if that has been granted and not been answered:
    whoever cancels it will not hear of it any more.

    Args:
        keeper: whose it is.
        render: makes the answer of the outcome.
        waiter: its place in line, if it has one.
        lease: seconds from the grant; 0 for none.
    """

    def __init__(
        self, keeper: Keeper, render: Callable[[Outcome], T], waiter: Waiter | None = None, lease: int = 0
    ) -> None:
        super().__init__(loop=keeper.desk.service.loop)
        self._keeper = keeper
        self._render = render
        self._waiter = waiter
        self._lease = lease
        self._hold: Hold | None = None

    def grant(self, hold: Hold) -> None:
        """Its turn has come."""
        desk = self._keeper.desk
        outcome = desk.granted(hold, self._lease)
        if desk.records is None:
            self.resolve(outcome)
        else:
            self.resolve_later(outcome)

    def resolve(self, outcome: Outcome) -> None:
        """Answer, unless it has been given up."""
        self._hold = outcome.hold
        if not self.done():
            self.set_result(self._render(outcome))

    def resolve_later(self, outcome: Outcome) -> None:
        """Answer when that is recorded."""
        records = self._keeper.desk.records
        assert records is not None
        self._hold = outcome.hold
        records.then(lambda: self.resolve(outcome))

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
        self.how = ""
        self._stays = False
        desk.service.admit(session, self)

    # Listener

    def granted(self, event: Granted) -> None:
        """A waiter's turn has come."""
        wait = self.waits.pop(event.waiter, None)
        if wait is not None:
            wait.grant(event.hold)
        else:
            # Nobody waits for it any more, and nothing may be booked on who is gone.
            self.desk.drop(event.hold, ORPHANED, self.how)

    def hear(self, line: bytes) -> None:
        """Another language is spoken here."""

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

    def give_up(self, waiter: Waiter | None, hold: Hold | None) -> None:
        """The client does not wait for an answer any more.

        Args:
            waiter: its place in line.
            hold: what it has come by.
        """
        if hold is not None:
            self.desk.drop(hold, ORPHANED, self.how)
            self.desk.service.settle()
        elif waiter is not None and self.waits.pop(waiter, None) is not None:
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
            self._end_waits(self._stay)
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
        self._stays = True
        self.look()

    def _part(self, how: str) -> None:
        self.how = how
        self._stays = False
        self._end_waits(self._end_holds)

    def _end_waits(self, then: Callable[[], None]) -> None:
        """End all waits, the latest first, in several turns if they are very many."""
        service = self.desk.service
        for waiter in list(islice(reversed(self.session.waiters), HOLDS_A_TURN)):
            self.desk.withdraw(waiter, ORPHANED, self.how)
        service.settle()
        if self.session.waiters:
            service.loop.call_soon(self._end_waits, then)
        else:
            then()

    def _end_holds(self) -> None:
        """End all holds; some a turn."""
        service = self.desk.service
        why = KICKED if self.how == KICKED else ORPHANED
        for hold in list(islice(self.session.holds, HOLDS_A_TURN)):
            self.desk.ended(hold, KICKED if why is KICKED else SESSION_ENDED)
            self.desk.drop(hold, why, self.how)
        service.settle()
        if self.session.holds:
            service.loop.call_soon(self._end_holds)
        else:
            service.part(self.session, self.how)
