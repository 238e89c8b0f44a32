"""pScheduler's server in a process of its own: what the shared cases do not say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.doors.windows.site import OPEN, Site, in_hours, written
from tests.support.clients import wait_until
from tests.support.process import Spawner

NOBODY = "/tasks/3f0b6c52-1c0e-4a57-9d70-111111111111"


# Transport


def test_the_root_is_where_a_client_without_a_slash_is_sent(site: Site) -> None:
    reply = site.asks("")
    assert (reply.status, reply.headers["location"]) == (308, "/pscheduler/")


@pytest.mark.parametrize(
    "path", ["/api/", "/tasks/", "/nothing", "/tests/window/", "//", "/stat/runs/canceled"]
)
def test_a_path_that_is_none_is_not_found(site: Site, path: str) -> None:
    reply = site.asks(path)
    if path == "//":
        assert reply.status == 200
        return
    assert (reply.status, reply.text) == (404, "Resource not found.\n")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api", "GET, HEAD"),
        ("PUT", "/tasks", "GET, POST, HEAD"),
        ("POST", NOBODY, "GET, DELETE, HEAD"),
    ],
)
def test_another_method_is_not_allowed(site: Site, method: str, path: str, allowed: str) -> None:
    reply = site.asks(path, method, b"{}")
    assert (reply.status, reply.text) == (405, f"{method} not allowed on this resource\n")
    assert reply.headers["allow"] == allowed


def test_head_is_get_without_a_body(site: Site) -> None:
    reply = site.asks("/api", "HEAD")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "2")


@pytest.mark.parametrize("version", ["", "x", "1.5"])
def test_a_version_that_is_no_number_is_refused(site: Site, version: str) -> None:
    reply = site.asks("/api", api=version)
    assert reply.status == 400
    assert reply.text.startswith(f"Invalid API value {version!r}: ")


def test_people_are_given_it_pretty(site: Site) -> None:
    assert site.asks("/status", pretty="YES").text.startswith(
        '{\n    "limits": {\n        "ok": true\n    }, \n'
    )
    assert "\n" not in site.asks("/status", pretty="no").text.rstrip("\n")
    assert site.asks("/archivers", pretty="").text == "[]\n"


def test_long_arrays_are_pretty_too(site: Site) -> None:
    for number in range(30):
        site.posts(resource=f"name {number}", start=written(in_hours(3)))
    plain, pretty = site.asks("/tasks", expanded=1), site.asks("/tasks", expanded=1, pretty=1)
    assert len(plain.json) == 30
    assert plain.json == pretty.json
    assert pretty.text == json.dumps(pretty.json, sort_keys=True, indent=4, separators=(", ", ": ")) + "\n"
    assert plain.text == json.dumps(plain.json, separators=(",", ":")) + "\n"


def test_a_body_that_is_too_large_is_refused(site: Site) -> None:
    assert site.asks("/tasks", "POST", b" " * ((1 << 20) + 1)).status == 413


def test_what_is_too_deep_is_refused(site: Site) -> None:
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    body = {"test": {"type": "noop", "spec": {"data": deep}}}
    reply = site.asks("/tasks", "POST", body)
    assert (reply.status, "deeper than 20" in reply.text) == (400, True)
    assert site.asks("/tasks", "POST", b"[" * 100_000).status == 400


def test_no_page_of_another_site_may_ask(site: Site) -> None:
    assert site.asks("/tasks", headers={"Origin": "https://example.org"}).status == 403
    assert site.asks("/tasks", headers={"Host": "glockd.example.org"}).status == 421


# Tasks


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "1"}, "Invalid task specification: Schema value must be an integer"),
        ({"schema": 6}, "Invalid task specification: Schema version 6 is not supported (highest is 5)"),
        (
            {"priority": 1},
            "Invalid task specification: At /: Additional properties are not allowed ('priority' was ",
        ),
        (
            {"a": 1, "b": 1},
            "Invalid task specification: At /: Additional properties are not allowed ('a', 'b' were ",
        ),
        ({"test": {"type": "window"}}, "Invalid task specification: At /test: 'spec' is a required property"),
        ({"tools": "hold"}, "Invalid task specification: At /tools: 'hold' is not of type 'array'"),
        (
            {"schedule": {"max-runs": True}},
            "Invalid task specification: At /schedule/max-runs: True is not of type ",
        ),
        (
            {"schedule": {"repeat-cron": "* * * * *"}},
            "Invalid task specification: At /schedule: Additional prop",
        ),
        ({"schedule": {"repeat": "PT0.5S"}}, "The repeat must be at least PT1S."),
        ({"archives": [{"archiver": "esmond"}]}, "Unknown archiver plugin 'esmond'"),
        ({"lead-bind": "192.0.2.7"}, "Lead bind '192.0.2.7' is not  on this host"),
        ({"schema": 2, "contexts": [{"context": "x"}]}, "Contexts are not served."),
        (
            {"test": {"type": "window", "spec": {"duration": "PT0S"}}},
            "Invalid test specification: At /duration: 'PT",
        ),
        (
            {"test": {"type": "window", "spec": {"duration": "PT1S", "resource": " "}}},
            "Invalid test specification: ",
        ),
    ],
)
def test_what_is_wrong_with_a_task_is_said(site: Site, change: dict[str, Any], said: str) -> None:
    body = {"test": {"type": "window", "spec": {"duration": "PT1S"}}} | change
    reply = site.asks("/tasks", "POST", body)
    assert reply.status == 400
    assert reply.text.startswith(said)
    assert site.asks("/tasks").json == []


def test_members_of_later_versions_are_kept(site: Site) -> None:
    task = site.posts(start=written(in_hours(3)), schema=5, priority=7, debug=True)
    told = site.asks(task).json
    assert (told["schema"], told["priority"], told["debug"]) == (5, 7, True)
    assert site.run(task)["priority"] == 7


def test_a_window_longer_than_the_horizon_has_no_tool(site: Site) -> None:
    body = {"test": {"type": "window", "spec": {"duration": "P2D"}}}
    reply = site.asks("/tasks", "POST", body)
    assert reply.status == 422
    assert "  Declined\n    hold\n      - Won't hold for longer than P1D." in reply.text


def test_a_name_longer_than_names_may_be_is_refused(glockd: Spawner) -> None:
    site = Site(glockd(*OPEN, "-max-name=8"))
    body = {"test": {"type": "window", "spec": {"duration": "PT1S", "resource": "n" * 9}}}
    reply = site.asks("/tasks", "POST", body)
    assert (reply.status, "-max-name" in reply.text) == (400, True)


def test_whoever_says_to_ask_for_another_is_refused(site: Site) -> None:
    body = {"test": {"type": "window", "spec": {"duration": "PT1S"}}}
    reply = site.asks("/tasks", "POST", body, {"X-pScheduler-Requester": "192.0.2.1"})
    assert (reply.status, reply.text) == (403, "Requester proxying not allowed\n")


def test_a_task_without_a_schedule_is_as_soon_as_can_be(site: Site) -> None:
    body = {"test": {"type": "noop", "spec": {}}}
    task = site.below(site.asks("/tasks", "POST", body).json)
    assert "schedule" not in site.asks(task).json
    assert site.becomes(task, "finished")["result-merged"] == {"data": None, "schema": 1, "succeeded": True}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2"])
def test_this_host_may_be_named_as_the_participant(site: Site, host: str) -> None:
    body = {"test": {"type": "idleex", "spec": {"duration": "PT5S", "host": host}}}
    assert site.asks("/tasks", "POST", body).status == 200


def test_the_name_that_a_client_calls_is_this_host_s(site: Site) -> None:
    body = {"test": {"type": "idleex", "spec": {"duration": "PT5S", "host": "locker"}}}
    reply = site.asks("/tasks", "POST", body, {"Host": "locker:8443"})
    assert reply.json.startswith("http://locker:8443/pscheduler/tasks/")
    assert site.asks("/tasks", "POST", body).status == 400


def test_what_is_secret_is_shown_to_whoever_knows_the_key(site: Site) -> None:
    body = {"test": {"type": "noop", "spec": {"data": {"_a": 1, "b": [{"_c": 2}]}}}, "_key": "k"}
    task = site.below(site.asks("/tasks", "POST", body).json)
    run = site.becomes(task, "finished")
    assert run["result"]["result"] == {"_a": None, "b": [{"_c": None}]}
    href = site.below(run["href"])
    assert site.asks(href, key="k").json["result"]["result"] == {"_a": 1, "b": [{"_c": 2}]}
    for where in (task, href, f"{href}/result"):
        assert (site.asks(where, key="x").status, site.asks(where, key="x").text) == (403, "Forbidden\n")
    assert '"_a": null' in site.asks(f"{href}/result", format="text/plain").text
    assert '"_a": 1' in site.asks(f"{href}/result", format="text/plain", key="k").text
    assert "k" not in [value.get("_key") for value in site.asks("/tasks", expanded=1, key="k").json]


def test_a_key_given_for_a_task_without_one_is_ignored(site: Site) -> None:
    assert site.asks(site.posts(start=written(in_hours(3))), key="x").status == 200


def test_json_finds_tasks_by_what_is_in_them_but_no_secrets(site: Site) -> None:
    task = site.posts(resource="a", start=written(in_hours(3)), _key="k", reference={"n": [1, {"x": True}]})
    site.posts(resource="b", start=written(in_hours(3)))
    for wanted, number in (
        ({"reference": {"n": [{"x": True}]}}, 1),
        ({"reference": {"n": [{"x": 1}]}}, 0),
        ({"test": {"spec": {"duration": "PT1H"}}}, 2),
        ({"_key": "k"}, 0),
        ({"_key": None}, 1),
        ({"detail": {"exclusive": True, "runs": 1}}, 2),
    ):
        assert len(site.asks("/tasks", json=wanted).json) == number, wanted
    assert site.asks(task).json["_key"] is None


# Runs


def test_a_run_is_made_at_a_time_of_my_choice(site: Site) -> None:
    task = site.posts(start="P3D")
    for start, status in (
        (in_hours(30), 400),
        (in_hours(-1), 400),
        (in_hours(4), 200),
        (in_hours(4.5), 409),
        (in_hours(5), 200),
    ):
        reply = site.asks(f"{task}/runs", "POST", {"start-time": written(start)})
        assert reply.status == status, reply
    assert len(site.asks(f"{task}/runs").json) == 2
    site.asks(task, "DELETE")
    assert site.asks(f"{task}/runs", "POST", {"start-time": written(in_hours(8))}).status == 409
    assert site.asks(f"{NOBODY}/runs", "POST", {}).status == 404


def test_a_deleted_run_is_gone_and_its_window_free(site: Site) -> None:
    start = in_hours(3)
    href = site.below(site.run(site.posts(start=written(start)))["href"])
    assert site.run(site.posts(start=written(start)))["state"] == "nonstart"
    assert site.asks(href, "DELETE").text == "OK\n"
    assert site.asks(href, "DELETE").status == 404
    assert site.run(site.posts(start=written(start)))["state"] == "pending"
    assert site.asks(f"{href.rpartition('/')[0]}/first", "DELETE").status == 404


def test_runs_of_others_are_not_among_mine(site: Site) -> None:
    mine, other = site.posts(start=written(in_hours(3))), site.posts(start=written(in_hours(5)))
    uuid = site.run(other)["href"].rpartition("/")[2]
    assert site.asks(f"{mine}/runs/{uuid}").status == 404
    assert site.asks(f"{other}/runs/{uuid.upper()}").status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Invalid or missing run data"),
        (b"{}", "Missing start time"),
        (b'{"start-time": 1}', "Lead participant"),
    ],
)
def test_no_run_comes_from_another_server(site: Site, body: bytes, said: str) -> None:
    task = site.posts(start=written(in_hours(3)))
    reply = site.asks(f"{task}/runs/3f0b6c52-1c0e-4a57-9d70-111111111111", "PUT", body)
    assert (reply.status, reply.text.startswith(said)) == (400, True)


def test_whoever_waits_hears_of_the_run_when_it_is_over(site: Site) -> None:
    task = site.posts("idle", "PT1S")
    href = site.below(site.run(task)["href"])
    waits = [
        site.later(href, wait_local=1),
        site.later(href, wait_merged=1),
        site.later(f"{href}/result", wait=1),
    ]
    local, merged, result = (one.result(20).json for one in waits)
    assert local["state"] == merged["state"] == "finished"
    assert result == {"schema": 1, "duration": "PT1S", "succeeded": True}
    assert site.asks(href).json["duration"] == "PT1S"  # it ended before its window did


def test_whoever_waits_for_a_run_that_is_deleted_is_answered(site: Site) -> None:
    task = site.posts(start=written(in_hours(3)))
    href = site.below(site.run(task)["href"])
    begun = time.monotonic()
    waits = site.later(href, wait_merged=1)
    wait_until(lambda: waits.running())
    time.sleep(0.2)  # the request is on its way
    site.asks(href, "DELETE")
    assert waits.result(20).status == 200
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"wait": -1}, "Wait time must be >= 0"),
        ({"wait": "x"}, "Invalid integer."),
        ({"wait_local": "", "wait_merged": ""}, "Cannot wait on local and merged results"),
    ],
)
def test_a_wait_that_makes_no_sense_is_refused(site: Site, query: dict[str, Any], said: str) -> None:
    href = site.below(site.run(site.posts(start=written(in_hours(3))))["href"])
    reply = site.asks(href, **query)
    assert (reply.status, reply.text) == (400, f"{said}\n")


def test_a_client_that_hangs_up_while_it_waits_leaves_nothing(site: Site) -> None:
    task = site.posts(start=written(in_hours(3)))
    waits = [site.later(f"{task}/runs/first", wait_merged=1, wait=1) for _ in range(4)]
    assert {one.result(20).status for one in waits} == {200}
    assert site.asks("/api").status == 200


# Free times, the schedule, the monitor


def test_free_times_are_where_a_run_could_be(site: Site) -> None:
    start = in_hours(3)
    site.posts("window-shared", start=written(start))
    for test, taken in (("window", True), ("window-shared", False)):
        task = site.posts(test, "PT10M", start="P3D")
        ranges = site.asks(f"{task}/runtimes", start=written(start - 600), end=written(start + 4200)).json
        assert len(ranges) == (2 if taken else 1)
    assert site.asks(f"{task}/runtimes").json[0]["lower"] > written(time.time())
    reply = site.asks(f"{task}/runtimes", start=written(start), end=written(start - 1))
    assert reply.status == 400


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"start": "x"}, "Invalid start or end time"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "The end must not be before the start."),
        ({"task": "x"}, "Invalid task UUID"),
        ({"format": "png"}, "Invalid format 'png'"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(site: Site, query: dict[str, Any], said: str) -> None:
    reply = site.asks("/schedule", **query)
    assert (reply.status, reply.text) == (400, f"{said}\n")


def test_the_schedule_has_all_runs_by_start(site: Site) -> None:
    for hours in (5, 3, 4):
        site.posts(start=written(in_hours(hours)), _key="k")
    told = site.asks("/schedule").json
    assert [one["start-time"] for one in told] == sorted(one["start-time"] for one in told)
    assert {one["task"]["_key"] for one in told} == {None}
    assert "href" not in told[0]["test"]
    assert site.asks("/schedule", task="3f0b6c52-1c0e-4a57-9d70-111111111111").status == 404


def test_the_monitor_has_past_present_and_future(site: Site) -> None:
    noop = site.below(site.asks("/tasks", "POST", {"test": {"type": "noop", "spec": {}}}).json)
    site.becomes(noop, "finished")
    site.becomes(site.posts(resource="on"), "running")
    for hours in (3, 5):
        site.posts(start=written(in_hours(hours)))
    told = site.asks("/monitor").json
    assert [one["ppf"] for one in told] == [-1, 0, 1, 1]
    assert [one["ppf"] for one in site.asks("/monitor", window=1).json] == [-1, 0, 1]
    assert not {"errors", "test", "tool"} & told[0].keys()


def test_a_browser_is_shown_the_monitor_as_a_page(site: Site) -> None:
    site.posts(resource="<db>", start=written(in_hours(3)))
    reply = site.asks("/monitor", headers={"Accept": "text/html,*/*;q=0.8"})
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "<td>&lt;db&gt;</td>" in reply.text
    assert "<db>" not in reply.text


def test_runs_are_counted_by_state_and_time(site: Site) -> None:
    for hours in (3, 5):
        site.posts(start=written(in_hours(hours)))
    assert site.asks("/stat/runs/pending").text == "2\n"
    assert site.asks("/stat/runs/pending", start="+PT4H").text == "1\n"
    assert site.asks("/stat/runs/pending", end=written(in_hours(4))).text == "1\n"
    assert site.asks("/stat/runs/pending", start="+P1M").status == 400


def test_status_tells_when_runs_last_were(site: Site) -> None:
    assert site.asks("/status").json["runs"] == {"last-finished": None, "last-scheduled": None}
    noop = site.below(site.asks("/tasks", "POST", {"test": {"type": "noop", "spec": {}}}).json)
    site.becomes(noop, "finished")
    assert None not in site.asks("/status").json["runs"].values()


# Ends


def test_a_daemon_that_stops_answers_whoever_waits(site: Site) -> None:
    task = site.posts(start=written(in_hours(3)))
    href = site.below(site.run(task)["href"])
    waits = site.later(href, wait_merged=1)
    wait_until(lambda: waits.running())
    time.sleep(0.2)  # the request is on its way
    site.daemon.stop()
    assert waits.result(20).json["state"] == "pending"


def test_a_door_beyond_loopback_is_told_of(glockd: Spawner) -> None:
    daemon = glockd("-windows", "0.0.0.0:0")
    daemon.logs("lets in everybody who reaches it")


def test_with_secrets_for_lines_a_door_open_to_all_is_a_mistake(glockd: Spawner, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("s\n")
    from tests.support.process import run_glockd

    outcome = run_glockd("-port=0", "-ws=0", "-windows", "0.0.0.0:0", f"-auth-file={secrets}")
    assert outcome.returncode == 1
    assert "-tls-client-ca" in outcome.stderr
