"""What becomes of projects and their files, decided on the core: no clock, no I/O, no HTTP.

A file is a unit of the pool of its project:

| handle | in the pool |
|---|---|
| initial | free; retired while no storage element has it |
| reserved | held by its `Worker`, with the worker timeout as the lease; retired too where a timeout is a failure |
| done, failed | retired |

So the core serves whoever waits, and a file that comes back can be had by the next one at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import Protocol

from glockd.core import history
from glockd.core.events import Granted
from glockd.core.history import RELEASED
from glockd.core.holds import Hold, Waiter
from glockd.core.locks import LockTable
from glockd.core.sessions import Session
from glockd.doors.dispatch.elements import Elements
from glockd.doors.dispatch.project import (
    ABANDONED,
    ACTIVE,
    DONE,
    FAILED,
    INITIAL,
    RESERVED,
    STOPPED,
    Handle,
    Moment,
    Project,
    Worker,
)
from glockd.doors.dispatch.refusal import NO_PROJECT, Refusal


class Recorder(Protocol):
    """Who is told what is to outlive the daemon."""

    def project_changed(self, project: Project, at: Moment) -> None:
        """State or end of a project is another."""

    def handle_changed(self, project: Project, handle: Handle, hold: Hold | None, at: Moment) -> None:
        """A handle is another; `hold` is what reserves it."""


class Forgetful:
    """Nothing outlives the daemon."""

    def project_changed(self, project: Project, at: Moment) -> None:
        """Not kept."""

    def handle_changed(self, project: Project, handle: Handle, hold: Hold | None, at: Moment) -> None:
        """Not kept."""


class Projects:
    """All projects.

    Args:
        table: has their pools.
        elements: where files are to be had.
        recorder: is told what changes.
    """

    def __init__(self, table: LockTable, elements: Elements, recorder: Recorder | None = None) -> None:
        self._table = table
        self.elements = elements
        self._recorder = recorder or Forgetful()
        self._projects: dict[int, Project] = {}
        self._latest = 0
        self.numbers = count(1)

    # For those who look

    def __len__(self) -> int:
        return len(self._projects)

    def __iter__(self) -> Iterator[Project]:
        """All projects, by id."""
        return iter(self._projects.values())

    def find(self, number: int) -> Project:
        """The project of that id.

        Raises:
            Refusal: there is none.
        """
        found = self._projects.get(number)
        if found is None:
            raise Refusal(404, NO_PROJECT)
        return found

    def is_known(self, project: Project) -> bool:
        """Whether it has not been deleted."""
        return self._projects.get(project.number) is project

    def hold(self, project: Project, handle: Handle) -> Hold | None:
        """What reserves a handle."""
        return self._table.find(project.pool, handle.unit)

    def state(self, project: Project, handle: Handle) -> str:
        """initial, reserved, done or failed."""
        if handle.ended is not None:
            return handle.ended
        return INITIAL if self.hold(project, handle) is None else RESERVED

    def counts(self, project: Project) -> dict[str, int]:
        """How many handles are in each state; none is looked at."""
        reserved = self._table.count(project.pool)
        left = len(project.handles) - project.successes - project.failures - reserved
        return {INITIAL: left, RESERVED: reserved, DONE: project.successes, FAILED: project.failures}

    def waiters(self, project: Project) -> Collection[Waiter]:
        """Who waits for a file of a project, first come first; a view."""
        return self._table.waiters(project.pool)

    # Projects

    def add(self, project: Project) -> None:
        """Let a project that has all its handles be known. To be placed then, see `place`."""
        self._projects[project.number] = project
        if project.number < self._latest:  # A large one takes longer than those that were begun after it.
            self._projects = dict(sorted(self._projects.items()))
        self._latest = max(self._latest, project.number)

    def place(self, project: Project, handles: Iterable[Handle], now: float) -> list[Granted]:
        """Let those of a project's files be had that can be.

        Args:
            handles: of the project; those that have ended are left alone.
            now: monotonic seconds.

        Returns:
            A `Granted` for everyone whose turn has come by it.
        """
        granted: list[Granted] = []
        for handle in handles:
            if handle.ended is None:
                granted += self._place(project, handle, now, is_held=self.hold(project, handle) is not None)
        return granted

    def stop(self, project: Project, at: Moment) -> None:
        """Cancel a project; its handles stay as they are, and whoever waits is for the caller to send away."""
        if project.state != STOPPED:
            project.state = STOPPED
            if project.ended is None:
                project.ended = at.wall
            self._recorder.project_changed(project, at)

    def activate(self, project: Project, at: Moment) -> None:
        """Let a project be active, and nothing else."""
        project.state = ACTIVE
        project.used = at.now
        self._recorder.project_changed(project, at)

    def abandon(self, project: Project, at: Moment) -> None:
        """Nobody has worked on an active project for its idle timeout."""
        if project.state == ACTIVE:
            project.state = ABANDONED
            self._recorder.project_changed(project, at)

    def forget(self, project: Project) -> None:
        """Let a project be unknown from now on; its files are to be cleared, see `clear`."""
        del self._projects[project.number]

    def clear(self, project: Project, handles: Iterable[Handle], now: float) -> None:
        """Take files of a forgotten project, for which nobody waits, out of its pool, reserved ones too."""
        for handle in handles:
            self._table.retire(project.pool, handle.unit)
            hold = self.hold(project, handle)
            if hold is not None:
                self._table.drop(hold, now)

    def restart(self, project: Project, handles: Sequence[Handle], at: Moment) -> list[Granted]:
        """Let handles be initial again, whatever they are.

        Returns:
            A `Granted` for everyone whose turn has come by it.
        """
        granted: list[Granted] = []
        for handle in handles:
            hold = self.hold(project, handle)
            if hold is None and handle.ended is None:
                continue
            project.reopen(handle)
            granted += self._place(project, handle, at.now, is_held=False)
            if hold is not None:
                granted += self._table.drop(hold, at.now)
            self._recorder.handle_changed(project, handle, None, at)
        project.used = at.now
        if project.state != ACTIVE and project.unfinished:
            project.state = ACTIVE
            project.ended = None
        self._recorder.project_changed(project, at)
        return granted

    # Files

    def take(self, project: Project, session: Session, at: Moment) -> Hold | None:
        """Reserve the next file, if one is free.

        Raises:
            Refusal: the project is over.
        """
        if project.state == ABANDONED:
            self.activate(project, at)
        if project.state != ACTIVE:
            raise Refusal(400, f"Inactive project. State={project.state}")
        hold = self._table.take_unit(project.pool, session, at.now)
        if hold is not None:
            self.reserved(project, hold, at)
        return hold

    def reserved(self, project: Project, hold: Hold, at: Moment) -> Handle:
        """A worker has a file, at once or after a wait; its handle."""
        handle = self.handle_of(project, hold)
        handle.attempts += 1
        handle.reserved_since = at.wall
        self._place(project, handle, at.now, is_held=True)
        if project.worker_timeout is not None:
            self._table.lease(hold, hold.since + max(0.0, project.worker_timeout))
        self._use(project, at)
        self._recorder.handle_changed(project, handle, hold, at)
        return handle

    def unanswered(self, project: Project, hold: Hold, at: Moment) -> Sequence[Granted]:
        """A worker has not heard that it has the file: it goes back, and the attempt is not counted."""
        handle = self.handle_of(project, hold)
        handle.attempts -= 1
        return self._give_back(project, handle, hold, at)

    def release(
        self, project: Project, handle: Handle, hold: Hold, at: Moment, *, failed: bool, retry: bool
    ) -> Sequence[Granted]:
        """A worker has done with a file.

        Args:
            hold: what reserves it.
            failed: it is not done.
            retry: then somebody else is to try.

        Returns:
            A `Granted` for whoever gets it now.
        """
        self._use(project, at)
        if failed and retry:
            return self._give_back(project, handle, hold, at)
        self._table.retire(project.pool, handle.unit)
        granted = self._table.drop(hold, at.now, history.FAILED if failed else history.DONE)
        self._close(project, handle, FAILED if failed else DONE, at)
        return granted

    def keep(self, project: Project, handle: Handle, hold: Hold, until: float, at: Moment) -> None:
        """Let a worker have its file until then, in monotonic seconds, or for NEVER as long as it likes."""
        self._table.lease(hold, until)
        self._recorder.handle_changed(project, handle, hold, at)

    def give_back(self, project: Project, hold: Hold, at: Moment, why: str, detail: str) -> Sequence[Granted]:
        """Take a file from a worker that is gone.

        Args:
            why: as `Table.drop` has it.
        """
        return self._give_back(project, self.handle_of(project, hold), hold, at, why, detail)

    def timed_out(self, project: Project, hold: Hold, at: Moment) -> Sequence[Granted]:
        """A worker has kept a file too long, and its hold has ended by that."""
        handle = self.handle_of(project, hold)
        handle.count_timeout()
        if project.state == ACTIVE:
            project.used = at.now
        if project.fails_late:
            self._close(project, handle, FAILED, at)
        else:
            # It may be reserved again by now.
            self._recorder.handle_changed(project, handle, self.hold(project, handle), at)
        return ()

    def restore(
        self, project: Project, handle: Handle, worker: Worker, token: int, since: float, until: float
    ) -> Hold:
        """Put a reservation back that outlived the daemon, of a handle that has been placed.

        Args:
            token: that it had.
            since, until: monotonic seconds of its beginning and end, or NEVER.

        Raises:
            ValueError: it cannot be.
        """
        self._table.offer(project.pool, handle.unit, handle.rank, since)
        hold = self._table.restore(project.pool, worker, handle.unit, 1, token, since, until)
        self._place(project, handle, since, is_held=True)
        return hold

    def handle_of(self, project: Project, hold: Hold) -> Handle:
        """The handle that a hold reserves."""
        assert isinstance(hold.key, bytes)
        return project.handles[hold.key]

    def project_of(self, hold: Hold) -> Project | None:
        """The project that a hold of this door is about; None if it has been deleted."""
        return self._projects.get(int(hold.name[1:]))

    # Inside

    def _place(self, project: Project, handle: Handle, now: float, *, is_held: bool) -> Sequence[Granted]:
        """Let a file that has not ended be had once nobody holds it, if it can be; with its place among others."""
        if (is_held and project.fails_late) or not self._is_to_be_had(project, handle):
            self._table.retire(project.pool, handle.unit)
            return ()
        return self._table.offer(project.pool, handle.unit, handle.rank, now)

    def _is_to_be_had(self, project: Project, handle: Handle) -> bool:
        # Nobody needs storage elements to start.
        return not len(self.elements) or project.virtual or self.elements.serve(handle.unit)

    def _give_back(
        self, project: Project, handle: Handle, hold: Hold, at: Moment, why: str = RELEASED, detail: str = ""
    ) -> Sequence[Granted]:
        granted = list(self._place(project, handle, at.now, is_held=False))
        granted += self._table.drop(hold, at.now, why, detail)
        self._recorder.handle_changed(project, handle, None, at)
        return granted

    def _use(self, project: Project, at: Moment) -> None:
        """Somebody works on a project."""
        project.used = at.now
        if project.state == ABANDONED:
            self.activate(project, at)

    def _close(self, project: Project, handle: Handle, how: str, at: Moment) -> None:
        """A handle has ended, and with the last one the project."""
        project.close(handle, how)
        self._recorder.handle_changed(project, handle, None, at)
        if project.state == ACTIVE and not project.unfinished:
            project.state = FAILED if project.failures else DONE
            project.ended = at.wall
            self._recorder.project_changed(project, at)
