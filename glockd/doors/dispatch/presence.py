"""Files that go back when a connection ends: those of workers that keep one beside their requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from glockd.core.history import ORPHANED
from glockd.doors.dispatch.project import Worker

if TYPE_CHECKING:
    from glockd.core.holds import Hold
    from glockd.core.sessions import Session
    from glockd.doors.dispatch.desk import Desk
    from glockd.doors.dispatch.waits import Turn


class Presence:
    """Knows which files go back when which connection ends.

    Args:
        desk: gives them back.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._followed: dict[Session, dict[Hold, None]] = {}
        # Those that were reserved on a connection itself: they go with no other.
        self._bound: dict[Hold, Session] = {}
        self._waiting: dict[Session, Turn] = {}  # who waits on a connection itself

    def follow(self, hold: Hold, peer: bytes) -> None:
        """Let a file go back when the plain connection ends that is registered under its worker's id.

        Only one from the address that the request has come from: nobody takes files away by a name.
        """
        assert isinstance(hold.session, Worker)
        found = self._companion(hold.session.worker_id, peer)
        if found is None:
            return
        self._add(found, hold, peer)

    def bind(self, hold: Hold, session: Session) -> None:
        """Let a file go back when just this connection ends, which is told if the file is lost before."""
        self._bound[hold] = session
        self._add(session, hold, session.address)

    def await_turn(self, turn: Turn, session: Session) -> None:
        """Let a wait end with this connection."""
        self._waiting[session] = turn
        turn.add_done_callback(lambda _: self._waiting.pop(session, None))
        self._look_after(session, session.address)

    def of(self, session: Session) -> Iterator[Hold]:
        """The files that were reserved on this connection, and are still its own."""
        for hold in self._followed.get(session, ()):
            if self._bound.get(hold) is session and hold in hold.session.holds:
                yield hold

    def forget(self, hold: Hold) -> None:
        """A file is no longer what its connection has."""
        session = self._bound.pop(hold, None)
        if session in self._followed:
            self._followed[session].pop(hold, None)

    def tell(self, hold: Hold, why: str) -> None:
        """A file was taken back: tell the connection that it was reserved on."""
        session = self._bound.get(hold)
        self.forget(hold)
        listener = None if session is None else self._desk.service.state.registry.listeners.get(session)
        if listener is not None:
            listener.lost(hold, why)

    def _add(self, session: Session, hold: Hold, peer: bytes) -> None:
        self._look_after(session, peer)
        self._followed[session][hold] = None

    def _look_after(self, session: Session, peer: bytes) -> None:
        if session not in self._followed:
            self._followed[session] = {}
            self._desk.service.follow(session, lambda: self._departed(session, peer))

    def _companion(self, worker_id: str, peer: bytes) -> Session | None:
        named = self._desk.service.state.registry.named(worker_id.encode("utf-8", "surrogatepass") or b"\0")
        host = peer.rpartition(b":")[0]
        here = [one for one in named if one.door == "line" and one.address.rpartition(b":")[0] == host]
        return here[-1] if here else None

    def _departed(self, session: Session, peer: bytes) -> None:
        turn = self._waiting.pop(session, None)
        if turn is not None:
            turn.cancel()
        for hold in self._followed.pop(session):
            is_bound = self._bound.pop(hold, None) is not None
            if hold in hold.session.holds:
                assert isinstance(hold.session, Worker)
                if not is_bound and self._companion(hold.session.worker_id, peer) is not None:
                    self.follow(hold, peer)
                else:
                    worker = hold.session
                    self._desk.lose(hold, ORPHANED, "disconnected")
                    self._desk.look(worker)
