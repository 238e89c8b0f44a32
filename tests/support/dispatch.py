"""Data Dispatcher's projects without a process: workers by their ids, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glockd.core.events import Event, Expired, Granted, Queued
from glockd.core.history import KICKED
from glockd.core.holds import Hold, Waiter
from glockd.core.state import State
from glockd.core.units import ANY
from glockd.doors.dispatch import specs
from glockd.doors.dispatch.elements import Element, Elements, Replica
from glockd.doors.dispatch.project import Handle, Moment, Project, Worker
from glockd.doors.dispatch.projects import Projects

WALL = 1_700_000_000.0


class Shop:
    """Where projects are worked on."""

    def __init__(self) -> None:
        self.state = State()
        self.elements = Elements()
        self.projects = Projects(self.state.tables["items"], self.elements)
        self.now = 1000.0
        self.workers: dict[str, Worker] = {}
        self.lines: dict[Waiter, str] = {}
        self.turns: list[tuple[str, str]] = []  # who has got which file after a wait, in order

    @property
    def at(self) -> Moment:
        return Moment(self.now, self.now + WALL)

    def project(self, *names: str, **described: Any) -> Project:
        """A new project with files of the namespace `n`."""
        number = next(self.projects.numbers)
        project = specs.new_project(number, "alice", described, self.at)
        for _ in specs.fill(project, [f"n:{name}" for name in names]):
            pass
        self.projects.add(project)
        self.tell(self.projects.place(project, project.handles.values(), self.now))
        return project

    def worker(self, name: str) -> Worker:
        return self.workers.setdefault(name, Worker(name, self.now))

    def takes(self, project: Project, worker: str = "w") -> str | None:
        """The name of the next file, which that worker has from now on."""
        hold = self.projects.take(project, self.worker(worker), self.at)
        return None if hold is None else self.projects.handle_of(project, hold).name

    def waits(self, project: Project, worker: str = "w") -> None:
        """Stand in line for a file."""
        table = self.state.tables["items"]
        queued = table.wait(project.pool, self.worker(worker), self.now, self.now + 1e6, key=ANY)
        assert isinstance(queued, Queued)
        self.lines[queued.waiter] = worker

    def handle(self, project: Project, name: str) -> Handle:
        return project.handles[f"n:{name}".encode()]

    def hold(self, project: Project, name: str) -> Hold:
        hold = self.projects.hold(project, self.handle(project, name))
        assert hold is not None
        return hold

    def releases(self, project: Project, name: str, *, failed: bool = False, retry: bool = True) -> None:
        hold = self.hold(project, name)
        handle = self.handle(project, name)
        self.tell(self.projects.release(project, handle, hold, self.at, failed=failed, retry=retry))

    def kicks(self, worker: str) -> None:
        """Take all from a worker."""
        for hold in sorted(self.worker(worker).holds, key=lambda one: one.token):
            project = self.projects.project_of(hold)
            assert project is not None
            self.tell(self.projects.give_back(project, hold, self.at, KICKED, ""))

    def restarts(self, project: Project, names: Sequence[str]) -> None:
        self.tell(self.projects.restart(project, [self.handle(project, one) for one in names], self.at))

    def has(self, element: str, *names: str, available: bool = True) -> None:
        """Let there be an element with replicas of these files."""
        self.elements.put(Element(element, is_enabled=True, is_available=available))
        for name in names:
            self.elements.put_replica(Replica(element, f"n:{name}".encode(), "n"))
        for project in self.projects:
            self.tell(self.projects.place(project, project.handles.values(), self.now))

    def passes(self, seconds: float) -> None:
        """Let time pass, and what ends by it."""
        self.now += seconds
        self.tell(self.state.expire(self.now, 1000))

    def tell(self, events: Iterable[Event]) -> None:
        """Do what the desk does with events."""
        for event in events:
            if isinstance(event, Expired):
                project = self.projects.project_of(event.hold)
                assert project is not None
                self.tell(self.projects.timed_out(project, event.hold, self.at))
            elif isinstance(event, Granted):
                project = self.projects.project_of(event.hold)
                assert project is not None
                handle = self.projects.reserved(project, event.hold, self.at)
                self.turns.append((self.lines.pop(event.waiter), handle.name))

    def states(self, project: Project) -> dict[str, str]:
        """The state of each file, by name."""
        return {one.name: self.projects.state(project, one) for one in project.handles.values()}

    def dismisses(self, project: Project) -> None:
        """Send away who waits, as the desk does when a project is over."""
        for waiter in list(self.projects.waiters(project)):
            del self.lines[waiter]
            self.tell(waiter.table.withdraw(waiter, self.now))
