"""`glock put`, `glock pool` and `glock work`: against the real daemon, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from glock import Client

from tests.clients.test_glock_run import GLOCK, Process, Terminal, alive, glock, started
from tests.support.fakes import SECONDS, Daemon, daemon, until
from tests.support.process import environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("work"), "-admin") as running:
        yield running


@pytest.fixture
def observer(server: Daemon) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> str:
    """A list of the test's own."""
    return str(request.node.name).replace(" ", "_")


def fill(observer: Client, pool: str, *items: str) -> None:
    for item in items:
        assert observer.put(pool, item)


def counts(observer: Client, pool: str) -> tuple[int, int]:
    """How many items are free, and how many are held."""
    found = observer.pool(pool)
    return found["free"], found["held"]


def started_shell(url: str, pool: str, script: str, *options: str) -> Process:
    return started(url, "work", *options, pool, "--", "sh", "-c", script, "sh")


def test_items_come_as_arguments_or_line_by_line(server: Daemon, observer: Client, pool: str) -> None:
    assert glock(server.url, "put", pool, "a", "b c").returncode == 0
    put = subprocess.run(
        [*GLOCK, "put", pool],
        env=environment(GLOCK_SERVER=server.url),
        input="d\n\n e  f \n",
        text=True,
        check=True,
    )
    assert put.returncode == 0
    taken = [observer.take(pool, wait=0).acquire().name for _ in range(4)]
    assert taken == ["a", "b c", "d", "e f"]


def test_what_is_there_already_is_told(server: Daemon, observer: Client, pool: str) -> None:
    fill(observer, pool, "a")
    found = glock(server.url, "put", pool, "a", "b")
    assert (found.returncode, found.stderr) == (1, "glock: not put: a\n")
    assert counts(observer, pool) == (2, 0)


def test_a_name_that_is_none_is_a_usage_error(server: Daemon) -> None:
    found = glock(server.url, "put", "two words", "a")
    assert found.returncode == 2
    assert "one word" in found.stderr


def test_pool_tells_the_counts(server: Daemon, observer: Client, pool: str) -> None:
    fill(observer, pool, "a", "b", "c")
    with observer.take(pool):
        found = glock(server.url, "pool", pool)
        assert found.stdout == f"{pool}\t2\t1\t0\t0\t0\t0\n"
    told = json.loads(glock(server.url, "pool", "--json").stdout)
    assert observer.pool(pool) in told
    assert observer.pool(pool)["done"] == 1


def test_each_item_is_handed_to_the_command_once(
    server: Daemon, observer: Client, pool: str, tmp_path: Path
) -> None:
    fill(observer, pool, "a b", *map(str, range(5)))
    script = f'echo "$1|$GLOCK_ITEM|$GLOCK_POOL|$GLOCK_ATTEMPT" >> {tmp_path}/told; cat'
    found = glock(server.url, "work", pool, "-j", "3", "--", "sh", "-c", script, "sh")
    assert (found.returncode, found.stderr) == (0, "")
    told = sorted((tmp_path / "told").read_text().splitlines())
    assert told == sorted(f"{item}|{item}|{pool}|1" for item in ("a b", *map(str, range(5))))
    assert counts(observer, pool) == (0, 0)


def test_the_item_stands_where_the_braces_are(server: Daemon, observer: Client, pool: str) -> None:
    fill(observer, pool, "x y")
    found = glock(server.url, "work", pool, "--", "echo", "<{}>", "behind")
    assert found.stdout == "<x y> behind\n"


def test_a_command_that_fails_is_tried_again_as_often_as_asked(
    server: Daemon, observer: Client, pool: str, tmp_path: Path
) -> None:
    fill(observer, pool, "good", "bad")
    script = f'echo "$1 $GLOCK_ATTEMPT" >> {tmp_path}/told; test "$1" = good'
    found = glock(server.url, "work", "-r", "2", pool, "--", "sh", "-c", script, "sh")
    assert found.returncode == 1
    assert (tmp_path / "told").read_text().splitlines() == ["good 1", "bad 1", "bad 2", "bad 3"]
    assert "bad: status 1: failed" in found.stderr
    assert "1 done, 1 failed, 2 given back" in found.stderr
    assert counts(observer, pool) == (0, 0)


