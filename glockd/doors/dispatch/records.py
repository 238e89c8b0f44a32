"""What outlives the daemon: projects, handles and who has reserved them, storage elements and replicas."""

from __future__ import annotations

import json
from asyncio import Future
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from glockd.core.deadlines import NEVER
from glockd.doors.dispatch.elements import Element, Replica
from glockd.doors.dispatch.project import Handle, Moment, Project
from glockd.doors.dispatch.shown import holder
from glockd.store.shelf import Shelf

if TYPE_CHECKING:
    from glockd.core.holds import Hold
    from glockd.doors.dispatch.desk import Desk
    from glockd.store.book import Book

# Handles that are written in one commit with their project; more are written in several.
FEW: Final = 250

# Times are seconds since 1970. `worker`, `token` and `until` are null unless the handle is reserved; `until` is null
# too if that has no end. `used` is when it was last worked on.
SHELF = Shelf(
    name="dispatch",
    version=1,
    tables=(
        "CREATE TABLE dispatch_numbers (latest INTEGER) STRICT",
        "CREATE TABLE dispatch_projects (number INTEGER PRIMARY KEY, state TEXT, ended REAL, used REAL, "
        "description TEXT) STRICT",
        "CREATE TABLE dispatch_handles (project INTEGER, position INTEGER, namespace TEXT, unit BLOB, "
        "attempts INTEGER, ended TEXT, since REAL, worker BLOB, token INTEGER, until REAL, used REAL, attributes TEXT, "
        "PRIMARY KEY (project, position)) STRICT, WITHOUT ROWID",
        "CREATE TABLE dispatch_elements (name TEXT PRIMARY KEY, description TEXT) STRICT",
        "CREATE TABLE dispatch_replicas (rse TEXT, unit BLOB, namespace TEXT, description TEXT, "
        "PRIMARY KEY (rse, unit)) STRICT, WITHOUT ROWID",
        "INSERT INTO dispatch_numbers VALUES (0)",
    ),
    mends={"project": ("DELETE FROM dispatch_handles WHERE project = ?1",)},
)

_PUT_HANDLE = "INSERT OR REPLACE INTO dispatch_handles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Reserved(NamedTuple):
    """A reservation that outlived the daemon."""

    handle: Handle
    worker_id: str
    token: int
    since: float  # monotonic seconds
    until: float  # monotonic seconds, or NEVER


