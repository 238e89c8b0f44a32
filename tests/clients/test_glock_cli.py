"""The questions that `glock` asks, as a shell sees them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from glock import Client, ConnectionLost, LockRequest

from tests.clients.test_glock_run import Terminal, glock
from tests.support.fakes import Daemon, Original, daemon, until
from tests.support.process import environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("cli"), "-admin", "-history", "100") as running:
        yield running


@pytest.fixture
def holder(server: Daemon) -> Iterator[Client]:
    """Holds `a job` alone and `seats` as one of many, and calls itself `the holder`."""
    with Client(server.unix_url, name="the holder") as client, client.lock("a job"), client.shared("seats"):
        yield client


def says(url: str, *arguments: str) -> str:
    result = glock(url, *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize(
    ("arguments", "out", "code"),
    [
        (["inspect", "a job"], "held\n", 0),
        (["inspect", "nothing"], "free\n", 1),
        (["inspect", "-s", "seats"], "held by 1\n", 0),
        (["inspect", "-s", "a job"], "free\n", 1),
        (["inspect", "-q", "a job"], "", 0),
        (["inspect", "-q", "nothing"], "", 1),
    ],
)
def test_inspect(server: Daemon, holder: Client, arguments: list[str], out: str, code: int) -> None:
    result = glock(server.url, *arguments)
    assert (result.stdout, result.returncode, result.stderr) == (out, code, "")


def test_listings(server: Daemon, holder: Client) -> None:
    lines = says(server.url, "list").splitlines()
    assert sorted(re.sub(r"\d+\.\d{3}", "SECS", line) for line in lines) == [
        "exclusive\ta job\tthe holder\tSECS\t0\t-",
        "shared\tseats\tthe holder\tSECS\t0\t-",
    ]
    (line,) = says(server.url, "list", "a job").splitlines()
    assert line.startswith("exclusive\ta job\tthe holder\t")
    assert says(server.url, "list", "nothing") == ""
    (seats,) = json.loads(says(server.url, "list", "--json", "seats"))
    assert seats.pop("held") >= 0
    assert seats == {"kind": "shared", "lock": "seats", "holder": "the holder", "waiters": 0, "waited": None}
    assert re.fullmatch(r"unix:\d+\tthe holder\n", says(server.url, "who"))
    assert json.loads(says(server.url, "who", "--json", "nobody")) == []


class Waiting:
    """Threads in line for locks, one after the other; out of it at the end."""

    def __init__(self, observer: Client, url: str) -> None:
        self.observer, self.url = observer, url
        self.clients: list[Client] = []

    def add(self, lock: str, name: str, mode: str = "lock", **options: Any) -> None:
        client = Client(self.url, name=name)
        self.clients.append(client)
        wanted = getattr(client, mode)(lock, **options)
        before = self.length(lock)
        threading.Thread(target=self.wait, args=(wanted,), daemon=True).start()
        until(lambda: self.length(lock) > before)

    def wait(self, wanted: LockRequest) -> None:
        with contextlib.suppress(ConnectionLost):
            wanted.acquire()

    def length(self, lock: str) -> int:
        found = self.observer.explain(lock)
        return len(found["exclusive"]["waiters"]) + len(found["shared"]["waiters"])


@pytest.fixture
def waiting(server: Daemon) -> Iterator[Waiting]:
    with Client(server.url) as observer:
        line = Waiting(observer, server.url)
        yield line
        for client in line.clients:
            client.close()
        until(lambda: not observer.find("waited"))


def test_what_is_waited_for_longest_comes_first(server: Daemon, holder: Client, waiting: Waiting) -> None:
    with holder.lock("first"), holder.lock("second"), holder.shared("seats", limit=1):
        waiting.add("seats", "one", "shared", limit=1)
        waiting.add("second", "two")
        waiting.add("second", "three", "read")
        waiting.add("a job", "four")
        found = json.loads(says(server.url, "list", "--json"))
    assert [(each["lock"], each["waiters"]) for each in found] == [
        ("seats", 1),
        ("second", 2),
        ("a job", 1),
        ("first", 0),
    ]
    waits = [each["waited"] for each in found[:3]]
    assert waits == sorted(waits, reverse=True)
    assert found[3]["waited"] is None


def test_holders_beyond_the_first_are_counted(server: Daemon, holder: Client) -> None:
    with (
        Client(server.url, name="b") as b,
        Client(server.url, name="c") as c,
        contextlib.ExitStack() as stack,
    ):
        for each in (b.read("book"), c.read("book"), b.shared("seats"), c.shared("seats")):
            stack.enter_context(each)
        wanted = {"book": "b (reader) and 1 more", "seats": "the holder and 2 more"}
        for names in ([], ["book"], ["seats"]):
            found = {
                each["lock"]: each["holder"]
                for each in json.loads(says(server.url, "list", "--json", *names))
            }
            assert {name: found.get(name) for name in names or wanted} == {
                name: wanted[name] for name in names or wanted
            }


def test_a_list_that_is_switched_off_says_so(tmp_path: Path) -> None:
    with daemon(tmp_path, "-dump=false") as server:
        result = glock(server.url, "list")
        assert (result.returncode, "switched this command off" in result.stderr) == (81, True)


@pytest.mark.parametrize("command", ["list", "explain", "history"])
@pytest.mark.parametrize("on_terminal", [False, True])
def test_a_name_that_the_output_has_no_letters_for_is_escaped(
    server: Daemon, holder: Client, command: str, on_terminal: bool
) -> None:
    name = "größe 日本"
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    with holder.lock(name):
        if on_terminal:
            terminal = Terminal(
                *[sys.executable, "-m", "glock", command, *([] if command == "list" else [name])],
                GLOCK_SERVER=server.url,
                COLUMNS="200",
                **ascii_only,
            )
            assert terminal.shows(r"gr\xf6\xdfe \u65e5\u672c").ends() == 0
        else:
            result = glock(server.url, command, *([] if command == "list" else [name]), **ascii_only)
            assert (result.returncode, result.stderr) == (0, "")
            assert r"gr\xf6\xdfe \u65e5\u672c" in result.stdout


def test_explain_is_what_the_console_shows(server: Daemon, holder: Client, waiting: Waiting) -> None:
    waiting.add("a job", "next", wait=3600)
    lines = says(server.url, "explain", "a job").splitlines()
    assert lines[:2] == ["a job", "Held by"]
    assert re.fullmatch(r"  the holder \(unix:\d+\)  \d.* m?s", lines[2])
    assert re.fullmatch(r"    unix · token \d+", lines[3])
    assert lines[4] == "Waiting, next first"
    assert re.fullmatch(r"  1\. next \(127\.0\.0\.1:\d+\)  .* m?s", lines[5])
    assert re.fullmatch(r"    tcp · gives up in (1 h 00 m|59 m \d\d s)", lines[6])
    assert lines[7].startswith("Lately")
    assert "  granted the holder" in lines[8]
    assert says(server.url, "explain", "nothing at all") == "nothing at all\nNobody holds it now.\n"
    found = json.loads(says(server.url, "explain", "--json", "a job"))
    assert found["exclusive"]["holders"][0]["name"] == "the holder"


def test_history_tells_local_times(server: Daemon, holder: Client) -> None:
    (event,) = [
        each
        for each in json.loads(says(server.url, "history", "--json", "a job"))[-1:]
        if each["event"] == "granted"
    ]
    for zone, hours in (("UTC", 0.0), ("XST-5:30", 5.5)):
        result = glock(server.url, "history", "a job", TZ=zone)
        told, what, lock, client, *_ = result.stdout.splitlines()[-1].split("\t")
        local = timezone(timedelta(hours=hours))
        difference = datetime.fromisoformat(told).replace(tzinfo=local).timestamp() - event["time"]
        assert abs(difference) < 0.0015
        assert (what, lock) == ("granted", "a job")
        assert re.fullmatch(r"the holder \(unix:\d+\)", client)


def test_history_cuts_nothing(server: Daemon) -> None:
    name = "".join(random.Random(1).choices("abcdefghij", k=300))
    with Client(server.url, name="x" * 100) as client, client.lock(name):
        pass
    command = [sys.executable, "-m", "glock", "history", name]
    terminal = Terminal(*command, GLOCK_SERVER=server.url, COLUMNS="80", TERM="xterm")
    assert terminal.ends_saying() == 0
    assert "…" not in terminal.said
    assert terminal.said.count("x") >= 200
    column = "".join(re.findall(r"[a-j]{3,}", terminal.said))  # no other word has three of them in a row
    assert len(column) >= 2 * 298


def test_stats_and_ping(server: Daemon, holder: Client) -> None:
    counters = dict(line.split("\t") for line in says(server.url, "stats").splitlines())
    assert counters["locks"] == "1"
    assert json.loads(says(server.url, "stats", "--json"))["shared_locks"] == 1
    assert re.fullmatch(r"glockd \S+: [0-9.]+ ms\n", says(server.url, "ping"))


def test_kick(server: Daemon) -> None:
    with Client(server.url, name="to be kicked") as victim:
        victim.ping()
        result = glock(server.unix_url, "kick", "to be kicked")
        assert (result.stdout, result.returncode) == ("1 kicked\n", 0)
    assert glock(server.unix_url, "kick", "to be kicked").returncode == 1
    refused = glock(server.url, "kick", "to be kicked")
    assert refused.returncode == 81
    assert refused.stderr == (
        "glock: the server's operator has switched this command off: kick is for the Unix socket, with -admin\n"
    )


def test_without_a_history_it_is_said_how_to_have_one(tmp_path: Path) -> None:
    with daemon(tmp_path) as server:
        result = glock(server.url, "history")
    assert result.returncode == 81
    assert result.stderr.endswith("switched this command off: the daemon's -history turns it on\n")


def test_top_in_a_pipe_is_a_line_a_sample(server: Daemon, holder: Client) -> None:
    lines = says(server.url, "top", "-n", "3", "-d", "0.1").splitlines()
    assert len(lines) == 3
    for line in lines:
        connections, locks, shared, _, rate = map(int, line.split("\t"))
        assert connections >= 2
        assert (locks, shared) == (1, 1)
    assert rate > 0, "at least its own questions"


@pytest.mark.parametrize("delay", ["inf", "nan", "0", "-1", "often"])
def test_top_takes_a_delay_that_ends(server: Daemon, delay: str) -> None:
    result = glock(server.url, "top", "-n", "1", "-d", delay)
    assert (result.returncode, "no number of seconds" in result.stderr) == (2, True)


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("Control-C", 130)])
def test_top_on_a_terminal_is_a_screen(server: Daemon, holder: Client, key: str, code: int) -> None:
    command = [sys.executable, "-m", "glock", "top", "-d", "0.1"]
    terminal = Terminal(*command, GLOCK_SERVER=server.url, TERM="xterm", COLUMNS="120", LINES="40")
    terminal.shows("glock top").shows("the holder").shows("/s").shows("the holder")
    terminal.types("\x03" if key == "Control-C" else key)
    assert terminal.ends() == code


def test_names_cannot_command_the_terminal(server: Daemon) -> None:
    with Client(server.url) as client, client.lock(b"\x1b[31mred\xff\x07"):
        out = says(server.url, "list")
        assert out.startswith("exclusive\t\\x1b[31mred\\xff\\x07\t")
        terminal = Terminal(sys.executable, "-m", "glock", "list", GLOCK_SERVER=server.url)
        assert terminal.shows("\\x1b[31mred\\xff\\x07").ends() == 0


def test_a_closed_pipe_is_no_error_to_speak_of(server: Daemon, holder: Client) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "glock", "stats"],
        env=environment(GLOCK_SERVER=server.url),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, b"")


def test_what_the_original_does_not_know_is_said(tmp_path: Path) -> None:
    original = Original()
    try:
        assert glock(original.url, "explain", "job").returncode == 81
        assert says(original.url, "list") == ""
        assert says(original.url, "ping").startswith("the original glockd: ")
        assert "locks\t0\n" in says(original.url, "stats")
    finally:
        original.close()


def test_a_wrong_address_is_a_wrong_option() -> None:
    result = glock("http://localhost", "stats")
    assert (result.returncode, "begins with none of tcp://" in result.stderr) == (2, True)


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_packages_it_says_what_to_install(missing: str) -> None:
    script = (
        f"import sys; sys.argv = ['glock', 'top']; sys.modules[{missing!r}] = None; "
        "from glock.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (
        1,
        f"glock: {missing} is not installed: pip install 'glockd-client[cli]'\n",
    )


def test_every_command_and_option_is_explained() -> None:
    from glock.cli.app import glock as group

    for command in [group, *group.commands.values()]:
        assert command.help
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert parameter.help, (command.name, parameter.name)
