"""`close()` ends everything that is under way: waits, questions that hang, connecting, watchers of loss."""

# What another thread or process does has no asyncio.Event.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from glock import AsyncClient, Client, ConnectionLost, Lock, LockLost

from tests.support.fakes import SECONDS, Daemon, Original, daemon, until
from tests.support.process import environment

TRANSPORTS = ("tcp", "unix", "ws")
CLOSED = "this client was closed"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("close")) as running:
        yield running


@pytest.fixture(params=TRANSPORTS)
def url(request: pytest.FixtureRequest, server: Daemon) -> str:
    return server.url_of(request.param)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return str(request.node.name)


@pytest.fixture
def other(server: Daemon) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


def waiters(client: Client, name: str) -> int:
    found = client.explain(name)
    return len(found["exclusive"]["waiters"]) + len(found["shared"]["waiters"])


class Caller(threading.Thread):
    """A thread that calls something, and what came of it."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.call()
        except BaseException as error:
            self.error = error

    def has_lost(self, match: str = CLOSED) -> None:
        """It has come back, with ConnectionLost."""
        self.join(SECONDS)
        assert not self.is_alive(), "it still waits"
        assert isinstance(self.error, ConnectionLost), self.error
        assert match in str(self.error)


WAITS: dict[str, Callable[[Any, str], Any]] = {
    "lock": lambda client, name: client.lock(name, wait=math.inf),
    "lock by default": lambda client, name: client.lock(name),
    "lock for a while": lambda client, name: client.lock(name, wait=3600),
    "read": lambda client, name: client.read(name),
    "shared": lambda client, name: client.shared(name, limit=1),
}


@contextlib.contextmanager
def taken(client: Client, name: str) -> Iterator[None]:
    with client.lock(name), client.shared(name):
        yield


# Blocking


@pytest.mark.parametrize("wait", WAITS)
def test_a_thread_that_waits_is_woken_and_out_of_the_line(
    other: Client, url: str, name: str, wait: str
) -> None:
    with taken(other, name):
        client = Client(url)
        caller = Caller(lambda: WAITS[wait](client, name).acquire())
        until(lambda: waiters(other, name) == 1)
        client.close()
        caller.has_lost()
        until(lambda: waiters(other, name) == 0)
    assert not other.inspect(name)


def test_many_threads_that_wait_and_hold_are_woken(other: Client, url: str, name: str) -> None:
    with taken(other, name):
        client = Client(url)
        callers = [Caller(lambda: client.lock(name).acquire()) for _ in range(8)]
        lock = client.lock(name + " mine").acquire()
        until(lambda: waiters(other, name) == 8)
        client.close()
        for caller in callers:
            caller.has_lost()
        with pytest.raises(ConnectionLost, match=CLOSED):
            lock.check()
        until(lambda: waiters(other, name) == 0 and not other.inspect(name + " mine"))


def test_a_release_that_waits_for_its_thread_is_woken(other: Client, url: str, name: str) -> None:
    with taken(other, name):
        client, got = Client(url), []

        def wait() -> None:
            got.append(client.lock(name + " mine").acquire())
            client.lock(name).acquire()

        waiting = Caller(wait)
        until(lambda: waiters(other, name) == 1)
        releasing = Caller(lambda: got[0].release())
        client.close()
        waiting.has_lost()
        releasing.has_lost()


def test_who_polls_the_original_is_woken(name: str) -> None:
    original = Original()
    try:
        with Client(original.url) as other, other.lock(name):
            client = Client(original.url)
            caller = Caller(lambda: client.lock(name).acquire())
            until(lambda: original.lines.count(b"g " + name.encode()) > 2)
            client.close()
            caller.has_lost()
        assert not Client(original.url).inspect(name)
    finally:
        original.close()


def test_who_watches_for_a_loss_is_told(other: Client, url: str, name: str) -> None:
    told: list[Lock] = []
    client = Client(url)
    lock = client.lock(name, on_lost=told.append).acquire()
    watcher = Caller(lambda: lock.lost.wait())
    client.close()
    watcher.join(SECONDS)
    assert not watcher.is_alive()
    assert told == [lock]
    until(lambda: not other.inspect(name))
    until(lambda: not [each for each in threading.enumerate() if each.name == "glock-watch"])


@pytest.mark.parametrize("door", TRANSPORTS)
def test_a_question_that_hangs_is_ended(server: Daemon, door: str, name: str) -> None:
    client = Client(server.url_of(door))
    client.ping()
    server.process.send_signal(signal.SIGSTOP)
    try:
        asking = Caller(lambda: client.inspect(name))
        opening = Caller(lambda: client.inspect(name))
        until(lambda: len(client._servers[0]._all) == 2)
        client.close()
        asking.has_lost()
        opening.has_lost()
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_connecting_is_ended() -> None:
    with full_listener() as port:
        before = unanswered(port)
        client = Client(f"tcp://127.0.0.1:{port}")
        caller = Caller(client.ping)
        until(lambda: unanswered(port) > before)
        client.close()
        caller.has_lost()


@pytest.mark.parametrize("scheme", ["tcp", "tls", "ws", "wss"])
def test_a_handshake_that_hangs_is_ended(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        caller = Caller(client.ping)
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(1), "it has said hello"
            client.close()
            caller.has_lost()


@pytest.mark.parametrize("scheme", ["tcp", "tls", "ws", "wss"])
async def test_a_handshake_of_a_task_that_hangs_is_ended(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = AsyncClient(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        task = asyncio.create_task(client.ping())
        sock, _ = await asyncio.to_thread(listener.accept)
        with sock:
            assert await asyncio.to_thread(sock.recv, 1), "it has said hello"
            await client.close()
            with pytest.raises(ConnectionLost, match=CLOSED):
                await asyncio.wait_for(task, SECONDS)


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue is full, so that connecting to it gets no answer: listen(2)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def unanswered(port: int) -> int:
    """How many connections to `port` are still being made; proc(5), where 02 is TCP_SYN_SENT."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)


