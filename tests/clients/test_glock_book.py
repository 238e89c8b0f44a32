"""`glock book`, `glock bookings` and `glock unbook`: against the real daemon, with real processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from glock import Client
from glock.cli import when

from tests.clients.test_glock_run import GLOCK, Process, glock, started
from tests.support.fakes import Daemon, daemon, until

FLAGS = ("-windows", "127.0.0.1:0")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("windows"), *FLAGS) as running:
        yield running


@pytest.fixture
def observer(server: Daemon) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own."""
    return str(request.node.name)


Begin = Callable[..., Process]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts a `glock` that goes on."""
    with contextlib.ExitStack() as stack:
        yield lambda url, *words: stack.enter_context(started(url, *words))


def states(observer: Client, name: str) -> list[str]:
    return [one["state"] for one in observer.bookings(name)]


def test_without_a_command_it_books_and_says_when(server: Daemon, observer: Client, name: str) -> None:
    found = glock(server.url, "book", name, "--at", "+2h", "--for", "1h30m")
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    said = rf"window \d+ of {re.escape(name)}: {stamp} to ({stamp[:-24]})?.*\d\d:\d\d:\d\d \S+\n"
    assert re.fullmatch(said, found.stdout), found.stdout
    (one,) = observer.bookings(name)
    start, end = (datetime.fromisoformat(one[each]) for each in ("start", "end"))
    assert (end - start).total_seconds() == 5400
    assert abs(start.timestamp() - time.time() - 7200) < 60


def test_where_there_is_no_room_it_says_so(server: Daemon, observer: Client, name: str) -> None:
    observer.book(name, 600, start=3600)
    found = glock(server.url, "book", name, "--at", "+61m", "--for", "60")
    assert found.returncode == 75
    assert "there is no room" in found.stderr
    assert glock(server.url, "book", name, "--at", "+61m", "--for", "60", "--slip", "1h").returncode == 0
    assert len(observer.bookings(name)) == 2


def test_json_is_for_programs(server: Daemon, name: str) -> None:
    told = json.loads(glock(server.url, "book", name, "--at", "+1h", "--for", "1m", "-s", "--json").stdout)
    assert (told["name"], told["mode"]) == (name, "shared")
    listed = json.loads(glock(server.url, "bookings", name, "--json").stdout)
    assert [(one["id"], one["start"], one["end"]) for one in listed] == [
        (told["id"], told["start"], told["end"])
    ]
    assert str(told["id"]) in glock(server.url, "bookings", name).stdout


def test_a_window_is_given_back_once(server: Daemon, observer: Client, name: str) -> None:
    number = observer.book(name, 600).number
    assert glock(server.url, "unbook", str(number)).returncode == 0
    found = glock(server.url, "unbook", str(number))
    assert (found.returncode, found.stderr) == (1, f"glock: not given back: {number}\n")


def test_a_command_runs_in_its_window_which_is_given_back(
    server: Daemon, observer: Client, name: str
) -> None:
    script = f'echo "$GLOCK_WINDOW $GLOCK_WINDOW_END"; {shlex.join(GLOCK)} bookings "$1" --json; exit 7'
    found = glock(server.url, "book", name, "--for", "1h", "--", "sh", "-c", script, "sh", name)
    assert found.returncode == 7
    told, listed = found.stdout.splitlines()
    (one,) = json.loads(listed)
    assert (told, one["state"]) == (f"{one['id']} {one['end']}", "running")
    assert observer.bookings(name) == []


def test_a_command_waits_for_its_window(server: Daemon, observer: Client, name: str) -> None:
    first = observer.book(name, 2)
    begun = time.monotonic()
    found = glock(server.url, "book", name, "--for", "10m", "--slip", "1m", "--", "date", "+%s")
    assert found.returncode == 0
    assert int(found.stdout) >= first.end.timestamp()
    assert time.monotonic() - begun < 30


def test_a_command_ends_with_its_window_and_it_is_said(server: Daemon, observer: Client, name: str) -> None:
    begun = time.monotonic()
    found = glock(server.url, "book", name, "--for", "2", "--", "sh", "-c", "sleep 100 & wait")
    assert found.returncode == 79
    assert f"the window of '{name}' is over; ending the command" in found.stderr
    assert time.monotonic() - begun < 30
    assert observer.bookings(name) == []


def test_one_that_does_not_want_to_end_is_killed(server: Daemon, name: str) -> None:
    script = "trap '' TERM; while true; do sleep 0.1; done"
    found = glock(server.url, "book", name, "--for", "1", "--grace", "0.2", "--", "sh", "-c", script)
    assert found.returncode == 79


def test_a_window_that_others_give_back_ends_its_command(
    begin: Begin, server: Daemon, observer: Client, name: str
) -> None:
    process = begin(server.url, "book", name, "--for", "1h", "--", "sleep", "100")
    until(lambda: states(observer, name) == ["running"])
    (one,) = observer.bookings(name)
    assert observer.unbook(one["id"])
    assert process.wait(30) == 79


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_gives_up_gives_the_window_back(
    begin: Begin, server: Daemon, observer: Client, name: str, number: signal.Signals
) -> None:
    process = begin(server.url, "book", name, "--at", "+1h", "--for", "1h", "--", "true")
    until(lambda: states(observer, name) == ["pending"])
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert observer.bookings(name) == []


def test_a_signal_reaches_the_command(begin: Begin, server: Daemon, observer: Client, name: str) -> None:
    script = "trap 'exit 5' TERM; while true; do sleep 0.05; done"
    process = begin(server.url, "book", name, "--for", "1h", "--", "sh", "-c", script)
    until(lambda: states(observer, name) == ["running"])
    time.sleep(0.5)  # the command sets its trap
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 5
    assert observer.bookings(name) == []


def test_a_command_that_cannot_be_started_gives_the_window_back(
    server: Daemon, observer: Client, name: str, tmp_path: Path
) -> None:
    assert glock(server.url, "book", name, "--for", "1h", "--", "no-such-command").returncode == 127
    assert glock(server.url, "book", name, "--for", "1h", "--", str(tmp_path)).returncode == 126
    assert observer.bookings(name) == []


def test_a_server_without_windows_says_so(tmp_path: Path, name: str) -> None:
    with daemon(tmp_path) as plain:
        found = glock(plain.url, "book", name, "--for", "1h")
        assert found.returncode == 81
        assert "-windows" in found.stderr


def test_a_restart_of_the_server_ends_no_command(begin: Begin, tmp_path: Path, name: str) -> None:
    flags = (*FLAGS, "-records", str(tmp_path / "records"))
    with daemon(tmp_path, *flags) as first:
        process = begin(first.url, "book", name, "--for", "4", "--", "sh", "-c", "sleep 100")
        with Client(first.url) as observer:
            until(lambda: states(observer, name) == ["running"])
        first.kill()
        with daemon(tmp_path, *flags, port=first.port):
            assert process.wait(60) == 79


# When


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400)],
)
def test_a_length_is_said_as_people_do(text: str, seconds: float) -> None:
    assert when.length(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "m1", "-1", "1 h"])
def test_what_is_no_length_is_refused(server: Daemon, text: str) -> None:
    found = glock(server.url, "book", "x", "--for", text)
    assert found.returncode == 2
    assert "no length of time" in found.stderr


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    before = os.environ.get("TZ")

    def enter(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    yield enter
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("now", "2026-11-27T12:00:00"),
        ("+30m", "2026-11-27T12:30:00"),
        ("14:00", "2026-11-27T13:00:00"),
        ("13:00", "2026-11-28T12:00:00"),  # strictly to come
        ("02:00:30", "2026-11-28T01:00:30"),
        ("2026-12-01 02:00", "2026-12-01T01:00:00"),
        ("2026-12-01T02:00:00Z", "2026-12-01T02:00:00"),
    ],
)
def test_a_moment_is_local_time_and_the_next_one(zone: Callable[[str], None], text: str, found: str) -> None:
    zone("Europe/Zurich")
    moment = when.moment(text, at("2026-11-27T12:00:00"))
    assert (moment.at.timestamp(), moment.remark) == (at(found), "")


def test_a_time_that_summer_time_skips_is_told(zone: Callable[[str], None]) -> None:
    zone("Europe/Zurich")
    moment = when.moment("02:30", at("2027-03-27T12:00:00"))
    assert moment.at.timestamp() == at("2027-03-28T01:30:00")
    assert "does not exist here (CET)" in moment.remark
    assert "03:30:00 it is" in moment.remark


def test_a_time_that_comes_twice_is_told(zone: Callable[[str], None]) -> None:
    zone("Europe/Zurich")
    moment = when.moment("02:30", at("2026-10-24T12:00:00"))
    assert moment.at.timestamp() == at("2026-10-25T00:30:00")
    assert "comes twice here" in moment.remark
    assert "02:30:00 CEST" in moment.remark
