"""book, sbook, bookings and unbook, on every transport of a real daemon."""

from __future__ import annotations

import itertools
import json
import re
import time
from typing import Any

import pytest

from tests.doors.windows.site import OPEN, Site, in_hours, written
from tests.support.clients import Client, wait_until
from tests.support.daemons import Daemon
from tests.support.http import ask, samples
from tests.support.locks import explained
from tests.support.process import Spawner

pytestmark = [pytest.mark.transports("tcp", "unix", "websocket"), pytest.mark.flags(*OPEN)]
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"

_numbers = itertools.count()


@pytest.fixture
def db() -> str:
    """A name of the test's own: windows stay with the daemon, which other tests use too."""
    return f"db{next(_numbers)} main"


def booked(client: Client, line: str) -> tuple[int, str, str]:
    """Number, begin and end of a window that is booked."""
    reply = client.says(line).hears_a_line().decode()
    found = re.fullmatch(rf"(\d+) (?:Shared )?Booked ({STAMP}) ({STAMP}): .+\n", reply)
    assert found is not None, reply
    return int(found[1]), found[2], found[3]


def bookings(client: Client, name: str = "") -> list[dict[str, Any]]:
    """What `bookings` tells."""
    count, _, told = client.says(f"bookings {name}").hears_a_line().partition(b" ")
    found: list[dict[str, Any]] = json.loads(told)
    assert len(found) == int(count)
    return found