class Records:
    """What outlives the daemon, in the book.

    Args:
        book: all doors' records.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        # Called once all that was put in by now is written.
        self.then: Callable[[Callable[[], None]], None] = book.then

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty: it can."""
        return self._book.trouble

    def written(self) -> Future[None]:
        """Done once all that was put in by now is written."""
        return self._book.written()

    # Projects

    async def keep(self, project: Project, at: Moment) -> None:
        """A new project, with its handles; nothing is left of it if the daemon ends meanwhile."""
        rows = (_handle_row(project, handle, None, at) for handle in list(project.handles.values()))
        if len(project.handles) <= FEW:
            self._book.put(_PUT_HANDLE, *rows)
        else:
            await self._book.put_large(SHELF, "project", project.number, _PUT_HANDLE, rows)
        description = {
            "owner": project.owner,
            "created": project.created,
            "attributes": project.attributes,
            "query": project.query,
            "worker_timeout": project.worker_timeout,
            "idle_timeout": project.idle_timeout,
            "users": project.users,
            "roles": project.roles,
        }
        row = project.number, project.state, project.ended, at.wall, json.dumps(description)
        self._book.put("INSERT INTO dispatch_projects VALUES (?, ?, ?, ?, ?)", row)
        self._book.put("UPDATE dispatch_numbers SET latest = max(latest, ?)", (project.number,))
        await self._book.written()

    def erase(self, project: Project) -> None:
        """A project is deleted. Its handles go some a turn; those that a sudden end leaves go at the next start."""
        self._book.put("DELETE FROM dispatch_projects WHERE number = ?", (project.number,))
        self._erase_handles(project.number, 0, len(project.handles))

    def _erase_handles(self, number: int, begin: int, end: int) -> None:
        statement = "DELETE FROM dispatch_handles WHERE project = ? AND position >= ? AND position < ?"
        self._book.put(statement, (number, begin, begin + FEW))
        if begin + FEW < end:
            self._book.then(lambda: self._erase_handles(number, begin + FEW, end))

    def project_changed(self, project: Project, at: Moment) -> None:
        """State or end of a project is another."""
        row = project.state, project.ended, at.wall, project.number
        self._book.put("UPDATE dispatch_projects SET state = ?, ended = ?, used = ? WHERE number = ?", row)

    def handle_changed(self, project: Project, handle: Handle, hold: Hold | None, at: Moment) -> None:
        """A handle is another; `hold` is what reserves it."""
        changed = _handle_row(project, handle, hold, at)[4:]
        self._book.put(
            "UPDATE dispatch_handles SET attempts = ?, ended = ?, since = ?, worker = ?, token = ?, until = ?, "
            "used = ?, attributes = ? WHERE project = ? AND position = ?",
            (*changed, project.number, handle.position),
        )

    # Storage elements

    def keep_element(self, element: Element) -> None:
        """A storage element is new, or another."""
        row = element.name, json.dumps(asdict(element))
        self._book.put("INSERT OR REPLACE INTO dispatch_elements VALUES (?, ?)", row)

    def erase_element(self, name: str) -> None:
        """A storage element is gone, with all on it."""
        self._book.put("DELETE FROM dispatch_elements WHERE name = ?", (name,))
        self._book.put("DELETE FROM dispatch_replicas WHERE rse = ?", (name,))

    def keep_replica(self, replica: Replica) -> None:
        """A replica is new, or another."""
        rest = replica.path, replica.url, replica.urls, replica.preference, replica.available
        row = replica.rse, replica.unit, replica.namespace, json.dumps(rest)
        self._book.put("INSERT OR REPLACE INTO dispatch_replicas VALUES (?, ?, ?, ?)", row)

    # At the start

    def restore(self, desk: Desk) -> None:
        """Put back all that outlived the last daemon.

        Raises:
            StartError: the file cannot be used.
            ValueError: a record does not fit.
        """
        self._book.shelve(SHELF)
        elements = desk.projects.elements
        for (described,) in self._book.read("SELECT description FROM dispatch_elements"):
            elements.put(Element(**json.loads(described)))
        for rse, unit, namespace, described in self._book.read("SELECT * FROM dispatch_replicas"):
            path, url, urls, preference, available = json.loads(described)
            elements.put_replica(Replica(rse, unit, namespace, path, url, tuple(urls), preference, available))
        [(latest,)] = self._book.read("SELECT latest FROM dispatch_numbers")
        desk.projects.numbers = count(latest + 1)
        at = desk.moment()
        for row in self._book.read("SELECT * FROM dispatch_projects ORDER BY number"):
            project = _project(row, at)
            reserved: list[Reserved] = list(self._read_handles(project, at))
            desk.restored(project, sorted(reserved, key=lambda one: one.token))
        # What a sudden end has left of deleted projects.
        self._book.put(
            "DELETE FROM dispatch_handles WHERE project NOT IN (SELECT number FROM dispatch_projects)", ()
        )

    def _read_handles(self, project: Project, at: Moment) -> Iterator[Reserved]:
        """Give a project its handles; those that are reserved."""
        offset = at.wall - at.now
        namespaces: dict[str, str] = {}
        query = "SELECT * FROM dispatch_handles WHERE project = ? ORDER BY position"
        for row in self._book.read(query, (project.number,)):
            _, position, namespace, unit, attempts, ended, since, worker, token, until, used, described = row
            attributes = None if described is None else json.loads(described)
            handle = Handle(namespaces.setdefault(namespace, namespace), unit, position, attributes)
            handle.attempts = attempts
            handle.reserved_since = since
            project.handles[unit] = handle
            project.used = max(project.used, used - offset)
            if ended is not None:
                project.close(handle, ended)
            elif worker is not None:
                end = NEVER if until is None else until - offset
                yield Reserved(handle, worker.decode("utf-8", "surrogatepass"), token, since - offset, end)


def _project(row: tuple[Any, ...], at: Moment) -> Project:
    number, state, ended, used, described = row
    description = json.loads(described)
    project = Project(number, description["owner"], at)
    project.state = state
    project.ended = ended
    project.used = used - (at.wall - at.now)
    for name in ("created", "attributes", "query", "worker_timeout", "idle_timeout"):
        setattr(project, name, description[name])
    project.users = tuple(description["users"])
    project.roles = tuple(description["roles"])
    return project


def _handle_row(project: Project, handle: Handle, hold: Hold | None, at: Moment) -> tuple[Any, ...]:
    worker = token = until = None
    if hold is not None:
        worker = holder(hold).encode("utf-8", "surrogatepass")
        token = hold.token
        until = None if hold.deadline == NEVER else hold.deadline + (at.wall - at.now)
    attributes = None if handle.attributes is None else json.dumps(handle.attributes)
    return (
        project.number,
        handle.position,
        handle.namespace,
        handle.unit,
        handle.attempts,
        handle.ended,
        handle.reserved_since,
        worker,
        token,
        until,
        at.wall,
        attributes,
    )
