"""What becomes of workers: what they wait for, what they lose, and how they end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from glockd.core.history import KICKED
from glockd.doors.dispatch.shown import dump, show_taken
from glockd.net.answers import text
from glockd.net.exchange import Answer

if TYPE_CHECKING:
    from glockd.core.events import Granted
    from glockd.core.holds import Hold, Waiter
    from glockd.doors.dispatch.desk import Desk
    from glockd.doors.dispatch.project import Handle, Project, Worker

JSON = ("Content-Type", "text/json; charset=utf-8")


class Turn(asyncio.Future[Any]):
    """The answer to next_file that is not given at once.

    To cancel it gives the place in line up, and the file too if that has been reserved and not been answered.

    Args:
        desk: where it is asked.
        project: a file of which is wanted.
        worker: who wants it.
        site: where they work.
        presence: called with the hold once there is one.
    """

    def __init__(self, desk: Desk, project: Project, worker: Worker, site: str) -> None:
        super().__init__(loop=desk.service.loop)
        self._desk = desk
        self.project = project
        self.worker = worker
        self.site = site
        self.peer = b""  # the address of the one who asks
        self.waiter: Waiter | None = None
        self._hold: Hold | None = None

    def grant(self, hold: Hold) -> None:
        """Its turn has come, or a file was free; answered once that is recorded."""
        self._hold = hold
        handle = self._desk.projects.handle_of(self.project, hold)
        self.accompany(hold)
        self._desk.behind_records(lambda: self._taken(handle))

    def refuse(self, reason: str, *, retry: bool) -> None:
        """There is no file."""
        self.waiter = None
        if not self.done():
            self.set_result(self.without(reason, retry=retry))

    def accompany(self, hold: Hold) -> None:
        """See whether a connection accompanies the worker, whose end is that of the hold too."""
        self._desk.presence.follow(hold, self.peer)

    def having(self, handle: Handle) -> Any:
        """The answer if there is a file."""
        return taken(self._desk, self.project, handle, self.site)

    def at_the_end(self) -> Any:
        """The answer when the server is shut down."""
        return text("The server is being shut down", 503)

    def without(self, reason: str, *, retry: bool) -> Any:
        """The answer if there is none."""
        return nothing(reason, retry=retry)

    def cancel(self, msg: Any | None = None) -> bool:
        """Give it up."""
        if not self.cancelled():
            waiter, hold = self.waiter, self._hold
            self.waiter = self._hold = None
            self._desk.give_up(self.worker, waiter, hold)
        return super().cancel(msg)

    def _taken(self, handle: Handle) -> None:
        if not self.done():
            self.set_result(self.having(handle))


class Keeper:
    """Listens for a worker.

    Args:
        desk: where it works.
        worker: whom it listens for.
    """

    __slots__ = ("_desk", "_worker")

    def __init__(self, desk: Desk, worker: Worker) -> None:
        self._desk = desk
        self._worker = worker

    def granted(self, event: Granted) -> None:
        """A waiter's turn has come."""
        self._desk.granted(event)

    def hear(self, line: bytes) -> None:
        """Another language is spoken here."""

    def timed_out(self, waiter: Waiter) -> None:
        """A waiter's time was up."""
        turn = self._desk.turns.pop(waiter, None)
        if turn is not None:
            turn.refuse("retry", retry=True)
        self._desk.look(self._worker)

    def lost(self, hold: Hold, why: str) -> None:
        """The worker has kept a file too long."""
        self._desk.presence.tell(hold, why)
        self._desk.timed_out(hold)
        self._desk.look(self._worker)

    def end(self, how: str) -> None:
        """The worker is to give everything back."""
        self._desk.end(self._worker, KICKED, how)


class Idle:
    """Listens for a project: for the end of its idle timeout.

    Args:
        desk: that knows it.
        project: it.
    """

    __slots__ = ("_desk", "_project")

    def __init__(self, desk: Desk, project: Project) -> None:
        self._desk = desk
        self._project = project

    def granted(self, event: Granted) -> None:
        """A project waits for nothing."""

    def hear(self, line: bytes) -> None:
        """Another language is spoken here."""

    def timed_out(self, waiter: Waiter) -> None:
        """A project waits for nothing."""

    def lost(self, hold: Hold, why: str) -> None:
        """A project holds nothing."""

    def end(self, how: str) -> None:
        """Its time may be over; to be kicked means nothing to it."""
        self._desk.consider(self._project)


def taken(desk: Desk, project: Project, handle: Handle, site: str) -> Answer:
    """next_file: a file is reserved."""
    shown = show_taken(desk.projects, project, handle, site)
    return Answer(200, (JSON,), dump({"handle": shown, "reason": "reserved", "retry": False}))


def nothing(reason: str, *, retry: bool) -> Answer:
    """next_file: no file is reserved."""
    return Answer(200, (JSON,), dump({"handle": None, "reason": reason, "retry": retry}))