def test_nothing_is_granted_after_close(other: Client, url: str, name: str) -> None:
    client = Client(url)
    wanted = client.lock(name)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        wanted.acquire()
    with pytest.raises(RuntimeError, match="closed"):
        client.ping()
    assert not other.inspect(name)


SIGNALLED = """
import signal, sys
from glock import Client, ConnectionLost

client = Client(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: client.close())
try:
    client.lock(sys.argv[2]).acquire()
except ConnectionLost as error:
    print(error)
"""


def test_a_signal_handler_can_close_what_its_own_thread_waits_in(other: Client, url: str, name: str) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", SIGNALLED, url, name]
    with (
        taken(other, name),
        subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process,
    ):
        until(lambda: waiters(other, name) == 1)
        process.terminate()
        out, _ = process.communicate(timeout=SECONDS)
        assert (process.returncode, CLOSED in out) == (0, True)
        until(lambda: waiters(other, name) == 0)


# Who else has the connection


def test_close_frees_the_locks_whoever_else_has_the_descriptor(
    server: Daemon, other: Client, name: str
) -> None:
    for url in (server.url, server.unix_url):
        client = Client(url)
        lock = client.lock(name).acquire()
        fd = os.dup(lock.fileno())
        with subprocess.Popen(["sleep", "60"], pass_fds=[fd]) as sleeper:
            try:
                client.close()
                until(lambda: not other.inspect(name))
                assert sleeper.poll() is None
            finally:
                os.close(fd)
                sleeper.kill()


LEFT = """
import subprocess, sys
from glock import Client

client = Client(sys.argv[1])
lock = client.lock(sys.argv[2]).acquire()
extra = {"pass_fds": [lock.fileno()]} if sys.argv[3] == "passed on" else {"close_fds": False}
print(subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **extra).pid)
"""


@pytest.mark.parametrize("how", ["inherited", "passed on"])
def test_a_program_that_was_started_keeps_a_lock_only_if_it_was_given_the_descriptor(
    server: Daemon, other: Client, name: str, how: str
) -> None:
    command = [sys.executable, "-c", LEFT, server.url, name, how]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    try:
        if how == "inherited":
            until(lambda: not other.inspect(name))
        else:
            assert other.inspect(name), (
                "it was passed on on purpose, and its script has ended without close()"
            )
    finally:
        os.kill(int(result.stdout), signal.SIGKILL)
    until(lambda: not other.inspect(name))


