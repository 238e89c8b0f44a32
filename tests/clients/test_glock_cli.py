"""The questions that `glock` asks, as a shell sees them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from glock import Client

from tests.clients.test_glock_run import Terminal, glock
from tests.support.fakes import Daemon, Original, daemon
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
    assert says(server.url, "list") == "exclusive\ta job\tthe holder\nshared\tseats\tthe holder\n"
    assert says(server.url, "list", "a job") == "exclusive\ta job\tthe holder\n"
    assert says(server.url, "list", "nothing") == ""
    assert json.loads(says(server.url, "list", "--json", "seats")) == [
        {"kind": "shared", "lock": "seats", "holder": "the holder"}
    ]
    assert re.fullmatch(r"unix:\d+\tthe holder\n", says(server.url, "who"))
    assert json.loads(says(server.url, "who", "--json", "nobody")) == []


def test_explain_and_history(server: Daemon, holder: Client) -> None:
    text = says(server.url, "explain", "a job")
    assert "name: a job\n" in text
    assert "      name: the holder\n" in text
    assert "waiters: none\n" in text
    found = json.loads(says(server.url, "explain", "--json", "a job"))
    assert found["exclusive"]["holders"][0]["name"] == "the holder"
    assert json.loads(says(server.url, "history", "--json", "a job"))[-1]["event"] == "granted"
    assert says(server.url, "history", "a job").splitlines()[-1].startswith("granted\t")


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
        assert out.startswith("exclusive\t\\x1b[31mred\\udcff\\x07\t")
        terminal = Terminal(sys.executable, "-m", "glock", "list", GLOCK_SERVER=server.url)
        assert terminal.shows("\\x1b[31mred\\udcff\\x07").ends() == 0


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
    assert b"Traceback" not in result.stderr


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
    assert (result.returncode, "begins with one of tcp://" in result.stderr) == (2, True)


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_its_packages_it_says_what_to_install(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; from glock.cli import main; main()"
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
