"""What `glock` tells people who are in front of a lock, or look at one."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from glock import Client, ConnectionLost
from glock.cli.listing import Lock, ranked
from glock.cli.words import clock, explained, since, situation, span

from tests.clients.test_glock_run import GLOCK, Terminal, glock, started
from tests.support.fakes import SECONDS, Daemon, daemon, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("telling")) as running:
        yield running


@pytest.fixture
def holder(server: Daemon) -> Iterator[Client]:
    with Client(server.url, name="the holder") as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return str(request.node.name)


WHO = r"the holder \(127\.0\.0\.1:\d+\)"
SINCE = r"since \d\d:\d\d:\d\d \(\d+ m?s\)"


# Refused


@pytest.mark.parametrize(
    "command", [["run", "-n", "NAME", "--", "true"], ["get", "-n", "NAME"]], ids=lambda c: c[0]
)
def test_who_is_refused_is_told_who_has_it(
    server: Daemon, holder: Client, name: str, command: list[str]
) -> None:
    with holder.lock(name):
        result = glock(server.url, *[name if word == "NAME" else word for word in command])
    assert result.returncode == 75
    assert re.fullmatch(
        rf"glock: '{re.escape(name)}' is held by {WHO} {SINCE}; nobody waits\n", result.stderr
    )


@pytest.mark.parametrize(
    ("mode", "options", "how"), [("read", [], "read"), ("shared", ["-s", "1"], "shared")]
)
def test_who_is_refused_is_told_how_it_is_held(
    server: Daemon, holder: Client, name: str, mode: str, options: list[str], how: str
) -> None:
    with getattr(holder, mode)(name):
        result = glock(server.url, "run", "-n", *options, name, "--", "true")
    assert result.returncode == 75
    assert re.search(rf" is {how} by {WHO} {SINCE}; nobody waits\n", result.stderr)


def test_who_waits_is_told_too(server: Daemon, holder: Client, name: str) -> None:
    with holder.lock(name), started(server.url, "--as", "the next", "run", name, "--", "true") as process:
        until(lambda: holder.explain(name)["exclusive"]["waiters"])
        result = glock(server.url, "run", "-n", name, "--", "true")
        assert re.search(r"; waiting: the next \(127\.0\.0\.1:\d+\) for \d+ m?s\n", result.stderr)
        result = glock(server.url, "run", "-w", "0.01", name, "--", "true")
        assert result.returncode == 76
        assert re.fullmatch(
            rf"glock: '{re.escape(name)}' was not free within 0\.01 s: held by {WHO} {SINCE}; "
            r"waiting: the next \(127\.0\.0\.1:\d+\) for \d+ m?s\n",
            result.stderr,
        )
        process.kill()


def test_where_nobody_tells_it_says_what_it_knows(tmp_path: Path) -> None:
    with daemon(tmp_path, "-dump=false") as server, Client(server.url) as client, client.lock("job"):
        result = glock(server.url, "run", "-n", "job", "--", "true")
        assert (result.returncode, result.stderr) == (75, "glock: 'job' is held by somebody else\n")


def test_glock_calls_itself_by_user_machine_and_process(server: Daemon, holder: Client, name: str) -> None:
    with started(server.url, "run", name, "--", "sh", "-c", "echo; read line") as process:
        process.stdout.readline()
        (found,) = holder.explain(name)["exclusive"]["holders"]
        assert re.fullmatch(rf"\S+@\S+:{process.pid}", found["name"])
        process.types("\n")
        assert process.wait(SECONDS) == 0


# Waiting


def run_on_terminal(server: Daemon, name: str, *options: str) -> Terminal:
    return Terminal(
        *GLOCK, "run", *options, name, "--", "echo", "my turn", GLOCK_SERVER=server.url, COLUMNS="300"
    )


def test_who_waits_at_a_terminal_is_told_for_whom(server: Daemon, holder: Client, name: str) -> None:
    lock = holder.lock(name).acquire()
    begin = time.monotonic()
    terminal = run_on_terminal(server, name)
    terminal.shows(f"glock: waiting for '{name}', held by the holder (")
    assert time.monotonic() - begin >= 1
    terminal.shows("; nobody waits")  # but this one
    lock.release()
    assert terminal.shows("my turn").ends() == 0


def test_a_short_wait_is_not_worth_a_word(server: Daemon, holder: Client, name: str) -> None:
    lock = holder.lock(name).acquire()
    terminal = run_on_terminal(server, name)
    until(lambda: holder.explain(name)["exclusive"]["waiters"])
    lock.release()
    assert terminal.ends_saying() == 0
    assert terminal.said == "my turn\r\n"


def test_in_a_pipe_waiting_says_nothing(server: Daemon, holder: Client, name: str) -> None:
    with holder.lock(name) as lock, started(server.url, "run", name, "--", "true") as process:
        until(lambda: any(each["seconds"] > 1.2 for each in holder.explain(name)["exclusive"]["waiters"]))
        lock.release()
        assert process.communicate(timeout=SECONDS) == ("", "")


def test_an_impatient_interrupt_leaves_nothing_behind(server: Daemon, holder: Client, name: str) -> None:
    with holder.lock(name):
        terminal = run_on_terminal(server, name)
        terminal.shows("waiting for").types("\x03")
        assert terminal.ends() == 130
        until(lambda: not holder.explain(name)["exclusive"]["waiters"])


def test_top_shows_who_is_waited_for_first(server: Daemon, holder: Client) -> None:
    with Client(server.url) as client, holder.lock("quiet"), holder.lock("waited for"):
        thread = threading.Thread(target=wait_in_vain, args=(client, "waited for"))
        thread.start()
        until(lambda: holder.explain("waited for")["exclusive"]["waiters"])
        command = [sys.executable, "-m", "glock", "top", "-d", "0.1", "-n", "2"]
        terminal = Terminal(*command, GLOCK_SERVER=server.url, TERM="xterm", COLUMNS="120", LINES="40")
        terminal.shows("held").shows("waiters").shows("waited")
        assert terminal.shows("waited for").shows("the holder").shows("quiet").ends() == 0
        client.close()
        thread.join()


def wait_in_vain(client: Client, name: str) -> None:
    with pytest.raises(ConnectionLost):
        client.lock(name).acquire()


# Words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "< 1 ms"),
        (0.0004, "< 1 ms"),
        (0.25, "250 ms"),
        (1, "1 s"),
        (59.9, "59 s"),
        (60, "1 m 00 s"),
        (303, "5 m 03 s"),
        (3600, "1 h 00 m"),
        (86399, "23 h 59 m"),
        (90000, "1 d 01 h"),
        (1e9, "11574 d 01 h"),
    ],
)
def test_lengths_of_time_are_short(seconds: float, told: str) -> None:
    assert span(seconds) == told


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XST-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


MOMENT = 1_700_000_000.25  # 2023-11-14 22:13:20 UTC


@pytest.mark.usefixtures("far_east")
def test_times_are_local() -> None:
    assert clock(MOMENT) == "2023-11-15 03:43:20.250"
    assert since(20, MOMENT) == "03:43:00"
    assert since(4 * 3600, MOMENT) == "2023-11-14 23:43:20"


def session(name: str | None, seconds: float, **more: Any) -> dict[str, Any]:
    usual = {"address": "10.0.0.1:1", "transport": "tcp", "mode": "write", "token": 7, "lease": None}
    return usual | {"name": name, "seconds": seconds, "limit": None, "timeout": None} | more


NOBODY: dict[str, Any] = {"holders": [], "waiters": []}


@pytest.mark.usefixtures("far_east")
def test_a_crowd_is_told_of_by_its_first() -> None:
    readers = [session(f"r{number}", 60, mode="read") for number in range(5)]
    line = [session(None, 5), session("me", 4), session("last", 3)]
    found = {"name": "book", "exclusive": {"holders": readers, "waiters": line}, "shared": NOBODY}
    reader = "(10.0.0.1:1) since 03:42:20 (1 m 00 s)"
    assert situation(found, "exclusive", MOMENT, me="me") == (
        f"read by r0 {reader}, r1 {reader}, r2 {reader} and 2 more; "
        "waiting: 10.0.0.1:1 for 5 s, last (10.0.0.1:1) for 3 s"
    )
    assert situation(found, "shared", MOMENT) == ""


@pytest.mark.usefixtures("far_east")
def test_an_explanation_has_all_that_the_page_has() -> None:
    found = {
        "name": "bo\x1bok",
        "exclusive": {
            "holders": [session("alice", 303, lease=29.5)],
            "waiters": [session(None, 12, place=1, mode="read", timeout=8.2), session("bob", 1, place=2)],
        },
        "shared": {
            "holders": [session("carol", 1, mode="shared"), session(None, 0.5, mode="shared")],
            "waiters": [session("dave", 1, place=1, mode="shared", limit=2)],
        },
    }
    event = {
        "table": "exclusive",
        "waited": 0.0,
        "held": 0.0,
        "detail": "",
        "address": "10.0.0.1:1",
        "mode": "write",
    }
    events = [
        event | {"event": "granted", "name": "alice", "time": MOMENT, "waited": 2.5},
        event | {"event": "orphaned", "name": None, "time": MOMENT + 60, "held": 60.0, "detail": "reset"},
    ]
    assert list(explained(found, events)) == [
        r"bo\x1bok",
        "Held by",
        "  alice (10.0.0.1:1)  5 m 03 s",
        "    tcp · token 7 · lease ends in 29 s",
        "Waiting, next first (2)",
        "  1. 10.0.0.1:1        12 s",
        "    tcp · as a reader · gives up in 8 s",
        "  2. bob (10.0.0.1:1)  1 s",
        "    tcp",
        "Shared by (2)",
        "  carol (10.0.0.1:1)  1 s",
        "    tcp · token 7",
        "  10.0.0.1:1          500 ms",
        "    tcp · token 7",
        "Waiting for a share, next first",
        "  1. dave (10.0.0.1:1)  1 s",
        "    tcp · if fewer than 2 hold it",
        "Lately (2)",
        "  orphaned 10.0.0.1:1         2023-11-15 03:44:20.250",
        "    held 1 m 00 s · reset",
        "  granted alice (10.0.0.1:1)  2023-11-15 03:43:20.250",
        "    waited 2 s",
    ]
    assert list(explained({"name": "", "exclusive": NOBODY, "shared": NOBODY}, [])) == [
        "(empty name)",
        "Nobody holds it now.",
    ]


def test_a_pool_without_a_holder_is_listed() -> None:
    pool = {"name": "jobs", "table": "items", "holder": None, "holders": 0, "waiters": 2, "waited": 3.0}
    assert ranked([pool]) == [Lock("items", "jobs", "nobody", None, 2, 3.0)]


@pytest.mark.usefixtures("far_east")
def test_who_has_no_connection_is_explained() -> None:
    found = {"name": "book", "exclusive": {"holders": [session(None, 60, transport=None)], "waiters": []}}
    told = ["  10.0.0.1:1  1 m 00 s", "    token 7"]
    assert list(explained(found | {"shared": NOBODY}, []))[1:] == ["Held by", *told]
    pool = {"name": "book", "exclusive": NOBODY, "shared": NOBODY, "items": found["exclusive"]}
    assert list(explained(pool, []))[1:] == ["Held by, among items", *told]
