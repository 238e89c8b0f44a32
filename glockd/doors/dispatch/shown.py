"""Projects, handles, replicas and elements as clients see them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from glockd.core.holds import Hold
from glockd.doors.dispatch.elements import Element, Elements, Replica
from glockd.doors.dispatch.project import INITIAL, RESERVED, Handle, Project, Worker
from glockd.doors.dispatch.projects import Projects

# Handles that are put into words at once: some 2 ms.
HANDLES_A_TURN = 250

_ENCODER = json.JSONEncoder(separators=(",", ":"))


def dump(value: object) -> bytes:
    """A value as JSON; lone surrogates, which JSON can have and UTF-8 cannot, stay escaped."""
    return _ENCODER.encode(value).encode()


def holder(hold: Hold) -> str:
    """The worker id of whoever has a file; of who takes it in another language, its name."""
    if isinstance(hold.session, Worker):
        return hold.session.worker_id
    return hold.session.label.decode("utf-8", "backslashreplace")


def show_handle(projects: Projects, project: Project, handle: Handle) -> dict[str, Any]:
    """A handle, without replicas."""
    hold = None if handle.ended else projects.hold(project, handle)
    return {
        "project_id": project.number,
        "namespace": handle.namespace,
        "name": handle.name,
        "state": handle.ended or (INITIAL if hold is None else RESERVED),
        "worker_id": None if hold is None else holder(hold),
        "attempts": handle.attempts,
        "attributes": handle.attributes or {},
        "reserved_since": handle.reserved_since,
    }


def show_project(project: Project) -> dict[str, Any]:
    """A project, without handles."""
    return {
        "project_id": project.number,
        "owner": project.owner,
        "state": project.state,
        "retry_count": None,
        "attributes": project.attributes,
        "created_timestamp": project.created,
        "ended_timestamp": project.ended,
        "active": project.active,
        "query": project.query,
        "worker_timeout": project.worker_timeout,
        "idle_timeout": project.idle_timeout,
        "users": project.users,
        "roles": project.roles,
    }


def show_replica(elements: Elements, replica: Replica) -> dict[str, Any]:
    """A replica."""
    return {
        "name": replica.unit.decode()[len(replica.namespace) + 1 :],
        "namespace": replica.namespace,
        "path": replica.path,
        "rse": replica.rse,
        "url": replica.url,
        "urls": replica.urls,
        "preference": replica.preference,
        "available": replica.available,
        "rse_available": elements.find(replica.rse).is_available,
    }


def show_element(element: Element) -> dict[str, Any]:
    """A storage element."""
    return asdict(element)


def show_taken(projects: Projects, project: Project, handle: Handle, site: str) -> dict[str, Any]:
    """A handle as next_file gives it: with the replicas that can be read now, and the project's attributes."""
    elements = projects.elements
    replicas = {}
    if not project.virtual:
        for replica, proximity in elements.near(handle.unit, site):
            shown = show_replica(elements, replica)
            replicas[replica.rse] = {**shown, "preference": proximity, "proximity": proximity}
    return {
        **show_handle(projects, project, handle),
        "replicas": replicas,
        "project_attributes": project.attributes,
    }


def write_handles(
    projects: Projects, project: Project, handles: Sequence[Handle], *, with_replicas: bool
) -> Iterator[bytes]:
    """A list of handles as JSON, piece by piece; the project may change meanwhile."""
    remaining = iter(handles)
    before = b"["
    while some := list(islice(remaining, HANDLES_A_TURN)):
        shown = [show_handle(projects, project, handle) for handle in some]
        if with_replicas:
            for one, handle in zip(shown, some, strict=True):
                one["replicas"] = {
                    replica.rse: show_replica(projects.elements, replica)
                    for replica in projects.elements.replicas(handle.unit)
                }
        yield before + dump(shown)[1:-1]
        before = b","
    yield b"[]" if before == b"[" else b"]"


def write_project(
    projects: Projects, project: Project, *, with_handles: bool, with_replicas: bool
) -> Iterator[bytes]:
    """A project as JSON, piece by piece."""
    shown = dump(show_project(project))
    if not (with_handles or with_replicas):
        yield shown
        return
    yield shown[:-1] + b',"file_handles":'
    yield from write_handles(projects, project, list(project.handles.values()), with_replicas=with_replicas)
    yield b"}"


def write_projects(
    projects: Projects, chosen: Sequence[Project], *, with_handles: bool, with_replicas: bool
) -> Iterator[bytes]:
    """A list of projects as JSON, piece by piece."""
    before = b"["
    for project in chosen:
        yield before
        yield from write_project(projects, project, with_handles=with_handles, with_replicas=with_replicas)
        before = b","
    yield b"[]" if before == b"[" else b"]"
