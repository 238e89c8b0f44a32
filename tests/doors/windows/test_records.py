"""What outlives the daemon: a restart in the middle of a window, a sudden end at any moment, clocks that step."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doors.windows.site import OPEN, Site, in_hours, written
from tests.support.clients import SocketClient, wait_until
from tests.support.process import Glockd, Spawner

DEATHS = 6
HOUR = 3600


@pytest.fixture
def flags(tmp_path: Path) -> tuple[str, ...]:
    return (*OPEN, "-records", str(tmp_path / "records"))


def bookings(client: SocketClient, name: str = "") -> list[dict[str, Any]]:
    """What `bookings` tells."""
    reply = client.says(f"bookings {name}").hears_a_line()
    found: list[dict[str, Any]] = json.loads(reply.partition(b" ")[2])
    return found


def booked(client: SocketClient, line: str) -> int:
    """The number of a window that is booked."""
    reply = client.says(line).hears_a_line()
    number, _, rest = reply.partition(b" ")
    assert b"Booked" in rest, reply
    return int(number)


def starts_again(glockd: Spawner, daemon: Glockd, flags: tuple[str, ...], *, killed: bool) -> Glockd:
    if killed:
        daemon.kill()
    else:
        daemon.stop()
    return glockd(*flags)


@pytest.mark.parametrize("killed", [False, True])
def test_a_restart_in_the_middle_of_a_window_goes_on_with_it(
    glockd: Spawner, flags: tuple[str, ...], killed: bool
) -> None:
    daemon = glockd(*flags)
    alice = daemon.client()
    on = booked(alice, "book now 600 0 db")
    later = booked(alice, f"sbook {written(in_hours(3))} 600 0 db")
    wait_until(lambda: bookings(alice, "db")[0]["state"] == "running")
    before = bookings(alice)
    daemon = starts_again(glockd, daemon, flags, killed=killed)
    bob = daemon.client()
    assert bookings(bob) == before
    assert [one["id"] for one in before] == [on, later]
    (holder,) = json.loads(bob.says("explain db").hears_a_line()[2:])["windows"]["holders"]
    assert 500 < holder["lease"] <= 600
    bob.says("book now 10 0 db").hears("0 Not Booked: db")
    assert booked(bob, "book now 10 0 other") > later  # numbers are never used again


def test_what_passed_while_there_was_no_daemon_is_over(glockd: Spawner, flags: tuple[str, ...]) -> None:
    daemon = glockd(*flags)
    site = Site(daemon)
    held = site.posts(duration="PT1S", resource="held")
    site.becomes(held, "running")
    soon = site.posts(duration="PT1S", resource="missed", start=written(time.time() + 2))
    later = site.posts(duration="PT2H", resource="late", start=written(time.time() + 2))
    daemon.kill()
    time.sleep(3.1)  # of the wall clock: that is what windows go by
    site = Site(glockd(*flags))
    assert site.run(held)["state"] == "finished"
    assert site.run(held)["result-merged"]["succeeded"] is True
    assert site.run(soon)["state"] == "missed"
    assert site.becomes(later, "running")["duration"] == "PT2H"  # it is less than 30 s late


def test_tasks_are_as_they_were(glockd: Spawner, flags: tuple[str, ...]) -> None:
    site = Site(glockd(*flags))
    tasks = [
        site.posts(
            start=written(in_hours(3)), slip="PT5M", _key="k", schema=3, priority=2, reference={"a": [1]}
        ),
        site.posts("idle", "PT1S", repeat="PT1H"),
        site.posts("window-shared", resource="db", start="P3D"),
    ]
    gone = site.posts(start=written(in_hours(9)))
    site.asks(gone, "DELETE")
    site.becomes(tasks[1], "finished")
    number = len(site.asks(f"{tasks[1]}/runs").json)
    told = [site.asks(task, detail=1, key="k").text for task in tasks]
    runs = [site.asks(f"{task}/runs").text for task in tasks]
    site.daemon.kill()
    other = Site(glockd(*flags))
    assert [
        other.asks(task, detail=1, key="k")
        .text.replace(other.base, site.base)
        .replace(f"{other.address[0]}:{other.address[1]}", f"{site.address[0]}:{site.address[1]}")
        for task in tasks
    ] == told
    assert [other.asks(f"{task}/runs").text.replace(other.base, site.base) for task in tasks] == runs
    assert 23 <= number <= 25
    assert other.asks(gone, detail=1).json["detail"]["enabled"] is False
    assert other.asks(f"{gone}/runs").json == []


def test_a_sudden_end_loses_nothing_that_was_answered(glockd: Spawner, flags: tuple[str, ...]) -> None:
    """And no number is told twice, whenever it comes."""
    told: dict[str, str] = {}
    for death in range(DEATHS):
        site = Site(glockd(*flags))
        for task, run in told.items():
            assert site.run(task)["href"].endswith(run), death
        waits = [site.pool.submit(_books, site, told, death, place) for place in range(4)]
        enough = len(told) + 20
        wait_until(lambda enough=enough: len(told) > enough)
        site.daemon.kill()
        for one in waits:
            one.result(20)
    assert len(set(told.values())) == len(told)


def _books(site: Site, told: dict[str, str], death: int, place: int) -> None:
    """Book until the daemon is gone."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        for number in range(1000):
            task = site.posts(resource=f"name {death} {place} {number}", start=written(in_hours(3)))
            told[task] = site.run(task)["href"].rpartition("/")[2]


