"""Requests and what they are answered: the paths of the data server, and those of the auth server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

import glockd
from glockd.doors.dispatch import bodies, grammar, specs, users
from glockd.doors.dispatch.auth import Auth
from glockd.doors.dispatch.operands import BadQuery, Subject
from glockd.doors.dispatch.project import INITIAL, Handle, Project
from glockd.doors.dispatch.refusal import NOT_AUTHORISED, Refusal
from glockd.doors.dispatch.rses import Rses
from glockd.doors.dispatch.search import contains
from glockd.doors.dispatch.shown import (
    HANDLES_A_TURN,
    dump,
    holder,
    show_handle,
    write_handles,
    write_project,
    write_projects,
)
from glockd.doors.dispatch.waits import JSON
from glockd.net.answers import not_allowed, text
from glockd.net.exchange import Answer, Ask

if TYPE_CHECKING:
    from glockd.doors.dispatch.desk import Desk
    from glockd.doors.dispatch.users import User, Users

Arguments: TypeAlias = Mapping[str, str]
Reply: TypeAlias = "Answer | Future[Answer]"
Call: TypeAlias = "Callable[[Ask, Arguments], Reply | Coroutine[Any, Any, Answer]]"

MOST_PROJECTS = 10_000

# Fuel of searches that is burnt before others get their turn: some 2 ms.
FUEL_A_TURN = 2000

NO_HANDLE_ID = "File Handle ID (<project_id>:<namespace>:<name>) must be specified"
NO_HANDLE = "Handle not found or was not reserved"
AUTH_PATHS = frozenset({"/auth", "/verify", "/whoami", "/mydn"})


class Routes:
    """Answers requests.

    Args:
        desk: where they become calls.
        known: who is known.
    """

    def __init__(self, desk: Desk, known: Users) -> None:
        self._desk = desk
        self._projects = desk.projects
        self._auth = Auth()
        self.users = known
        self._rses = Rses(desk, self._identify)
        self._calls: Mapping[str, tuple[str, Call]] = {
            "/version": ("GET", lambda ask, given: text(glockd.__version__)),
            "/probe": ("GET", lambda ask, given: text("OK")),
            "/create_project": ("POST", self._create),
            "/copy_project": ("POST", self._copy),
            "/project": ("GET", self._project),
            "/projects": ("GET", self._list),
            "/search_projects": ("POST", self._search),
            "/next_file": ("GET", self._next_file),
            "/release": ("GET", self._release),
            "/restart_handles": ("POST", self._restart),
            "/cancel_project": ("GET", self._cancel),
            "/activate_project": ("GET", self._activate),
            "/delete_project": ("GET", self._delete),
            "/handles": ("GET", self._handles),
        }

    def answer(self, ask: Ask) -> Reply:
        """Answer a request."""
        try:
            reply = self._answer(ask)
        except Refusal as refusal:
            return text(refusal.line, refusal.status)
        if isinstance(reply, Coroutine):
            return self._desk.service.loop.create_task(_refusing(reply))
        return reply

    def _answer(self, ask: Ask) -> Reply | Coroutine[Any, Any, Answer]:
        if self._desk.draining:
            raise Refusal(503, "The server is being shut down")
        path = unquote(ask.path)
        given = bodies.arguments(ask.query)
        if path.startswith("/auth/") and path[5:] in AUTH_PATHS:
            secrets = self._secrets
            return self._auth.answer(
                ask, path[5:], dict(given), self.users, secrets, self._desk.moment().wall
            )
        path = path.removeprefix("/data") if path.startswith("/data/") else ""
        if path.startswith("/get_rse/"):
            path, given = "/get_rse", {**given, "name": path.removeprefix("/get_rse/")}
        if path in self._rses.calls:
            method, call = self._rses.calls[path]
            if ask.method != method:
                return not_allowed(method)
            return self._json(call(ask, given))
        if path not in self._calls:
            raise Refusal(404, f"Not found: {path or ask.path}"[:200])
        method, answer = self._calls[path]
        return answer(ask, given) if ask.method == method else not_allowed(method)

    # Who asks, and for what

    @property
    def _secrets(self) -> tuple[bytes, ...]:
        return self._desk.service.policy.secrets_of["dispatch_secret_file"]

    def _identify(self, ask: Ask) -> User:
        return users.identify(ask, self.users, self._secrets, self._desk.moment().wall)

    def _own_project(self, ask: Ask, number: object) -> Project:
        """The project of that id, if the one who asks may change it."""
        if number is None:
            raise Refusal(400, "Project id must be specified")
        wanted = bodies.number(number)
        user = self._identify(ask)
        project = self._projects.find(wanted)
        if not user.owns(project):
            raise Refusal(403, "Forbidden")
        self._desk.demand()
        return project

    # Projects

    async def _create(self, ask: Ask, given: Arguments) -> Answer:
        user = self._identify(ask)
        self._check_number()
        body = await self._read(ask.body)
        files = specs.files_of(body)
        project = specs.new_project(next(self._projects.numbers), user.name, body, self._desk.moment())
        return await self._add(project, specs.drained(files))

    async def _copy(self, ask: Ask, given: Arguments) -> Answer:
        user = self._identify(ask)
        self._check_number()
        body = bodies.read(ask.body)
        if body.get("project_id") is None:
            raise Refusal(400, "project_id must be specified")
        original = self._projects.find(bodies.number(body["project_id"]))
        overlay = specs.attributes_of(body, "file_attributes")
        number = next(self._projects.numbers)
        project = specs.new_copy(number, user.name, original, body, self._desk.moment())
        return await self._add(project, specs.copies(original, overlay))

    def _check_number(self) -> None:
        self._desk.demand()
        if len(self._projects) >= MOST_PROJECTS:
            raise Refusal(400, f"There may be {MOST_PROJECTS} projects")

    async def _add(self, project: Project, files: Iterable[object]) -> Answer:
        await _pace(specs.fill(project, files))
        # The caller may leave; what is begun is finished.
        await asyncio.shield(self._desk.add(project))
        written = write_project(self._projects, project, with_handles=True, with_replicas=False)
        return _written(written, len(project.handles))

    async def _read(self, body: bytes) -> dict[str, Any]:
        if len(body) <= bodies.SMALL:
            return bodies.read(body)
        reader = bodies.SlowReader(body)
        await _pace(reader.steps())
        return reader.members

    def _project(self, ask: Ask, given: Arguments) -> Reply:
        project = self._projects.find(_number(given))
        with_files, with_replicas = (
            _flag(given, "with_files", absent=True),
            _flag(given, "with_replicas", absent=True),
        )
        return _written(
            write_project(self._projects, project, with_handles=with_files, with_replicas=with_replicas),
            len(project.handles) if with_files or with_replicas else 0,
        )

    async def _list(self, ask: Ask, given: Arguments) -> Answer:
        user = self._identify(ask)
        owner = given.get("owner", user.name)
        wanted = _attributes(given.get("attributes"))

        def fits(subject: Subject, project: Project) -> bool:
            return (
                owner in ("all", project.owner)
                and given.get("state", project.state) == project.state
                and given.get("not_state") != project.state
                and contains(subject, project.attributes, wanted)
            )

        found = await self._choose(fits)
        with_handles = _flag(given, "with_handles", absent=True)
        return self._listed(found, with_handles, _flag(given, "with_replicas", absent=True))

    async def _search(self, ask: Ask, given: Arguments) -> Answer:
        body = bodies.read(ask.body)
        query, owner, state = body.get("query"), body.get("owner"), body.get("state")
        if not isinstance(query, str):
            raise Refusal(400, "query must be specified")
        try:
            claim = grammar.parse(query)
        except BadQuery as error:
            raise Refusal(400, f"Invalid query: {error}") from None

        def fits(subject: Subject, project: Project) -> bool:
            return (
                owner in (None, project.owner)
                and state in (None, project.state)
                and claim.holds(subject) is True
            )

        found = await self._choose(fits)
        return self._listed(found, body.get("with_handles") is True, body.get("with_replicas") is True)

    async def _choose(self, fits: Callable[[Subject, Project], bool]) -> list[Project]:
        """The projects that fit, by id; others have their turn meanwhile."""
        found, burnt = [], 0
        for project in list(self._projects):
            subject = Subject(project)
            # One that has too much to look at is not found: who made it may not spoil the searches of others.
            with contextlib.suppress(BadQuery):
                if fits(subject, project):
                    found.append(project)
            burnt += subject.spent + 1
            if burnt > FUEL_A_TURN:
                burnt = 0
                await asyncio.sleep(0)
        return found

    def _listed(self, found: list[Project], with_handles: bool, with_replicas: bool) -> Answer:
        handles = sum(len(one.handles) for one in found) if with_handles or with_replicas else 0
        written = write_projects(
            self._projects, found, with_handles=with_handles, with_replicas=with_replicas
        )
        return _written(written, handles + len(found))

    def _cancel(self, ask: Ask, given: Arguments) -> Reply:
        project = self._own_project(ask, given.get("project_id"))
        self._projects.stop(project, self._desk.moment())
        self._desk.passed_on(project, ())
        return self._full(project)

    def _activate(self, ask: Ask, given: Arguments) -> Reply:
        project = self._own_project(ask, given.get("project_id"))
        self._projects.activate(project, self._desk.moment())
        self._desk.passed_on(project, ())
        return self._full(project)

    def _delete(self, ask: Ask, given: Arguments) -> Reply:
        self._desk.delete(self._own_project(ask, given.get("project_id")))
        return self._json(None)

    async def _restart(self, ask: Ask, given: Arguments) -> Answer:
        body = await self._read(ask.body)
        project = self._own_project(ask, body.get("project_id"))
        handles = self._chosen(project, body)
        await asyncio.shield(self._desk.restart(project, handles))
        return self._whole(project)

    def _chosen(self, project: Project, body: Mapping[str, Any]) -> list[Handle]:
        """The handles that restart_handles means."""
        if body.get("handles") is None:
            states = {state for state in ("done", "failed", "reserved", "initial") if body.get(state) is True}
            return [one for one in project.handles.values() if self._projects.state(project, one) in states]
        names = body["handles"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Refusal(400, "handles must be a list of DIDs")
        units = dict.fromkeys(name.encode("utf-8", "surrogatepass") for name in names)
        return [project.handles[unit] for unit in units if unit in project.handles]

    # Files

    def _next_file(self, ask: Ask, given: Arguments) -> Reply:
        user = self._identify(ask)
        number, worker_id = given.get("project_id"), given.get("worker_id")
        if number is None or worker_id is None:
            raise Refusal(400, "Project ID and Worker ID must be specified")
        if len(worker_id.encode("utf-8", "surrogatepass")) > specs.LONGEST_NAME:
            raise Refusal(400, f"A worker ID may have {specs.LONGEST_NAME} bytes")
        project = self._projects.find(bodies.number(number))
        if not (user.is_admin or user.may_work_on(project)):
            raise Refusal(403, NOT_AUTHORISED)
        self._desk.demand()
        return self._desk.next_file(project, worker_id, given.get("cpu_site", ""), ask.peer)

    def _release(self, ask: Ask, given: Arguments) -> Reply:
        project_id, namespace, name = _handle_id(given.get("handle_id"))
        user = self._identify(ask)
        project = self._projects.find(project_id)
        if not (user.is_admin or user.may_work_on(project)):
            raise Refusal(403, NOT_AUTHORISED)
        handle = project.handles.get(f"{namespace}:{name}".encode())
        if handle is None:
            raise Refusal(404, NO_HANDLE)
        hold = self._projects.hold(project, handle)
        worker_id = given.get("worker_id")
        if worker_id and (hold is None or holder(hold) != worker_id):
            raise Refusal(403, "Not authorized: wrong worker_id")
        if hold is None:
            raise Refusal(404, NO_HANDLE)
        self._desk.demand()
        failed, retry = _flag(given, "failed"), _flag(given, "retry", absent=True)
        shown = show_handle(self._projects, project, handle)
        self._desk.release(project, handle, hold, failed=failed, retry=retry)
        # It may be somebody else's by now; that is not for this one to know.
        state = INITIAL if failed and retry else "failed" if failed else "done"
        return self._json({**shown, "state": state, "worker_id": None})

    def _handles(self, ask: Ask, given: Arguments) -> Reply:
        try:
            project = self._projects.find(_number(given))
        except Refusal as refusal:
            if refusal.status == 404:
                return self._json([])
            raise
        wanted, unwanted = given.get("state"), given.get("not_state")
        chosen = list(project.handles.values())
        if wanted is not None or unwanted is not None:
            states = ((one, self._projects.state(project, one)) for one in chosen)
            chosen = [one for one, state in states if wanted in (None, state) and state != unwanted]
        written = write_handles(self._projects, project, chosen, with_replicas=False)
        return _written(written, len(chosen))

    # Answers

    def _json(self, value: object) -> Reply:
        answer = Answer(200, (JSON,), dump(value))
        return self._desk.recorded(lambda: answer)

    def _full(self, project: Project) -> Reply:
        """A project with all there is to it, behind the commit of what has become of it."""
        return self._desk.recorded(lambda: self._whole(project))

    def _whole(self, project: Project) -> Answer:
        written = write_project(self._projects, project, with_handles=True, with_replicas=True)
        return _written(written, len(project.handles))


async def _refusing(reply: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        return await reply
    except Refusal as refusal:
        return text(refusal.line, refusal.status)


async def _pace(steps: Iterator[None]) -> None:
    """Take steps, with other work in between."""
    for _ in steps:
        await asyncio.sleep(0)


async def _paced(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


def _written(pieces: Iterator[bytes], size: int) -> Answer:
    """An answer of pieces: at once if it is small, or else piece by piece.

    Args:
        size: how many records are in it.
    """
    if size <= HANDLES_A_TURN:
        return Answer(200, (JSON,), b"".join(pieces))
    return Answer(200, (JSON,), pieces=_paced(pieces))  # type: ignore[arg-type]


def _number(given: Arguments) -> int:
    if "project_id" not in given:
        raise Refusal(400, "Project id must be specified")
    return bodies.number(given["project_id"])


def _flag(given: Arguments, name: str, *, absent: bool = False) -> bool:
    return given[name] == "yes" if name in given else absent


def _handle_id(given: str | None) -> tuple[int, str, str]:
    if not given:
        raise Refusal(400, NO_HANDLE_ID)
    project_id, colon, rest = given.partition(":")
    namespace, another, name = rest.partition(":")
    if not (colon and another):
        raise Refusal(400, NO_HANDLE_ID)
    return bodies.number(project_id), namespace, name


def _attributes(given: str | None) -> Any:
    """The filter of `projects`, which may be encoded twice."""
    if not given:
        return {}
    for attempt in (given, unquote(given)):
        try:
            found = json.loads(attempt)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and not specs.is_deep(found):
            return found
    raise Refusal(400, "attributes must be a JSON object")