def test_a_window_is_booked_where_there_is_room(daemon: Daemon, db: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    start = in_hours(3)
    assert booked(alice, f"book {written(start)} 3600 0 {db}")[1:] == (written(start), written(start + 3600))
    bob.says(f"book {written(start + 60)} 60 0 {db}").hears(f"0 Not Booked: {db}")
    assert booked(bob, f"book {written(start + 60)} 60 3600 {db}")[1] == written(start + 3600)
    assert booked(bob, f"book {written(start - 60)} 60 0 {db}")[2] == written(start)  # they may touch


def test_shared_windows_meet_and_exclude_exclusive_ones(daemon: Daemon, db: str) -> None:
    alice = daemon.client()
    start = in_hours(3)
    reply = alice.says(f"sbook {written(start)} 600 0 {db}").hears_a_line().decode()
    assert re.fullmatch(rf"\d+ Shared Booked {STAMP} {STAMP}: {db}\n", reply)
    booked(alice, f"sbook {written(start + 60)} 600 0 {db}")
    assert booked(alice, f"book {written(start)} 60 3600 {db}")[1] == written(start + 660)
    alice.says(f"sbook {written(start + 600)} 120 0 {db}").hears(f"0 Not Booked: {db}")


def test_windows_and_locks_have_nothing_to_do_with_each_other(daemon: Daemon, db: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says(f"g {db}").hears(f"1 Lock Get Success: {db}")
    number, *_ = booked(bob, f"book now 600 0 {db}")
    wait_until(lambda: bookings(bob, db)[0]["state"] == "running")
    bob.says(f"g {db}").hears(f"0 Lock Get Failure: {db}")
    bob.says(f"sg {db}").hears(f"1 Shared Lock Get Success: {db}")
    alice.says(f"r {db}").hears(f"1 Lock Release Success: {db}")
    assert bookings(bob, db)[0]["id"] == number
    alice.says(f"unbook {number}").hears_a_line()


def test_a_client_is_told_when_its_window_begins_and_ends(daemon: Daemon, db: str) -> None:
    alice = daemon.client()
    alice.says("notify on").hears("1 ok")
    number, *_ = booked(alice, f"book now 1 0 {db}")
    alice.hears_bytes(f"! window {number} open {db}\n")
    alice.hears_bytes(f"! window {number} over {db}\n")
    assert bookings(alice, db) == []


def test_whoever_does_not_want_to_know_is_told_nothing(daemon: Daemon, db: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    booked(alice, f"book now 1 0 {db}")
    bob.says("notify on").hears("1 ok")
    wait_until(lambda: bookings(bob, db) == [])
    for client in (alice, bob):
        assert client.says("ping").hears_a_line() == b"1 pong\n"


def test_a_window_outlives_the_connection_that_booked_it(daemon: Daemon, db: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("notify on").hears("1 ok")
    number, *_ = booked(alice, f"book now 600 0 {db}")
    alice.hears_bytes(f"! window {number} open {db}\n")
    alice.vanishes()
    daemon.counts(connections=1)
    assert [one["state"] for one in bookings(bob, db)] == ["running"]
    bob.says(f"unbook {number}").hears(f"1 Unbooked: {number}")


def test_what_is_given_back_is_free_at_once(daemon: Daemon, db: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    start = written(in_hours(3))
    number, *_ = booked(alice, f"book {start} 600 0 {db}")
    alice.says(f"unbook {number}").hears(f"1 Unbooked: {number}")
    alice.says(f"unbook {number}").hears(f"0 Unbook Failure: {number}")
    assert booked(bob, f"book {start} 600 0 {db}")[0] > number


def test_a_window_that_is_on_is_ended_by_giving_it_back(daemon: Daemon, db: str) -> None:
    alice = daemon.client()
    alice.says("notify on").hears("1 ok")
    number, *_ = booked(alice, f"book now 600 0 {db}")
    alice.hears_bytes(f"! window {number} open {db}\n")
    alice.says(f"unbook {number}")
    alice.asked.clear()
    lines = {alice.receive_line(), alice.receive_line()}
    assert lines == {f"! window {number} over {db}\n".encode(), f"1 Unbooked: {number}\n".encode()}
    later, *_ = booked(alice, f"book now 600 0 {db}")
    assert later > number
    alice.hears_bytes(f"! window {later} open {db}\n")


@pytest.mark.parametrize(
    ("line", "which"),
    [
        ("book", "START"),
        ("book soon 60 0 db", "START"),
        ("book 2026-13-01T00:00:00Z 60 0 db", "START"),
        ("book 2001-01-01T00:00:00Z 60 0 db", "START"),
        ("book -1 60 0 db", "START"),
        ("book now", "LENGTH"),
        ("book now 0 0 db", "LENGTH"),
        ("book now x 0 db", "LENGTH"),
        ("book now inf 0 db", "LENGTH"),
        ("sbook now 60", "SLIP"),
        ("sbook now 60 x db", "SLIP"),
        ("sbook now 60 0", "NAME"),
    ],
)
def test_what_is_missing_or_wrong_is_named(daemon: Daemon, line: str, which: str) -> None:
    daemon.client().says(line).hears(f"0 Bad Argument: {which}")


def test_seconds_are_rounded_up(daemon: Daemon, db: str) -> None:
    start = in_hours(3)
    alice = daemon.client()
    assert booked(alice, f"book {written(start)} .5 0 {db}")[2] == written(start + 1)
    assert booked(alice, f"book {written(start)} 1 0.2 {db}")[1] == written(start + 1)
    begin = booked(alice, f"book +7200.5 60 0 {db}")[1]
    assert begin >= written(time.time() + 7190)


def test_what_lies_beyond_the_horizon_is_not_booked(daemon: Daemon, db: str) -> None:
    alice = daemon.client()
    alice.says(f"book {written(in_hours(25))} 60 0 {db}").hears(f"0 Not Booked: {db}")
    booked(alice, f"book {written(in_hours(23))} 86400 0 {db}")


def test_a_booking_tells_what_it_is(daemon: Daemon, db: str) -> None:
    alice = daemon.client()
    alice.says("iam alice the first").hears("1 ok")
    start = in_hours(4)
    number, *_ = booked(alice, f"sbook {written(start)} 60 0 {db}")
    assert bookings(alice, db) == [
        {
            "id": number,
            "name": db,
            "mode": "shared",
            "start": written(start),
            "end": written(start + 60),
            "state": "pending",
            "by": "alice the first",
            "task": None,
        }
    ]


def test_a_window_that_is_on_is_explained_as_every_hold(daemon: Daemon, db: str) -> None:
    alice = daemon.client()
    number, *_ = booked(alice, f"book now 600 0 {db}")
    wait_until(lambda: "windows" in explained(alice, db))
    (holder,) = explained(alice, db)["windows"]["holders"]
    assert (holder["address"], holder["mode"]) == (f"window:{number}", "exclusive")
    assert 500 < holder["lease"] <= 600
    alice.says(f"unbook {number}").hears(f"1 Unbooked: {number}")


# Both faces


def test_lines_and_tasks_share_one_calendar(glockd: Spawner, transport: str, db: str) -> None:
    daemon = glockd(*OPEN)
    site, alice = Site(daemon), daemon.client(transport)
    start = in_hours(3)
    number, *_ = booked(alice, f"book {written(start)} 600 0 {db}")
    assert site.run(site.posts(resource=db, start=written(start)))["state"] == "nonstart"
    task = site.posts("window-shared", "PT10M", resource=db, start=written(start + 600))
    alice.says(f"book {written(start)} 60 900 {db}").hears(f"0 Not Booked: {db}")
    told = site.asks("/schedule").json
    assert [(one["state"], one["task"]["test"]["type"]) for one in told] == [
        ("pending", "window"),
        ("nonstart", "window"),
        ("pending", "window-shared"),
    ]
    assert told[0]["task"]["tool"] == "hold"
    assert told[0]["task"]["test"]["spec"] == {"schema": 1, "duration": "PT10M", "resource": db}
    assert [one["task"] for one in bookings(alice)] == [None, task.rpartition("/")[2]]
    site.asks(site.below(told[0]["task"]["href"]), "DELETE")
    alice.says(f"unbook {number}").hears(f"0 Unbook Failure: {number}")


def test_windows_are_counted(glockd: Spawner, transport: str) -> None:
    daemon = glockd(*OPEN)
    alice = daemon.client(transport)
    booked(alice, "book now 600 0 db")
    booked(alice, f"book {written(in_hours(3))} 600 0 db")
    wait_until(lambda: bookings(alice)[0]["state"] == "running")
    found = samples(ask(daemon.ws, "/metrics").text)
    assert found['glockd_holds{table="windows"}'] == 1
    assert found["glockd_windows_pending"] == 1
    assert found["glockd_windows_missed_total"] == 0


@pytest.mark.parametrize("verb", ["book now 60 0 db", "sbook now 60 0 db", "bookings", "unbook 1"])
def test_without_the_door_there_are_no_windows(glockd: Spawner, transport: str, verb: str) -> None:
    glockd().client(transport).says(verb).hears("0 disabled")


def test_without_dump_nothing_is_listed(glockd: Spawner, transport: str) -> None:
    alice = glockd(*OPEN, "-dump=false").client(transport)
    alice.says("bookings").hears("0 disabled")
    booked(alice, "book now 60 0 db")