@pytest.mark.parametrize(("command", "code"), [("/nonexistent", 127), ("/dev/null", 126)])
def test_a_command_that_cannot_be_started_loses_no_item(
    server: Daemon, observer: Client, pool: str, command: str, code: int
) -> None:
    fill(observer, pool, "a", "b")
    found = glock(server.url, "work", pool, "--", command)
    assert found.returncode == code
    assert command in found.stderr
    assert counts(observer, pool) == (2, 0)


def test_without_a_command_it_says_so(server: Daemon, pool: str) -> None:
    found = glock(server.url, "work", pool)
    assert found.returncode == 2
    assert "a command is needed" in found.stderr


def test_it_waits_for_items_that_others_hold(server: Daemon, observer: Client, pool: str) -> None:
    fill(observer, pool, "a")
    item = observer.take(pool).acquire()
    with started(server.url, "work", pool, "--", "echo") as process:
        until(lambda: observer.pool(pool)["waiting"] == 1)
        item.give()
        assert process.stdout.readline() == "a\n"
        assert process.wait(SECONDS) == 0


def test_it_can_stay_when_the_list_is_empty(server: Daemon, observer: Client, pool: str) -> None:
    with started(server.url, "work", "--stay", pool, "--", "echo") as process:
        until(lambda: observer.pool(pool)["waiting"] == 1)
        fill(observer, pool, "late")
        assert process.stdout.readline() == "late\n"
        until(lambda: observer.pool(pool)["waiting"] == 1)
        process.terminate()
        assert process.wait(SECONDS) == 128 + signal.SIGTERM
    assert observer.pool(pool)["waiting"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_commands_and_gives_items_back(
    server: Daemon, observer: Client, pool: str, number: signal.Signals
) -> None:
    fill(observer, pool, "a", "b", "c")
    with started_shell(server.url, pool, "echo $$; exec sleep 1000", "-j", "2") as process:
        children = [int(process.stdout.readline()) for _ in range(2)]
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number
        assert not any(map(alive, children))
    assert counts(observer, pool) == (3, 0)


def test_a_lost_item_ends_its_command(server: Daemon, observer: Client, pool: str) -> None:
    fill(observer, pool, "a")
    with started_shell(server.url, pool, "echo $$; exec sleep 1000", "--keep", "0.3") as process:
        child = int(process.stdout.readline())
        until(lambda: not alive(child))
        assert "the item 'a' was lost: expired; ending the command" in process.stderr.readline()
        process.terminate()
        process.wait(SECONDS)


def test_a_lost_connection_ends_everything(server: Daemon, observer: Client, pool: str) -> None:
    fill(observer, pool, "a")
    with started_shell(server.url, pool, "echo $$; exec sleep 1000", "-o") as process:
        child = int(process.stdout.readline())
        (holder,) = observer.explain(pool)["items"]["holders"]
        with Client(server.unix_url) as admin:
            assert admin.kick(holder["address"]) == 1
        assert process.wait(SECONDS) == 79
        assert not alive(child)
    assert counts(observer, pool) == (1, 0)


@pytest.mark.parametrize("close", [False, True], ids=["inherits", "does not"])
def test_a_command_that_outlives_glock_keeps_its_item(
    server: Daemon, observer: Client, pool: str, close: bool
) -> None:
    fill(observer, pool, "a")
    options = ["-o"] if close else []
    with started_shell(server.url, pool, "echo $$; exec sleep 1000", *options) as process:
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        if not close:
            time.sleep(0.2)  # nothing is to happen
            assert counts(observer, pool) == (0, 1)
            os.kill(child, signal.SIGKILL)
        until(lambda: counts(observer, pool) == (1, 0))
        if close:
            os.kill(child, signal.SIGKILL)


def test_on_a_terminal_it_says_how_far_it_is(server: Daemon, observer: Client, pool: str) -> None:
    fill(observer, pool, *"abc")
    command = [*GLOCK, "work", pool, "--", "sh", "-c", "sleep 0.4", "{}"]
    terminal = Terminal(*command, GLOCK_SERVER=server.url, TERM="xterm")
    assert terminal.shows("1 done, 1 running").shows("3 done").ends() == 0
