"""Projects as work lists of the line language: `take 60 #17` reserves a file of project 17.

The worker is called as the connection is, by its registered name or else its address; and its files go back when the
connection ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from glockd.core.names import shown
from glockd.doors.dispatch.refusal import Refusal
from glockd.doors.dispatch.waits import Turn

if TYPE_CHECKING:
    from glockd.core.holds import Hold
    from glockd.core.sessions import Session
    from glockd.doors.dispatch.desk import Desk
    from glockd.doors.dispatch.project import Handle, Project, Worker
    from glockd.service import Handler, Talk


class LineTurn(Turn):
    """The reply to a `take` that is not given at once.

    Args:
        desk: where it is asked.
        project: a file of which is wanted.
        worker: who wants it.
        session: the connection that it came on.
    """

    def __init__(self, desk: Desk, project: Project, worker: Worker, session: Session) -> None:
        super().__init__(desk, project, worker, "")
        self._session = session

    def accompany(self, hold: Hold) -> None:
        """The connection is the one that it came on."""
        self._desk.presence.bind(hold, self._session)

    def having(self, handle: Handle) -> bytes:
        """The reply if there is a file."""
        return b"%d Item Take Success: %b\n" % (handle.attempts, shown(handle.unit))

    def at_the_end(self) -> bytes:
        """The reply when the server is shut down."""
        return no_item(self.project.pool)

    def without(self, reason: str, *, retry: bool) -> bytes:
        """The reply if there is none."""
        return no_item(self.project.pool)


class Bridge:
    """The verbs of work lists, for those whose names begin with `#`.

    Args:
        desk: where they become calls.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.verbs: Mapping[bytes, Handler] = {
            b"take #": self.take,
            b"put #": self.put,
            b"done #": lambda talk, words, now: self._finish(talk, words, "Done"),
            b"fail #": lambda talk, words, now: self._finish(talk, words, "Fail"),
            b"give #": lambda talk, words, now: self._finish(talk, words, "Give"),
            b"keep #": self.keep,
        }

    def take(self, talk: Talk, words: bytes, now: float) -> bytes | None:
        """`take SECONDS #ID`: reserve a file."""
        word, _, pool = words.partition(b" ")
        project = self._project(pool)
        if not self._may(talk):
            return b"0 Not Authorised\n"
        if project is None or self._desk.draining:
            return no_item(pool)
        try:
            self._desk.demand()
            worker_id = talk.session.label.decode("utf-8", "surrogateescape")
            patience = math.inf if word == b"inf" else float(word)
            turn = self._reserve(project, worker_id, talk.session, patience)
        except Refusal as refusal:
            return b"0 Not Recorded: " + pool + b"\n" if refusal.status == 503 else no_item(pool)
        return no_item(pool) if turn is None else talk.wait_for(turn, no_item(pool))

    def _reserve(
        self, project: Project, worker_id: str, session: Session, patience: float
    ) -> LineTurn | None:
        """Reserve a file, or wait for one for so many seconds; None if neither can be.

        Raises:
            Refusal: the project is over.
        """
        desk = self._desk
        at = desk.moment()
        worker = desk.worker(worker_id, at.now)
        try:
            if not desk.may_hold_more(worker):
                return None
            hold = desk.projects.take(project, worker, at)
        except Refusal:
            desk.look(worker)
            raise
        turn = LineTurn(desk, project, worker, session)
        if hold is None:
            if not desk.queue(turn, patience):
                return None
            desk.presence.await_turn(turn, session)
            return turn
        desk.watch(project)
        desk.service.settle()
        turn.grant(hold)
        return turn

    def put(self, talk: Talk, words: bytes, now: float) -> bytes:
        """`put #ID ITEM`: a project has the files that it was made with."""
        return b"0 Item Put Failure: " + words.partition(b" ")[2] + b"\n"

    def keep(self, talk: Talk, words: bytes, now: float) -> bytes | None:
        """`keep SECONDS #ID ITEM`: how long from now on my file is kept for me."""
        word, _, rest = words.partition(b" ")
        pool, _, item = rest.partition(b" ")
        found = self._mine(talk, pool, item)
        if found is None:
            return b"0 Item Keep Failure: " + item + b"\n"
        try:
            self._desk.demand()
        except Refusal:
            return b"0 Not Recorded: " + item + b"\n"
        until = math.inf if word == b"inf" else now + float(word)
        self._desk.projects.keep(*found, until, self._desk.moment())
        self._desk.service.settle()
        return talk.behind_records(b"1 Item Keep Success: " + item + b"\n")

    def _finish(self, talk: Talk, words: bytes, what: str) -> bytes | None:
        pool, _, item = words.partition(b" ")
        found = self._mine(talk, pool, item)
        if found is None:
            return f"0 Item {what} Failure: ".encode() + item + b"\n"
        try:
            self._desk.demand()
        except Refusal:
            return b"0 Not Recorded: " + item + b"\n"
        project, handle, hold = found
        self._desk.presence.forget(hold)
        self._desk.release(project, handle, hold, failed=what != "Done", retry=what == "Give")
        return talk.behind_records(f"1 Item {what} Success: ".encode() + item + b"\n")

    def _may(self, talk: Talk) -> bool:
        """Whether this client may work on projects: where those want a secret, the line language must want one too."""
        policy = self._desk.service.policy
        return not policy.secrets_of["dispatch_secret_file"] or bool(policy.secrets)

    def _project(self, pool: bytes) -> Project | None:
        try:
            return self._desk.projects.find(int(pool[1:])) if pool[1:].isdigit() else None
        except (Refusal, ValueError):
            return None

    def _mine(self, talk: Talk, pool: bytes, item: bytes) -> tuple[Project, Handle, Hold] | None:
        project = self._project(pool)
        if project is None:
            return None
        for hold in self._desk.presence.of(talk.session):
            if hold.name == project.pool and isinstance(hold.key, bytes) and shown(hold.key) == item:
                return project, self._desk.projects.handle_of(project, hold), hold
        return None


def no_item(pool: bytes) -> bytes:
    """The reply to a `take` that gets nothing."""
    return b"0 Item Take Failure: " + pool + b"\n"
