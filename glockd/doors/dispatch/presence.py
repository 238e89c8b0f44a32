"""Files that go back when a connection ends: those of workers that keep one beside their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glockd.core.history import ORPHANED
from glockd.doors.dispatch.project import Worker

if TYPE_CHECKING:
    from glockd.core.holds import Hold
    from glockd.core.sessions import Session
    from glockd.doors.dispatch.desk import Desk


class Presence:
    """Knows which files go back when which connection ends.

    Args:
        desk: gives them back.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._followed: dict[Session, dict[Hold, None]] = {}

    def follow(self, hold: Hold, peer: bytes) -> None:
        """Let a file go back when the plain connection ends that is registered under its worker's id.

        Only one from the address that the request has come from: nobody takes files away by a name.
        """
        assert isinstance(hold.session, Worker)
        found = self._companion(hold.session.worker_id, peer)
        if found is None:
            return
        if found not in self._followed:
            self._followed[found] = {}
            self._desk.service.follow(found, lambda: self._departed(found, peer))
        self._followed[found][hold] = None

    def _companion(self, worker_id: str, peer: bytes) -> Session | None:
        named = self._desk.service.state.registry.named(worker_id.encode("utf-8", "surrogatepass") or b"\0")
        host = peer.rpartition(b":")[0]
        here = [one for one in named if one.door == "line" and one.address.rpartition(b":")[0] == host]
        return here[-1] if here else None

    def _departed(self, session: Session, peer: bytes) -> None:
        for hold in self._followed.pop(session):
            if hold in hold.session.holds:
                assert isinstance(hold.session, Worker)
                if self._companion(hold.session.worker_id, peer) is not None:
                    self.follow(hold, peer)
                else:
                    worker = hold.session
                    self._desk.lose(hold, ORPHANED, "disconnected")
                    self._desk.look(worker)
