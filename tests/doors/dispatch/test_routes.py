"""Data Dispatcher's server in a process of its own: what the shared cases do not say."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doors.dispatch.site import Site, flags
from tests.support.clients import wait_until
from tests.support.http import ask, samples
from tests.support.process import Glockd, Spawner, run_glockd

OPEN = ("-dispatch", "127.0.0.1:0", "-dispatch-hold-seconds=20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dispatch")


@pytest.fixture
def daemon(glockd: Spawner) -> Glockd:
    return glockd(*OPEN)


@pytest.fixture
def site(daemon: Glockd) -> Iterator[Site]:
    site = Site(daemon, user=None)
    yield site
    site.pool.shutdown(wait=False)


def gauge(daemon: Glockd, name: str) -> float:
    """What the page of metrics says."""
    return samples(ask(daemon.ws, "/metrics").text)[name]


def call_of(site: Site, project: int, worker: str) -> socket.socket:
    """next_file on a connection by hand."""
    sock = socket.create_connection(site.address)
    target = f"/data/next_file?project_id={project}&worker_id={worker}"
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return sock


def stands(daemon: Glockd, number: int) -> None:
    """Wait until so many wait for files."""
    wait_until(lambda: gauge(daemon, 'glockd_waiters{table="items"}') == number)


def connected(daemon: Glockd, number: int, kind: str = "tcp") -> None:
    """Wait until there are so many connections in the line language."""
    wait_until(lambda: gauge(daemon, f'glockd_connections{{transport="{kind}"}}') == number)


def test_without_a_secret_everybody_is_anonymous_and_may_do_all(site: Site) -> None:
    project = site.project("a")
    assert site.asks("project", project_id=project).json["owner"] == "anonymous"
    assert site.asks("create_rse", {"name": "DISK"}).status == 200


def test_a_waiting_worker_is_served_the_moment_a_file_comes_back(site: Site) -> None:
    project = site.project("a")
    assert site.takes(project) == "a"
    waits = site.later(lambda: site.asks("next_file", project_id=project, worker_id="next"))
    stands(site.daemon, 1)
    site.releases(project, "a", failed="yes")
    handle = waits.result(5).json["handle"]
    assert (handle["name"], handle["worker_id"], handle["attempts"]) == ("a", "next", 2)


def test_whoever_hangs_up_leaves_the_line(site: Site) -> None:
    project = site.project("a")
    site.takes(project)
    gone = call_of(site, project, "gone")
    stands(site.daemon, 1)
    gone.close()
    stands(site.daemon, 0)
    site.releases(project, "a", failed="yes")
    handle = site.next(project, "w2")["handle"]
    assert (handle["worker_id"], handle["attempts"]) == ("w2", 2)


def test_draining_sends_those_who_wait_away_with_503(site: Site) -> None:
    project = site.project("a")
    site.takes(project)
    waits = site.later(lambda: site.asks("next_file", project_id=project, worker_id="next"))
    stands(site.daemon, 1)
    site.daemon.gets(signal.SIGTERM)
    assert waits.result(5).status == 503
    assert site.daemon.ends() == 0


def test_a_kicked_worker_gives_its_files_back(glockd: Spawner) -> None:
    site = Site(glockd(*OPEN, "-admin"), user=None)
    project = site.project("a")
    site.takes(project, "lazy")
    site.daemon.stream("unix").says("kick worker:lazy").hears("1 Kicked: worker:lazy")
    wait_until(lambda: site.states(project) == {"a": "initial"})


# Presence


def test_files_go_back_when_the_worker_s_own_connection_ends(site: Site) -> None:
    project = site.project("a", "b")
    site.takes(project, "w1")
    line = site.daemon.stream()
    line.says("iam w1").hears_a_line()
    assert site.takes(project, "w1") == "b"
    line.vanishes()
    wait_until(lambda: site.states(project) == {"a": "reserved", "b": "initial"})


def test_with_several_connections_the_last_one_counts(site: Site) -> None:
    project = site.project("a")
    first, second = site.daemon.stream(), site.daemon.stream()
    for line in (first, second):
        line.says("iam w1").hears_a_line()
    site.takes(project, "w1")
    second.vanishes()
    connected(site.daemon, 1)
    assert site.states(project) == {"a": "reserved"}
    first.vanishes()
    wait_until(lambda: site.states(project) == {"a": "initial"})


def test_nobody_takes_files_away_by_a_name(site: Site) -> None:
    project = site.project("a")
    site.takes(project, "w1")
    stranger = site.daemon.stream()
    stranger.says("iam w1").hears_a_line()
    stranger.vanishes()
    connected(site.daemon, 0)
    assert site.states(project) == {"a": "reserved"}


def test_a_connection_from_elsewhere_does_not_count(site: Site) -> None:
    project = site.project("a")
    line = site.daemon.stream("unix")
    line.says("iam w1").hears_a_line()
    site.takes(project, "w1")
    line.vanishes()
    connected(site.daemon, 0, "unix")
    assert site.states(project) == {"a": "reserved"}


# Records


def test_what_was_answered_survives_the_daemon_s_death(glockd: Spawner, folder: Path) -> None:
    records = ("-records", str(folder / "death"))
    site = Site(glockd(*OPEN, *records), user=None)
    attributes = {"x": [1, "\udc80é"]}
    project = site.project("a", "b", "c", project_attributes=attributes, worker_timeout=600, users=["bob"])
    deleted = site.project("a")
    site.asks("create_rse", {"name": "DISK", "is_enabled": True, "is_available": True})
    for name in "abc":
        site.asks("replica_available", {"url": f"u:{name}"}, rse="DISK", namespace="n", name=name)
    assert [site.takes(project, "w\N{SNOWMAN}") for _ in range(3)] == ["a", "b", "c"]
    site.releases(project, "a")
    site.releases(project, "b", failed="yes")
    assert site.asks("delete_project", project_id=deleted).json is None
    before = site.asks("project", project_id=project).json
    elements = site.asks("rses").json
    site.daemon.kill()
    again = Site(glockd(*OPEN, *records), user=None)
    assert again.asks("project", project_id=project).json == before
    assert again.asks("rses").json == elements
    assert again.asks("project", project_id=deleted).line == "Project not found"
    assert again.takes(project) == "b"
    assert again.releases(project, "c", worker_id="w\N{SNOWMAN}").json["state"] == "done"
    assert again.project("a") > deleted


def test_a_restart_leaves_workers_their_files(glockd: Spawner, folder: Path) -> None:
    records = ("-records", str(folder / "restart"))
    site = Site(glockd(*OPEN, *records), user=None)
    project = site.project("a", "b")
    site.takes(project, "w1")
    site.daemon.gets(signal.SIGTERM)
    assert site.daemon.ends() == 0
    again = Site(glockd(*OPEN, *records), user=None)
    assert again.states(project) == {"a": "reserved", "b": "initial"}
    assert again.releases(project, "a", worker_id="w1").json["attempts"] == 1


def test_leases_go_on_over_a_restart(glockd: Spawner, folder: Path) -> None:
    records = ("-records", str(folder / "leases"))
    site = Site(glockd(*OPEN, *records), user=None)
    project = site.project("a", worker_timeout=3)
    site.takes(project)
    site.daemon.kill()
    again = Site(glockd(*OPEN, *records), user=None)
    handle = again.next(project, "next")["handle"]
    assert (handle["attempts"], handle["attributes"]) == (2, {"timeouts": 1})


def test_a_large_project_is_kept_whole_and_told_in_pieces(glockd: Spawner, folder: Path) -> None:
    records = ("-records", str(folder / "large"))
    site = Site(glockd(*OPEN, *records), user=None)
    names = [f"{number:05}" for number in range(5000)]
    created = site.asks(
        "create_project", {"files": [{"namespace": "n", "name": one} for one in names[::-1]]}
    ).json
    assert [one["name"] for one in created["file_handles"]] == names
    project = created["project_id"]
    assert site.takes(project) == "00000"
    site.daemon.kill()
    again = Site(glockd(*OPEN, *records), user=None)
    assert [one["name"] for one in again.asks("handles", project_id=project).json] == names
    assert again.asks("restart_handles", {"project_id": project, "reserved": True}).json["active"]
    again.asks("delete_project", project_id=project)
    assert again.asks("projects", owner="all").json == []


# Who may


def test_foreign_pages_and_names_are_refused(site: Site) -> None:
    assert site.asks("projects", headers={"Origin": "http://evil.example"}).status == 403
    assert site.asks("projects", headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert site.asks("projects", headers={"Host": "evil.example"}).status == 421


def test_without_a_secret_it_listens_at_home_only(folder: Path) -> None:
    result = run_glockd("-port", "0", "-ws", "0", "-dispatch", "0.0.0.0:0")
    assert result.returncode == 1
    assert "-dispatch-secret-file" in result.stderr


def test_with_a_secret_users_and_rights_are_asked_for(glockd: Spawner, folder: Path) -> None:
    daemon = glockd(*flags(folder))
    alice, bob, nobody = Site(daemon), Site(daemon, "bob"), Site(daemon, None)
    project = alice.project("a", users=["bob"])
    assert nobody.asks("projects").line == "Token not found"
    assert Site(daemon, "zed").asks("projects").line == "user zed not found"
    assert bob.takes(project) == "a"
    assert bob.releases(project, "a").json["state"] == "done"
    assert bob.asks("cancel_project", project_id=project).line == "Forbidden"
    assert bob.asks("create_rse", {"name": "DISK"}).line == "Not authorized"
    assert Site(daemon, "root").asks("cancel_project", project_id=project).status == 200


@pytest.mark.parametrize(
    ("option", "content", "wrong"),
    [
        ("users", "alice boss\n", "line 1: 'boss' is neither admin nor role:NAME"),
        ("password", "alice:pw\n", "line 1 is not of htdigest's"),
        ("password", f"a:r1:{'0' * 32}\nb:r2:{'0' * 32}\n", "one realm is needed, and it has 2"),
        ("proximity", "# rows\nSITE DISK near\n", "line 2 is not SITE ELEMENT NUMBER"),
    ],
)
def test_a_file_that_means_nothing_is_a_start_error(
    tmp_path: Path, option: str, content: str, wrong: str
) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    result = run_glockd("-port", "0", "-ws", "0", *OPEN, f"-dispatch-{option}-file", str(path))
    assert (result.returncode, wrong in result.stderr) == (1, True), result.stderr


def test_users_are_read_again_unless_they_mean_nothing(glockd: Spawner, tmp_path: Path) -> None:
    daemon = glockd(*flags(tmp_path))
    zed = Site(daemon, "zed")
    (tmp_path / "users").write_text("zed\n")
    daemon.gets(signal.SIGHUP)
    wait_until(lambda: zed.asks("projects").status == 200)
    (tmp_path / "users").write_text("zed boss\n")
    daemon.gets(signal.SIGHUP).logs("a file cannot be used", "'boss' is neither")
    assert zed.asks("projects").status == 200


# Bad input


@pytest.mark.parametrize(
    ("path", "body", "line"),
    [
        ("create_project", {"files": "n:a"}, "files must be a list"),
        ("create_project", {"files": ["n:a"] * 100_001}, "A project may have 100000 files, and not 100001"),
        ("create_project", {"files": [f"n:{'a' * 4097}"]}, "A name has more than 4096 bytes"),
        (
            "create_project",
            {"files": [], "idle_timeout": 1e999},
            "idle_timeout must be a number of seconds or null",
        ),
        ("create_project", {"files": [], "users": "bob"}, "users must be a list of names or null"),
        ("create_project", {"files": [], "query": 5}, "query must be a text or null"),
        (
            "create_project",
            {"files": [], "project_attributes": {"x": "y" * (1 << 20)}},
            "project_attributes may have 1048576 bytes",
        ),
        ("create_project", b"[" * 100_000, "The body is not a JSON object"),
        ("create_project", b'{"files": [' + b'"n:a",' * 100_000 + b"]}", "The body is not a JSON object"),
        ("copy_project", {}, "project_id must be specified"),
        ("restart_handles", {"project_id": True}, "project_id must be an integer"),
        ("search_projects", {"query": "(" * 60 + "a" + ")" * 60}, "Invalid query: it may be 50 deep"),
        ("search_projects", {"query": "a or " * 100 + "a"}, "Invalid query: it may have 100 tests"),
        ("create_rse", {"name": "X", "is_tape": 1}, "is_tape must be of type bool"),
        ("create_rse", {}, "RSE name must be specified"),
        ("replica_available", {}, "rse must be specified"),
    ],
)
def test_bad_input_gets_a_clear_answer(site: Site, path: str, body: object, line: str) -> None:
    reply = site.asks(path, body)
    assert (reply.status, reply.line) == (400, line)
    assert site.asks("projects", owner="all").json == []


def test_other_methods_are_not_allowed(site: Site) -> None:
    assert site.asks("projects", {}).status == 405
    assert site.asks("create_project").status == 405
