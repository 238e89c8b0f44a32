"""Projects as work lists of the line language: `take 60 #17`."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.doors.dispatch.site import Site, flags
from tests.support.clients import SocketClient, wait_until
from tests.support.process import Glockd, Spawner

OPEN = ("-dispatch", "127.0.0.1:0", "-dispatch-hold-seconds=20", "-admin", "-history=50")
TRANSPORTS = ("tcp", "unix", "websocket")


@pytest.fixture(params=["in memory", "on record"])
def ours(request: pytest.FixtureRequest, glockd: Spawner, tmp_path: Path) -> Glockd:
    records = (f"-records={tmp_path / 'records'}",) if request.param == "on record" else ()
    return glockd(*OPEN, *records)


def waiting(observer: SocketClient, project: int) -> int:
    found: int = json.loads(observer.says(f"pool #{project}").hears_a_line()[2:])["waiting"]
    return found


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_file_is_taken_and_done(ours: Glockd, kind: str) -> None:
    site = Site(ours, user=None)
    project = site.project("a", "b", "c")
    alice = ours.client(kind)
    alice.says("iam alice").hears("1 ok")
    alice.says(f"take 0 #{project}").hears("1 Item Take Success: n:a")
    assert site.states(project)["a"] == "reserved"
    alice.says(f"done #{project} n:a").hears("1 Item Done Success: n:a")
    alice.says(f"done #{project} n:a").hears("0 Item Done Failure: n:a")
    alice.says(f"take 5 #{project}").hears("1 Item Take Success: n:b")
    alice.says(f"fail #{project} n:b").hears("1 Item Fail Success: n:b")
    alice.says(f"take inf #{project}").hears("1 Item Take Success: n:c")
    alice.says(f"give #{project} n:c").hears("1 Item Give Success: n:c")
    alice.says(f"take 5 #{project}").hears("2 Item Take Success: n:c")
    assert site.states(project) == {"a": "done", "b": "failed", "c": "reserved"}
    (handle,) = site.asks("handles", project_id=project, state="reserved").json
    assert handle["worker_id"] == "alice"
    counts = json.loads(alice.says(f"pool #{project}").hears_a_line()[2:])
    assert (counts["done"], counts["failed"], counts["held"]) == (1, 1, 1)
    alice.says(f"done #{project} n:c").hears("1 Item Done Success: n:c")
    alice.says(f"take 5 #{project}").hears(f"0 Item Take Failure: #{project}")  # it is over
    alice.says("take 5 #4711").hears("0 Item Take Failure: #4711")
    alice.says("take 5 #x").hears("0 Item Take Failure: #x")
    alice.says(f"put #{project} n:d").hears("0 Item Put Failure: n:d")


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_file_of_who_is_gone_is_the_next_one_s_at_once(ours: Glockd, kind: str) -> None:
    site = Site(ours, user=None)
    project = site.project("a")
    alice, bob, observer = ours.client(kind), ours.client(kind), ours.client("unix")
    alice.says(f"take 0 #{project}").hears("1 Item Take Success: n:a")
    bob.says(f"take 60 #{project}")
    wait_until(lambda: waiting(observer, project) == 1)
    alice.vanishes()
    bob.hears("2 Item Take Success: n:a")
    bob.vanishes()
    wait_until(lambda: site.states(project)["a"] == "initial")
    assert site.next(project)["handle"]["attempts"] == 3


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_wait_is_given_up_by_cancel_by_time_or_with_the_connection(ours: Glockd, kind: str) -> None:
    site = Site(ours, user=None)
    project = site.project("a")
    assert site.takes(project) == "a"
    alice, bob, observer = ours.client(kind), ours.client(kind), ours.client("unix")
    alice.says(f"take 60 #{project}", "ping")
    wait_until(lambda: waiting(observer, project) == 1)
    alice.says("cancel").hears(f"0 Item Take Failure: #{project}").hears("1 Cancelled").hears("1 pong")
    alice.says(f"take 0.05 #{project}").hears(f"0 Item Take Failure: #{project}")
    alice.says("g lock").hears("1 Lock Get Success: lock")
    bob.says(f"take 60 #{project}")
    wait_until(lambda: waiting(observer, project) == 1)
    bob.vanishes()
    wait_until(lambda: waiting(observer, project) == 0)
    site.releases(project, "a", worker_id="w")


def test_requests_and_connections_stand_in_one_line(ours: Glockd) -> None:
    site = Site(ours, user=None)
    project = site.project("a")
    assert site.takes(project) == "a"
    alice, observer = ours.client("tcp"), ours.client("unix")
    alice.says(f"take 60 #{project}")
    wait_until(lambda: waiting(observer, project) == 1)
    http = site.later(lambda: site.asks("next_file", project_id=project, worker_id="http"))
    wait_until(lambda: waiting(observer, project) == 2)
    site.asks("release", handle_id=f"{project}:n:a", worker_id="w", failed="yes", retry="yes")
    alice.hears("2 Item Take Success: n:a")
    alice.says(f"give #{project} n:a").hears("1 Item Give Success: n:a")
    assert http.result(20).json["handle"]["attempts"] == 3


def test_the_worker_timeout_is_the_lease_and_keep_changes_it(ours: Glockd) -> None:
    site = Site(ours, user=None)
    project = site.project("a", worker_timeout=0.3)
    alice = ours.client("tcp")
    alice.says("notify on").hears("1 ok")
    alice.says(f"take 0 #{project}").hears("1 Item Take Success: n:a")
    alice.hears(f"! item #{project} n:a expired")
    alice.says(f"done #{project} n:a").hears("0 Item Done Failure: n:a")
    alice.says(f"take 0 #{project}").hears("2 Item Take Success: n:a")
    alice.says(f"keep inf #{project} n:a").hears("1 Item Keep Success: n:a")
    (holder,) = json.loads(alice.says(f"explain #{project}").hears_a_line()[2:])["items"]["holders"]
    assert holder["lease"] is None
    alice.says(f"keep 0.1 #{project} n:a").hears("1 Item Keep Success: n:a")
    alice.hears(f"! item #{project} n:a expired")
    alice.says(f"keep 5 #{project} n:a").hears("0 Item Keep Failure: n:a")


def test_what_another_connection_has_is_not_mine(ours: Glockd) -> None:
    site = Site(ours, user=None)
    project = site.project("a", "b")
    alice, bob = ours.client("tcp"), ours.client("tcp")
    for client in (alice, bob):
        client.says("iam same name").hears("1 ok")
    alice.says(f"take 0 #{project}").hears("1 Item Take Success: n:a")
    bob.says(f"done #{project} n:a").hears("0 Item Done Failure: n:a")
    bob.vanishes()
    alice.says(f"take 0 #{project}").hears("1 Item Take Success: n:b")
    alice.says(f"done #{project} n:a").hears("1 Item Done Success: n:a")


def test_where_projects_want_a_secret_the_line_language_must_want_one_too(
    glockd: Spawner, tmp_path: Path
) -> None:
    wanted = flags(tmp_path)
    ours = glockd(*wanted)
    ours.client("tcp").says("take 0 #1").hears("0 Not Authorised")
    (tmp_path / "auth").write_text("line secret\n")
    ours = glockd(*wanted, f"-auth-file={tmp_path / 'auth'}")
    project = Site(ours).project("a")
    alice = ours.client("tcp")
    alice.says("auth line secret").hears("1 ok")
    alice.says(f"take 0 #{project}").hears("1 Item Take Success: n:a")


def test_the_daemon_stops_although_somebody_waits(ours: Glockd) -> None:
    site = Site(ours, user=None)
    project = site.project("a")
    assert site.takes(project) == "a"
    alice, observer = ours.stream("tcp"), ours.client("unix")
    alice.says(f"take 60 #{project}")
    wait_until(lambda: waiting(observer, project) == 1)
    ours.gets(signal.SIGTERM)
    alice.is_hung_up_on()
    assert ours.ends() == 0
