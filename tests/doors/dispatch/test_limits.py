"""The limits of Data Dispatcher's door: what goes beyond them is refused with a line, and nothing has changed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from glockd.doors.dispatch import grammar, routes
from glockd.doors.dispatch.door import LIMITS
from glockd.doors.dispatch.project import MOST_FILES
from tests.doors.dispatch.site import Reply, Site
from tests.support.process import Glockd, Spawner


@pytest.fixture
def daemon(glockd: Spawner) -> Glockd:
    return glockd("-dispatch", "127.0.0.1:0")


@pytest.fixture
def site(daemon: Glockd) -> Iterator[Site]:
    site = Site(daemon, user=None)
    yield site
    site.pool.shutdown(wait=False)


def creates(site: Site, *names: str, **more: object) -> Reply:
    return site.asks("create_project", {"files": [f"n:{name}" for name in names], **more})


def projects(site: Site) -> int:
    return len(site.asks("projects", owner="all", with_handles="no").json)


def searches(site: Site, query: str) -> Reply:
    return site.asks("search_projects", {"query": query})


def test_a_project_with_too_many_files_is_not_made(site: Site) -> None:
    refused = creates(site, *map(str, range(MOST_FILES + 1)))
    assert (refused.status, refused.line) == (400, "A project may have 100000 files, and not 100001")
    assert projects(site) == 0


def test_one_project_too_many_is_not_made(site: Site) -> None:
    with_many = site.pool.map(lambda _: creates(site, "a"), range(routes.MOST_PROJECTS))
    assert all(made.status == 200 for made in with_many)
    refused = creates(site, "a")
    assert (refused.status, refused.line) == (400, "There may be 10000 projects")
    assert projects(site) == routes.MOST_PROJECTS


def test_a_body_that_is_too_large_is_not_read(site: Site) -> None:
    """Nor waited for: its length is enough."""
    with socket.create_connection(site.address, timeout=10) as sock:
        head = "POST /data/create_project HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        sock.sendall((head % (LIMITS.body + 1)).encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert f"A body may have {LIMITS.body} bytes." in answer.decode()
    assert projects(site) == 0


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("k = 1".ljust(grammar.LONGEST + 1), "it may have 10000 characters"),
        ("(" * 51 + "k = 1" + ")" * 51, "it may be 50 deep"),
        (" or ".join(["k = 1"] * 101), "it may have 100 tests"),
        (f"k ~ '{'a' * 101}'", "a regular expression may have 100 characters"),
    ],
)
def test_an_expression_that_is_too_much_is_refused(site: Site, query: str, line: str) -> None:
    assert creates(site, "a", project_attributes={"k": 1}).status == 200
    refused = searches(site, query)
    assert (refused.status, refused.line) == (400, f"Invalid query: {line}")
    assert len(searches(site, "k = 1").json) == 1


def test_a_pattern_takes_no_longer_than_its_text(site: Site) -> None:
    """One that makes others backtrack for ever."""
    assert creates(site, "a", project_attributes={"k": "a" * 40 + "b"}).status == 200
    assert searches(site, "k ~ '(a+)+$'").json == []
    assert len(searches(site, "k ~ '(a+)+b$'").json) == 1


def test_a_project_with_too_much_to_look_at_is_not_found_and_keeps_nobody_from_others(site: Site) -> None:
    assert creates(site, "a", project_attributes={"k": [0] * 20_000 + [1]}).status == 200
    found = creates(site, "a", project_attributes={"k": [0, 1]}).json
    assert [one["project_id"] for one in searches(site, "k[any] = 1").json] == [found["project_id"]]
