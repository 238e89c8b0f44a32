"""New projects, as clients describe them."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from glockd.doors.dispatch import bodies
from glockd.doors.dispatch.project import MOST_FILES, Attributes, Handle, Moment, Project
from glockd.doors.dispatch.refusal import Refusal

# Limits, in bytes where nothing else is said.
LONGEST_NAME = 4096
MOST_ATTRIBUTES = 1 << 20
DEEPEST = 50  # levels

# Files that are looked at before others get their turn: some 1 ms.
FILES_A_TURN = 300

_BY_NAME = itemgetter(0, 1)

T = TypeVar("T")


class Spec(NamedTuple):
    """A file of a project to be."""

    namespace: str
    name: str
    attributes: Attributes | None


def spec_of(given: object) -> Spec:
    """The file that a client means.

    Raises:
        Refusal: it cannot be told.
    """
    if isinstance(given, str):
        parts = given.split(":")
        if len(parts) != 2:
            raise _invalid(given, "can not parse as namespace:name")
        return _checked(given, parts[0], parts[1], None)
    if not isinstance(given, dict):
        raise _invalid(given, "unsupported type")
    namespace, name = given.get("namespace"), given.get("name")
    if not (isinstance(namespace, str) and isinstance(name, str)):
        raise _invalid(given, "namespace or name missing")
    attributes = given.get("attributes")
    if attributes is not None and (not isinstance(attributes, dict) or is_deep(attributes)):
        raise _invalid({"namespace": namespace, "name": name}, "invalid file attributes")
    return _checked(given, namespace, name, attributes or None)


def _checked(given: object, namespace: str, name: str, attributes: Attributes | None) -> Spec:
    if not (namespace and name):
        raise _invalid(given, "namespace or name missing")
    try:
        if len(namespace.encode()) > LONGEST_NAME or len(name.encode()) > LONGEST_NAME:
            raise Refusal(400, f"A name has more than {LONGEST_NAME} bytes")
    except UnicodeEncodeError:
        raise _invalid(given, "the name is no text that UTF-8 can write") from None
    return Spec(namespace, name, attributes)


def _invalid(given: object, why: str) -> Refusal:
    shown = given if isinstance(given, str) else json.dumps(given)
    return Refusal(400, f"Invalid file specification: {shown[:200]} - {why}")


def new_project(number: int, owner: str, body: Mapping[str, Any], at: Moment) -> Project:
    """A project as create_project describes it, without its files.

    Raises:
        Refusal: something is wrong with it.
    """
    project = Project(number, owner, at)
    project.attributes = attributes_of(body, "project_attributes")
    query = body.get("query")
    if query is not None and not isinstance(query, str):
        raise Refusal(400, "query must be a text or null")
    project.query = query
    project.worker_timeout = bodies.seconds(body.get("worker_timeout"), "worker_timeout")
    project.idle_timeout = bodies.seconds(body.get("idle_timeout"), "idle_timeout")
    project.users = _names(body, "users")
    project.roles = _names(body, "roles")
    return project


def new_copy(number: int, owner: str, original: Project, body: Mapping[str, Any], at: Moment) -> Project:
    """A project as copy_project describes it, without its files.

    Raises:
        Refusal: something is wrong with it.
    """
    project = Project(number, owner, at)
    project.attributes = {**original.attributes, **attributes_of(body, "project_attributes")}
    check_size(project.attributes, "project_attributes")
    project.query = original.query
    project.worker_timeout = _timeout(body, "worker_timeout", original.worker_timeout)
    project.idle_timeout = _timeout(body, "idle_timeout", original.idle_timeout)
    return project


def files_of(body: Mapping[str, Any]) -> list[Any]:
    """The files of create_project, not looked at yet.

    Raises:
        Refusal: they are no list, or too many.
    """
    files = body.get("files")
    if not isinstance(files, list):
        raise Refusal(400, "files must be a list")
    if len(files) > MOST_FILES:
        raise Refusal(400, f"A project may have {MOST_FILES} files, and not {len(files)}")
    return files


def drained(given: list[T]) -> Iterator[T]:
    """What is in a list, in order, and out of it: to free 100,000 at once would hold up everybody else."""
    given.reverse()
    while given:
        yield given.pop()


def fill(project: Project, given: Iterable[object]) -> Iterator[None]:
    """Give a project its files, sorted by name; others have their turn between the steps.

    Raises:
        Refusal: something is wrong with one of them.
    """
    remaining = iter(given)
    runs: list[list[Spec]] = []
    namespaces: dict[str, str] = {}  # one text for all files of a namespace
    while some := list(islice(remaining, FILES_A_TURN)):
        specs = [one if isinstance(one, Spec) else spec_of(one) for one in some]
        runs.append(
            sorted(
                (
                    Spec(namespaces.setdefault(one.namespace, one.namespace), one.name, one.attributes)
                    for one in specs
                ),
                key=_BY_NAME,
            )
        )
        yield
    handles = project.handles
    for position, (namespace, name, attributes) in enumerate(heapq.merge(*map(drained, runs), key=_BY_NAME)):
        unit = f"{namespace}:{name}".encode()
        if unit in handles:
            raise Refusal(400, f"{namespace}:{name} is there twice")
        handles[unit] = Handle(namespace, unit, position, attributes)
        if position % FILES_A_TURN == 0:
            yield


def copies(original: Project, overlay: Attributes) -> Iterator[Spec]:
    """The files of a project, with other attributes over their own."""
    for handle in list(original.handles.values()):
        attributes = {**(handle.attributes or {}), **overlay}
        yield Spec(handle.namespace, handle.name, attributes or None)


def attributes_of(body: Mapping[str, Any], what: str) -> Attributes:
    """Attributes in a body; none if they are null.

    Raises:
        Refusal: they are no object, or too large.
    """
    given = body.get(what)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Refusal(400, f"{what} must be an object")
    check_size(given, what)
    return given


def check_size(attributes: Attributes, what: str) -> None:
    """See that attributes are not too large.

    Raises:
        Refusal: they are.
    """
    if is_deep(attributes):
        raise Refusal(400, f"{what} may be {DEEPEST} deep")
    if len(json.dumps(attributes)) > MOST_ATTRIBUTES:
        raise Refusal(400, f"{what} may have {MOST_ATTRIBUTES} bytes")


def is_deep(value: object, depth: int = 0) -> bool:
    """Whether a JSON value has more levels than are let in: each costs stack whenever it is written."""
    if not isinstance(value, dict | list) or not value:
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == DEEPEST or any(is_deep(one, depth + 1) for one in inner)


def _names(body: Mapping[str, Any], what: str) -> tuple[str, ...]:
    given = body.get(what)
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise Refusal(400, f"{what} must be a list of names or null")
    return tuple(sorted(set(given)))


def _timeout(body: Mapping[str, Any], what: str, original: float | None) -> float | None:
    given = body.get(what)
    if given is None or given == "default":
        return original
    if given == "no timeout":
        return None
    return bodies.seconds(given, what)
