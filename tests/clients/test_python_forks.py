"""What belongs to one process knows when it is in another: nothing a forked child does touches its parent's
locks, and nothing keeps them when the parent has gone."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from glock import AsyncClient, Client, ConnectionLost, GlockError

from tests.support.fakes import Daemon, daemon, until
from tests.support.process import environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("forks")) as running:
        yield running


@pytest.fixture(params=["tcp", "unix", "ws"])
def url(request: pytest.FixtureRequest, server: Daemon) -> str:
    return server.url_of(request.param)


@pytest.fixture
def other(server: Daemon) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return str(request.node.name)


def in_child(work: Callable[[], object]) -> str:
    """What `work` returns in a forked child, or raises there: `ConnectionLost` and the like."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(work())
        except GlockError as error:
            said = type(error).__name__
        except BaseException:
            said = traceback.format_exc()
        os.write(writer, said.encode())
        gc.collect()  # destructors run in a child as anywhere
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


TALKS: dict[str, Callable[[Any], object]] = {
    "check": lambda lock: lock.check(),
    "release": lambda lock: lock.release(),
    "renew": lambda lock: lock.renew(5),
    "its with": lambda lock: lock.__exit__(None, None, None),
}


@pytest.mark.parametrize("talk", TALKS)
def test_what_a_child_does_with_its_parents_lock_is_an_error(
    url: str, other: Client, name: str, talk: str
) -> None:
    with Client(url) as client, client.lock(name) as lock, client.shared(name) as share:
        for each in (lock, share):
            if (talk, each) != ("renew", share):
                assert in_child(lambda each=each: TALKS[talk](each)) == "ConnectionLost"  # type: ignore[misc]
        assert in_child(lambda: lock.reason) == "this process was forked, and the lock stays with its parent"
        assert in_child(lambda: lock.lost.is_set()) == "True"
        assert (other.inspect(name), other.inspect_shared(name)) == (True, 1)
        lock.check()
        lock.renew(3600)
    assert not other.inspect(name)


def test_a_helper_that_returns_out_of_the_with_releases_nothing(url: str, other: Client, name: str) -> None:
    """The report's script: the child comes out of the function that forked."""

    def synchronized(client: Client) -> str:
        with client.lock(name):
            if (child := os.fork()) == 0:
                return "child"
            os.waitpid(child, 0)
            return "held" if other.inspect(name) else "free"

    with Client(url) as client:
        me = os.getpid()
        try:
            said = synchronized(client)
        except ConnectionLost:
            said = "lost"
        if os.getpid() != me:
            os._exit(0)
        assert said == "held"
    assert not other.inspect(name)


def test_a_child_begins_anew(url: str, other: Client, name: str) -> None:
    with Client(url) as client, client.lock(name) as lock:

        def work() -> str:
            with client.lock(name + " child") as mine:
                found = other.check(mine.token or 0, name + " child")
            client.close()
            return f"{found} {client.urls == [url]}"

        assert in_child(work) == "True True"
        lock.check()
        assert other.inspect(name)


def test_a_child_that_closes_the_client_takes_nothing_from_its_parent(
    url: str, other: Client, name: str
) -> None:
    with Client(url) as client, client.lock(name) as lock:
        lock.lost.is_set()  # somebody watches
        assert in_child(client.close) == "None"
        lock.check()
        assert other.inspect(name)


def test_a_process_of_multiprocessing_keeps_nothing_alive(url: str, other: Client, name: str) -> None:
    context = multiprocessing.get_context("fork")
    client = Client(url)
    client.lock(name).acquire()
    ready = context.Event()
    process = context.Process(target=_sleep, args=(ready,))
    process.start()
    try:
        assert ready.wait(10)
        del client
        until(lambda: not other.inspect(name))
        assert process.is_alive()
    finally:
        process.kill()
        process.join()


def _sleep(ready: Any) -> None:
    ready.set()
    signal.pause()


KILLED = """
import os, sys, time
from glock import Client

lock = Client(sys.argv[1]).lock(sys.argv[2]).acquire()
child = os.fork()
if child == 0:
    os.close(1)
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
time.sleep(60)
"""


def test_a_child_does_not_keep_the_lock_of_a_parent_that_was_killed(
    url: str, other: Client, name: str
) -> None:
    command = [sys.executable, "-c", KILLED, url, name]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            assert other.inspect(name)
            process.kill()
            process.wait()
            until(lambda: not other.inspect(name))
            os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)


# asyncio


async def test_a_child_has_none_of_its_parents_locks(url: str, other: Client, name: str) -> None:
    async with AsyncClient(url) as client, client.lock(name) as lock:

        def work() -> str:
            with pytest.raises(ConnectionLost):
                lock.check()
            return f"{lock.reason}, {lock.lost.is_set()}"

        assert in_child(work) == "this process was forked, and the lock stays with its parent, True"
        lock.check()
        await lock.renew(3600)
        assert other.inspect(name)


async def test_a_child_may_use_the_client_in_a_loop_of_its_own(url: str, other: Client, name: str) -> None:
    async with AsyncClient(url) as client, client.lock(name) as lock:

        async def anew() -> str:
            with pytest.raises(ConnectionLost):
                await lock.release()
            async with client.lock(name + " child") as mine:
                return str(await client.check(mine.token or 0, name + " child"))

        def work() -> str:
            asyncio._set_running_loop(None)
            return asyncio.run(anew())

        assert in_child(work) == "True"
        lock.check()
        assert other.inspect(name)