def test_while_records_cannot_be_written_nothing_is_booked(glockd: Spawner, flags: tuple[str, ...]) -> None:
    """The file's own limit: a write beyond it fails, as on a disk that is full (setrlimit(2))."""
    daemon = glockd.start(Glockd(glockd.room(), *flags, through=("prlimit", "--fsize=200000")))
    site, alice = Site(daemon), daemon.client()
    booked(alice, "book now 600 0 first")
    body = {"test": {"type": "noop", "spec": {"data": "x" * 900_000}}}
    held = site.pool.submit(
        site.asks, "/tasks", "POST", body
    )  # it is answered when it is written, and not before
    daemon.logs("records cannot be written")
    reply = site.asks("/tasks", "POST", body)
    assert (reply.status, reply.text.startswith("Records cannot be written")) == (503, True)
    alice.says("book now 600 0 second").hears("0 Not Recorded: second")
    assert [one["name"] for one in bookings(alice)] == ["first"]
    assert not held.done()
    daemon.kill()
    assert isinstance(held.exception(20), http.client.HTTPException | OSError)


# The wall clock


def steps(tmp_path: Path, offset: str) -> None:
    (tmp_path / "faketimerc").write_text(offset)


@pytest.mark.parametrize("step", ["+7200", "-3600"])
def test_a_step_of_the_clock_leaves_a_window_that_is_on_as_long_as_it_is(
    glockd: Spawner, tmp_path: Path, fake_time: Callable[[str], dict[str, str]], step: str
) -> None:
    daemon = glockd(*OPEN, "-history=50", listen=("tcp",), **fake_time("+0"))
    alice = daemon.client()
    alice.says("notify on").hears("1 ok")
    begun = time.monotonic()
    on = booked(alice, "book now 3 0 db")
    alice.hears_bytes(f"! window {on} open db\n")
    steps(tmp_path, step)
    alice.hears_bytes(f"! window {on} over db\n")
    assert 2 <= time.monotonic() - begun < 10


def test_a_clock_put_forward_has_the_next_windows_missed_or_begun(
    glockd: Spawner, tmp_path: Path, fake_time: Callable[[str], dict[str, str]]
) -> None:
    daemon = glockd(*OPEN, listen=("tcp",), **fake_time("+0"))
    site, alice = Site(daemon), daemon.client()
    long_past = site.posts(resource="a", duration="PT2H", start=written(time.time() + HOUR))
    just_now = site.posts(resource="b", duration="PT2H", start=written(time.time() + 2 * HOUR - 5))
    to_come = site.posts(resource="c", duration="PT2H", start=written(time.time() + 3 * HOUR))
    steps(tmp_path, f"+{2 * HOUR}")
    site.becomes(long_past, "missed")
    site.becomes(just_now, "running")
    assert site.run(to_come)["state"] == "pending"
    assert [one["name"] for one in bookings(alice)] == ["b", "c"]


def test_a_clock_put_back_has_the_next_windows_begin_later(
    glockd: Spawner, tmp_path: Path, fake_time: Callable[[str], dict[str, str]]
) -> None:
    daemon = glockd(*OPEN, listen=("tcp",), **fake_time("+0"))
    site = Site(daemon)
    task = site.posts(duration="PT2H", start=written(time.time() + 2))
    steps(tmp_path, f"-{HOUR}")
    wait_until(lambda: abs(_clock(site) - time.time() + HOUR) < 60)
    time.sleep(3)  # by then it would have begun
    assert site.run(task)["state"] == "pending"
    steps(tmp_path, "+0")
    site.becomes(task, "running")


def _clock(site: Site) -> float:
    from datetime import datetime

    return datetime.fromisoformat(site.asks("/clock").json["time"]).timestamp()


def test_what_is_on_is_not_cut_short_for_what_the_clock_says_is_next(
    glockd: Spawner, tmp_path: Path, fake_time: Callable[[str], dict[str, str]]
) -> None:
    daemon = glockd(*OPEN, listen=("tcp",), **fake_time("+0"))
    site = Site(daemon)
    first = site.posts(resource="db", duration="PT1H")
    site.becomes(first, "running")
    second = site.posts(resource="db", duration="PT2H", start=written(time.time() + HOUR + 60))
    steps(tmp_path, f"+{HOUR + 70}")
    run = site.becomes(second, "missed")
    assert run["errors"] == "What held its name before was still on."
    assert site.run(first)["state"] == "running"
