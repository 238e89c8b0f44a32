"""Where requests become calls: the core at work, what decides, and the records of it.

The four rules of every call are kept here: the policy is asked, the core is called with `now()`, `settle()` tells whom
it concerns, and the answer goes out behind the commit of what it tells.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from glockd.core.deadlines import NEVER
from glockd.core.events import Refused
from glockd.core.history import CANCELLED
from glockd.core.units import ANY
from glockd.doors.dispatch.elements import Elements
from glockd.doors.dispatch.presence import Presence
from glockd.doors.dispatch.project import ABANDONED, ACTIVE, Handle, Moment, Project, Worker
from glockd.doors.dispatch.projects import Projects
from glockd.doors.dispatch.refusal import Refusal
from glockd.doors.dispatch.waits import Idle, Keeper, Turn, nothing, taken

if TYPE_CHECKING:
    from glockd.core.events import Event, Granted
    from glockd.core.holds import Hold, Waiter
    from glockd.core.sessions import Session
    from glockd.doors.dispatch.records import Records, Reserved
    from glockd.net.exchange import Answer
    from glockd.service import Service

# Requests for the next file that are kept open; beyond them they are answered at once.
MOST_HELD = 10_000

# Files that are put into a pool or taken out before others get their turn: some 2 ms.
FILES_A_TURN = 300

T = TypeVar("T")

INACTIVE = "project inactive"


class Desk:
    """Where calls are made.

    Args:
        service: the core at work.
        elements: where files are to be had.
        records: what outlives the daemon; None: nothing does.
    """

    def __init__(self, service: Service, elements: Elements, records: Records | None) -> None:
        self.service = service
        self.records = records
        self.projects = Projects(service.state.items, elements, records)
        self.workers: dict[str, Worker] = {}
        self.turns: dict[Waiter, Turn] = {}
        self.draining = False
        self.presence = Presence(self)
        self._tasks: set[asyncio.Task[None]] = set()

    def moment(self) -> Moment:
        """Now."""
        now = self.service.now()
        return Moment(now, now + self.service.policy.wall_offset())

    # Records

    def demand(self) -> None:
        """See that records can be written, where there are any.

        Raises:
            Refusal: they cannot; the clients ask again.
        """
        if self.records is not None and self.records.trouble:
            raise Refusal(503, f"Records cannot be written: {self.records.trouble}")

    def behind_records(self, then: Callable[[], None]) -> None:
        """Call `then` once all that has happened is on record."""
        if self.records is None:
            then()
        else:
            self.records.then(then)

    def recorded(self, render: Callable[[], T]) -> T | Future[T]:
        """An answer, behind the commit of what it tells."""
        if self.records is None:
            return render()
        future: Future[T] = self.service.loop.create_future()
        self.records.then(lambda: None if future.done() else future.set_result(render()))
        return future

    # Taking and giving back

    def next_file(self, project: Project, worker_id: str, site: str, peer: bytes) -> Answer | Future[Answer]:
        """Reserve a file, or wait for one.

        Raises:
            Refusal: the project is over.
        """
        at = self.moment()
        worker = self.worker(worker_id, at.now)
        try:
            if not self.may_hold_more(worker):
                return nothing("retry", retry=True)
            hold = self.projects.take(project, worker, at)
        except Refusal:
            self.look(worker)
            raise
        if hold is None:
            return self._wait(project, worker, site, peer)
        self.watch(project)
        self.service.settle()
        if self.records is None:
            self.presence.follow(hold, peer)
            return taken(self, project, self.projects.handle_of(project, hold), site)
        turn = Turn(self, project, worker, site)
        turn.peer = peer
        turn.grant(hold)
        return turn

    def release(self, project: Project, handle: Handle, hold: Hold, *, failed: bool, retry: bool) -> None:
        """A worker has done with a file."""
        granted = self.projects.release(project, handle, hold, self.moment(), failed=failed, retry=retry)
        self.passed_on(project, granted)
        self.look(hold.session)

    def passed_on(self, project: Project, granted: Iterable[Event]) -> None:
        """A project has changed: tell those who wait, and see whether it is over."""
        self.service.outbox += granted
        self.watch(project)
        self.dismiss(project)
        self.service.settle()

    def dismiss(self, project: Project) -> None:
        """Send those away who wait for a project's files, if it is over."""
        if project.active or project.state == ABANDONED:
            return
        for waiter in list(self.projects.waiters(project)):
            self._send_away(waiter, INACTIVE, retry=False)

    def granted(self, event: Granted) -> None:
        """A worker's turn has come."""
        turn = self.turns.pop(event.waiter, None)
        project = self.projects.project_of(event.hold)
        at = self.moment()
        if project is None:
            return
        self.projects.reserved(project, event.hold, at)
        self.watch(project)
        if turn is None:
            # Nobody waits for it any more.
            self._unanswered(project, event.hold, at)
        else:
            turn.waiter = None
            turn.grant(event.hold)

    def give_up(self, worker: Worker, waiter: Waiter | None, hold: Hold | None) -> None:
        """Whoever waits, or has a file that it has not heard of, is gone."""
        if waiter is not None and self.turns.pop(waiter, None) is not None:
            self._withdraw(waiter, CANCELLED)
        if hold is not None and hold in worker.holds:
            project = self.projects.project_of(hold)
            if project is not None:
                self._unanswered(project, hold, self.moment())
        self.service.settle()
        self.look(worker)

    def timed_out(self, hold: Hold) -> None:
        """The hold of a worker has ended, since it has kept the file too long."""
        project = self.projects.project_of(hold)
        if project is not None:
            self.passed_on(project, self.projects.timed_out(project, hold, self.moment()))

    def end(self, worker: Worker, why: str, how: str) -> None:
        """Give back all that a worker has, and answer what it waits for."""
        for waiter in list(worker.waiters):
            self._send_away(waiter, "retry", retry=True)
        for hold in list(worker.holds):
            self.lose(hold, why, how)
        self.look(worker)

    def lose(self, hold: Hold, why: str, how: str) -> None:
        """Take a file from a worker that is gone."""
        project = self.projects.project_of(hold)
        if (
            project is not None
            and self.projects.hold(project, self.projects.handle_of(project, hold)) is hold
        ):
            self.passed_on(project, self.projects.give_back(project, hold, self.moment(), why, how))

    def look(self, session: Session) -> None:
        """Forget a worker that has nothing to do with us any more."""
        if not isinstance(session, Worker) or session.holds or session.waiters:
            return
        if self.workers.get(session.worker_id) is session:
            del self.workers[session.worker_id]
            self.service.part(session, "closed")

    # Projects

    def watch(self, project: Project) -> None:
        """See that an active project counts as abandoned when its idle timeout is over.

        Requests do not put the deadline off: they may be thousands a second.
        """
        listeners = self.service.state.registry.listeners
        if project.state != ACTIVE or project.idle_timeout is None or not self.projects.is_known(project):
            if project in listeners:
                self.service.part(project, "closed")
            return
        if project not in listeners:
            self.service.admit(project, Idle(self, project))
        if project.deadline == NEVER:
            self.service.state.extend(project, project.used + max(0.0, project.idle_timeout))
            self.service.settle()

    def consider(self, project: Project) -> None:
        """The time of a project may be over."""
        at = self.moment()
        if project.idle_timeout is not None and project.used + project.idle_timeout <= at.now:
            self.projects.abandon(project, at)
        self.watch(project)

    async def add(self, project: Project) -> None:
        """Let a project that has all its files be known, once it is on record."""
        if self.records is not None:
            await self.records.keep(project, self.moment())
        self.projects.add(project)
        self.watch(project)
        await self.place(project, list(project.handles.values()))

    async def restart(self, project: Project, handles: Sequence[Handle]) -> None:
        """Let handles be initial again, some a turn; done when that is on record."""
        remaining = iter(handles)
        some = list(islice(remaining, FILES_A_TURN))
        while self.projects.is_known(project):
            held = [self.projects.hold(project, handle) for handle in some]
            self.passed_on(project, self.projects.restart(project, some, self.moment()))
            for hold in held:
                if hold is not None:
                    self.look(hold.session)
            some = list(islice(remaining, FILES_A_TURN))
            if not some:
                break
            await asyncio.sleep(0)
        if self.records is not None:
            await self.records.written()

    async def place(self, project: Project, handles: Iterable[Handle]) -> None:
        """Let files of a project be had, some a turn."""
        remaining = iter(handles)
        while some := list(islice(remaining, FILES_A_TURN)):
            if self.projects.is_known(project):
                self.passed_on(project, self.projects.place(project, some, self.service.now()))
            await asyncio.sleep(0)

    def replicas_changed(self, units: Sequence[bytes] | None) -> None:
        """Files are to be had, or not any more.

        Args:
            units: their DIDs; None: all.
        """
        for project in list(self.projects):
            if project.unfinished and not project.virtual:
                known = project.handles
                handles = (
                    known.values() if units is None else [known[unit] for unit in units if unit in known]
                )
                self._spawn(self.place(project, list(handles)))

    def delete(self, project: Project) -> None:
        """Let a project be gone, with all that it has; its files leave the pool some a turn."""
        self.projects.forget(project)
        for waiter in list(self.projects.waiters(project)):
            self._send_away(waiter, INACTIVE, retry=False)
        self.watch(project)
        if self.records is not None:
            self.records.erase(project)
        if len(project.handles) <= FILES_A_TURN:
            self._clear(project, list(project.handles.values()))
        else:
            self._spawn(self._clear_in_turns(project))

    def restored(self, project: Project, holds: Iterable[Reserved]) -> None:
        """Take up a project that outlived the daemon.

        Args:
            holds: what is reserved, in the order of tokens.

        Raises:
            ValueError: it does not fit.
        """
        self.projects.add(project)
        self.projects.place(project, project.handles.values(), self.service.now())
        for handle, worker_id, token, since, until in holds:
            worker = self.worker(worker_id, self.service.now())
            self.projects.restore(project, handle, worker, token, since, until)
        self.watch(project)
        self.service.settle()

    # The end

    def drain(self) -> None:
        """Send everybody away who waits: they are to ask again."""
        self.draining = True
        for turn in list(self.turns.values()):
            waiter = turn.waiter
            if not turn.done():
                turn.set_result(turn.at_the_end())
            if waiter is not None:
                self.turns.pop(waiter, None)
                self._withdraw(waiter, CANCELLED)
        self.service.settle()

    async def stop(self) -> None:
        """End what is done in several turns."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Inside

    def worker(self, worker_id: str, now: float) -> Worker:
        """The worker of that id, who is new if nobody is called so; to be looked at once it has what it asks for."""
        worker = self.workers.get(worker_id)
        if worker is None:
            worker = self.workers[worker_id] = Worker(worker_id, now)
            self.service.admit(worker, Keeper(self, worker))
        return worker

    def may_hold_more(self, worker: Worker) -> bool:
        """Whether a worker may have another file; who may not is counted."""
        policy = self.service.policy
        if policy.may_hold_more(worker, self.service.state):
            return True
        policy.refused["locks"] += 1
        self.look(worker)
        return False

    def _wait(self, project: Project, worker: Worker, site: str, peer: bytes) -> Answer | Future[Answer]:
        if not project.active:
            self.look(worker)
            return nothing(INACTIVE, retry=False)
        turn = Turn(self, project, worker, site)
        turn.peer = peer
        seconds = self.service.policy.config.dispatch_hold_seconds
        return turn if self.queue(turn, seconds) else nothing("retry", retry=True)

    def queue(self, turn: Turn, seconds: float) -> bool:
        """Put somebody in line for a file of a project; whether that can be."""
        policy, now = self.service.policy, self.service.now()
        table, project, worker = self.service.state.items, turn.project, turn.worker
        if policy.line_is_full(self.service.state, table, project.pool) or len(self.turns) >= MOST_HELD:
            policy.refused["waiters"] += 1
            seconds = 0
        if not seconds or not project.active:
            self.look(worker)
            return False
        queued = table.wait(project.pool, worker, now, now + seconds, key=ANY)
        assert not isinstance(queued, Refused)  # a concurrent session has no part in a deadlock
        self.turns[queued.waiter] = turn
        turn.waiter = queued.waiter
        self.service.settle()
        return True

    def _send_away(self, waiter: Waiter, reason: str, *, retry: bool) -> None:
        turn = self.turns.pop(waiter, None)
        self._withdraw(waiter, CANCELLED)
        if turn is not None:
            turn.waiter = None
            self.behind_records(lambda: turn.refuse(reason, retry=retry))
        self.look(waiter.session)

    def _withdraw(self, waiter: Waiter, why: str) -> None:
        self.service.outbox += waiter.table.withdraw(waiter, self.service.now(), why)

    def _unanswered(self, project: Project, hold: Hold, at: Moment) -> None:
        self.passed_on(project, self.projects.unanswered(project, hold, at))
        self.look(hold.session)

    def _clear(self, project: Project, handles: Sequence[Handle]) -> None:
        held = [self.projects.hold(project, handle) for handle in handles]
        self.projects.clear(project, handles, self.service.now())
        self.service.settle()
        for hold in held:
            if hold is not None:
                self.look(hold.session)

    async def _clear_in_turns(self, project: Project) -> None:
        while project.handles:
            some = list(islice(project.handles.values(), FILES_A_TURN))
            self._clear(project, some)
            for handle in some:
                del project.handles[handle.unit]
            await asyncio.sleep(0)

    def _spawn(self, what: Coroutine[None, None, None]) -> None:
        task = self.service.loop.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