# asyncio


@pytest.mark.parametrize("wait", WAITS)
async def test_a_task_that_waits_is_woken_and_out_of_the_line(
    other: Client, url: str, name: str, wait: str
) -> None:
    with taken(other, name):
        client = AsyncClient(url)
        task = asyncio.create_task(WAITS[wait](client, name).acquire())
        await so(lambda: waiters(other, name) == 1)
        await client.close()
        with pytest.raises(ConnectionLost, match=CLOSED):
            await asyncio.wait_for(task, SECONDS)
        await so(lambda: waiters(other, name) == 0)
        with pytest.raises(RuntimeError, match="closed"):
            await client.lock(name).acquire()


async def so(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not fact():
            await asyncio.sleep(0.005)


async def test_who_is_in_an_async_with_is_interrupted(other: Client, url: str, name: str) -> None:
    client, inside = AsyncClient(url), asyncio.Event()

    async def body() -> None:
        async with client.lock(name):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await inside.wait()
    await client.close()
    with pytest.raises(ConnectionLost, match=CLOSED):
        await asyncio.wait_for(task, SECONDS)
    await so(lambda: not other.inspect(name))


async def test_who_watches_for_a_loss_is_told_by_the_loop(url: str, name: str) -> None:
    told: list[object] = []
    client = AsyncClient(url)
    lock = await client.lock(name, on_lost=told.append).acquire()
    watching = asyncio.create_task(lock.lost.wait())
    await client.close()
    await asyncio.wait_for(watching, SECONDS)
    await so(lambda: told == [lock])
    with pytest.raises(LockLost):
        lock.check()


@pytest.mark.parametrize("door", TRANSPORTS)
async def test_a_question_of_a_task_that_hangs_is_ended(server: Daemon, door: str, name: str) -> None:
    client = AsyncClient(server.url_of(door))
    await client.ping()
    server.process.send_signal(signal.SIGSTOP)
    try:
        tasks = [asyncio.create_task(client.inspect(name)) for _ in range(2)]  # one has to connect first
        await so(lambda: len(client._servers[0]._all) == 2)
        await client.close()
        for task in tasks:
            with pytest.raises(ConnectionLost, match=CLOSED):
                await asyncio.wait_for(task, SECONDS)
    finally:
        server.process.send_signal(signal.SIGCONT)


async def test_connecting_of_a_task_is_ended() -> None:
    with full_listener() as port:
        before = unanswered(port)
        client = AsyncClient(f"tcp://127.0.0.1:{port}")
        task = asyncio.create_task(client.ping())
        await so(lambda: unanswered(port) > before)
        await client.close()
        with pytest.raises(ConnectionLost, match=CLOSED):
            await asyncio.wait_for(task, SECONDS)


async def test_close_of_tasks_frees_the_locks_whoever_else_has_the_descriptor(
    server: Daemon, other: Client, name: str
) -> None:
    client = AsyncClient(server.url)
    lock = await client.lock(name).acquire()
    fd = os.dup(lock._session.fileno())
    try:
        await client.close()
        await so(lambda: not other.inspect(name))
    finally:
        os.close(fd)


@pytest.mark.parametrize("operations", range(1, 40, 2))
def test_closing_in_the_midst_of_it_all_ends_it_all(
    server: Daemon, other: Client, name: str, operations: int
) -> None:
    client = Client(server.url, name=name)
    enough = threading.Semaphore(0)

    def work(own: str) -> None:
        while True:
            with client.lock(name), client.shared(own):
                enough.release()
                client.inspect(own)

    callers = [Caller(partial(work, f"{name} {number}")) for number in range(4)]
    for _ in range(operations):
        assert enough.acquire(timeout=SECONDS)
    client.close()
    for caller in callers:
        caller.join(SECONDS)
        assert not caller.is_alive()
        assert isinstance(caller.error, ConnectionLost | RuntimeError), caller.error
    until(lambda: not other.find("sessions", name) and not other.inspect(name))
    assert not client._servers[0]._all
