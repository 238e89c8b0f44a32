"""Waits of any size, and none: what is a valid time for the daemon is one for the clients."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from glock import AsyncClient, Client, LockBusy, WaitTimeout

from tests.support.fakes import SECONDS, Daemon, Original, daemon, until

# Some are too much for time_t, some for milliseconds in an int (2**32 ms is as 0), some for a float.
LONG: list[Any] = [1e10, 9223372036, 99999999999, 2.0**32 / 1000 + 0.001, 3e6, 1e300, 10**400]
LONG += [Decimal("1e400"), Fraction(10**30), math.inf]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("waits")) as running:
        yield running


@pytest.fixture(params=["tcp", "unix", "ws"])
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


def timeouts(client: Client, name: str) -> list[float | None]:
    """How long those who wait have left, as the daemon sees it; None: they wait for as long as it takes."""
    found = client.explain(name)
    return [each["timeout"] for table in ("exclusive", "shared") for each in found[table]["waiters"]]


@pytest.mark.parametrize("wait", LONG, ids=str)
def test_a_long_wait_gets_what_is_free_and_waits_for_what_is_not(
    url: str, other: Client, name: str, wait: Any
) -> None:
    with Client(url, timeout=1e300) as client:
        for wanted in (client.lock, client.read, client.shared):
            with wanted(name, wait=wait):
                pass
        held, got = other.lock(name).acquire(), threading.Event()

        def take() -> None:
            with client.lock(name, wait=wait):
                got.set()

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        (left,) = until(lambda: timeouts(other, name))
        assert left is None or left >= float(min(wait, 1e300)) - SECONDS
        assert not got.is_set()
        held.release()
        thread.join(SECONDS)
        assert got.is_set()


@pytest.mark.parametrize("wait", LONG, ids=str)
async def test_a_long_wait_of_a_task(url: str, other: Client, name: str, wait: Any) -> None:
    async with AsyncClient(url, timeout=1e300) as client:
        async with client.lock(name, wait=wait), client.shared(name, limit=1, wait=wait):
            pass
        held = other.lock(name).acquire()
        task = asyncio.create_task(client.lock(name, wait=wait).acquire())
        await asyncio.to_thread(until, lambda: timeouts(other, name))
        assert not task.done()
        held.release()
        await (await asyncio.wait_for(task, SECONDS)).release()


@pytest.mark.parametrize("lease", LONG, ids=str)
def test_a_long_lease(server: Daemon, other: Client, name: str, lease: Any) -> None:
    with Client(server.url) as client, client.lock(name, lease=lease) as lock:
        left = other.explain(name)["exclusive"]["holders"][0]["lease"]
        assert left is None or left >= float(min(lease, 1e300)) - SECONDS
        lock.renew(lease)
        lock.check()


@pytest.mark.parametrize("mode", ["lock", "read", "shared"])
def test_waiting_is_what_is_done_unless_it_is_told_otherwise(
    url: str, other: Client, name: str, mode: str
) -> None:
    limit = {"limit": 1} if mode == "shared" else {}
    with Client(url) as client:
        held = (other.shared if mode == "shared" else other.lock)(name).acquire()
        thread = threading.Thread(target=lambda: getattr(client, mode)(name, **limit).acquire())
        thread.start()
        assert until(lambda: timeouts(other, name)) == [None]
        with Client(url) as third:
            with pytest.raises(LockBusy) as caught:
                getattr(third, mode)(name, wait=0, **limit).acquire()
            assert not isinstance(caught.value, WaitTimeout)
            with pytest.raises(WaitTimeout):
                getattr(third, mode)(name, wait=0.001, **limit).acquire()
        held.release()
        thread.join(SECONDS)
        assert not thread.is_alive()


async def test_a_task_waits_unless_it_is_told_otherwise(url: str, other: Client, name: str) -> None:
    async with AsyncClient(url) as client:
        held = other.lock(name).acquire()
        task = asyncio.create_task(client.lock(name).acquire())
        await asyncio.to_thread(until, lambda: timeouts(other, name))
        with pytest.raises(LockBusy):
            await client.lock(name, wait=0).acquire()
        held.release()
        await (await task).release()


def test_a_shared_lock_without_a_limit_is_to_be_had_at_once(url: str, name: str) -> None:
    # And so its answer is due within the client's time limit.
    with Client(url) as client:
        assert client.shared(name).want.wait == 0
        with client.shared(name, wait=5), client.shared(name):
            assert client.inspect_shared(name) == 1


def test_the_original_is_asked_until_the_lock_is_free(name: str) -> None:
    original = Original()
    try:
        with Client(original.url) as client, Client(original.url) as other:
            held = other.lock(name).acquire()
            wanted = [client.lock(name, wait=wait) for wait in LONG]
            threads = [threading.Thread(target=lambda each=each: each.acquire().release()) for each in wanted]
            for thread in threads:
                thread.start()
            until(lambda: original.lines.count(b"g " + name.encode()) > 3 * len(LONG))
            held.release()
            for thread in threads:
                thread.join(SECONDS)
                assert not thread.is_alive()
    finally:
        original.close()
