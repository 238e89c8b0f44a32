"""The asyncio client against the real daemon; above all: cancelled at every await."""

# What a lost lock raises comes out at the end of its `async with`, whatever is in it (PT012, SIM117);
# facts about the daemon have no asyncio.Event (ASYNC110), and the forked child ends at once (ASYNC222).
# ruff: noqa: PT012, SIM117, ASYNC110, ASYNC222

from __future__ import annotations

import asyncio
import math
import os
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from glock import (
    AsyncClient,
    AsyncLock,
    Client,
    ConnectionLost,
    Deadlock,
    LockBusy,
    LockLost,
    NotAuthorised,
    Unreachable,
    Unsupported,
    WaitTimeout,
)

from tests.support.fakes import SECONDS, Daemon, Original, daemon

TRANSPORTS = ("tcp", "unix", "ws")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("async"), "-history", "1000") as running:
        yield running


@pytest.fixture(params=TRANSPORTS)
def url(request: pytest.FixtureRequest, server: Daemon) -> str:
    return server.url_of(request.param)


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url) as client:
        yield client


@pytest.fixture
async def other(url: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url) as client:
        yield client


@pytest.fixture
def original() -> Iterator[Original]:
    server = Original()
    yield server
    server.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


async def until(fact: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await fact():
            await asyncio.sleep(0.002)


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def waiters(client: AsyncClient, name: str) -> int:
    found = await client.explain(name)
    return len(found["exclusive"]["waiters"]) + len(found["shared"]["waiters"])


async def test_a_lock_is_held_within_its_with(client: AsyncClient, other: AsyncClient, name: str) -> None:
    async with client.lock(name) as lock:
        assert lock.token is not None
        assert await other.inspect(name)
        assert await other.check(lock.token, name)
        with pytest.raises(LockBusy):
            await other.lock(name, wait=0).acquire()
        with pytest.raises(WaitTimeout):
            await other.lock(name, wait=0.02).acquire()
        async with client.lock(name) as again:
            assert again.token == lock.token
        assert await other.inspect(name)
    assert not await other.inspect(name)
    with pytest.raises(RuntimeError, match="released before"):
        await lock.release()


async def test_tasks_exclude_each_other_and_wait_side_by_side(client: AsyncClient, name: str) -> None:
    inside = most = rounds = 0

    async def work(which: str) -> None:
        nonlocal inside, most, rounds
        for _ in range(5):
            async with client.lock(which, wait=math.inf):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                rounds += 1
                inside -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(work(name))
    assert (most, rounds) == (1, 30)


async def test_readers_and_limits(client: AsyncClient, other: AsyncClient, name: str) -> None:
    async with client.read(name), other.read(name) as second:
        assert second.holders == 2
        with pytest.raises(Deadlock):
            await client.lock(name, wait=1).acquire()
    async with client.shared(name, limit=1):
        with pytest.raises(LockBusy):
            await other.shared(name, limit=1, wait=0).acquire()
        assert await client.inspect_shared(name) == 1


async def test_who_had_a_lock_released_elsewhere_has_no_part_in_what_others_get(
    client: AsyncClient, name: str
) -> None:
    lock = await client.lock(name + " before").acquire()
    await asyncio.create_task(lock.release())
    held, enough = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with client.lock(name):
            held.set()
            await enough.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        await held.wait()
        with pytest.raises(LockBusy):
            await client.lock(name, wait=0).acquire()
        enough.set()


async def test_a_deadlock_of_two_tasks_is_refused(client: AsyncClient, name: str) -> None:
    outcomes, ready = [], asyncio.Barrier(2)

    async def work(first: str, second: str) -> None:
        async with client.lock(first):
            await ready.wait()
            try:
                async with client.lock(second, wait=10):
                    outcomes.append("got both")
            except Deadlock:
                outcomes.append("deadlock")

    await asyncio.gather(work(name + "x", name + "y"), work(name + "y", name + "x"))
    assert sorted(outcomes) == ["deadlock", "got both"]


async def test_a_coroutine_function_runs_under_its_lock(
    client: AsyncClient, other: AsyncClient, name: str
) -> None:
    @client.lock(name, wait=1)
    async def work(number: int) -> tuple[int, bool]:
        return number, await other.inspect(name)

    assert await work(7) == (7, True)
    assert not await other.inspect(name)
    with pytest.raises(TypeError, match="no coroutine function"):
        client.lock(name)(len)


async def test_questions(client: AsyncClient, name: str) -> None:
    async with client.lock(name), client.shared(name):
        assert [each.name for each in await client.holders(name)] == [name]
        assert len(await client.holders(name, shared=True)) == 1
        assert (await client.stats())["locks"] >= 1
        assert await client.who("nobody") == []
    assert len(await client.history(name)) == 4
    assert await client.bound() == 30
    assert (await client.version()).startswith("glockd ")
    assert await client.ping() > 0


# Loss


async def test_losing_the_lock_interrupts_the_body(
    client: AsyncClient, other: AsyncClient, name: str
) -> None:
    told: list[AsyncLock] = []
    with pytest.raises(LockLost, match="expired") as caught:
        async with client.lock(name, lease=0.03, on_lost=told.append) as lock:
            await asyncio.sleep(SECONDS)
            raise AssertionError("the body went on")
    assert not isinstance(caught.value, ConnectionLost)
    assert told == [lock]
    assert lock.lost.is_set()
    assert this_task().cancelling() == 0
    async with client.lock(name):
        assert await other.inspect(name)


async def test_a_cancellation_from_elsewhere_stays_one(client: AsyncClient, name: str) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with client.lock(name, lease=0.03):
            inside.set()
            try:
                await asyncio.sleep(SECONDS)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                raise

    task = asyncio.create_task(work())
    await inside.wait()
    await until(lambda: _free(client, name))
    task.cancel()
    with pytest.raises((asyncio.CancelledError, LockLost)):
        await task
    assert not await waiters(client, name)


async def _free(client: AsyncClient, name: str) -> bool:
    return not await client.inspect(name)


async def test_outside_of_a_with_nobody_is_interrupted(client: AsyncClient, name: str) -> None:
    lock = await client.lock(name, lease=0.02).acquire()
    await asyncio.wait_for(lock.lost.wait(), SECONDS)
    with pytest.raises(LockLost):
        lock.check()
    with pytest.raises(LockLost):
        await lock.renew(5)
    with pytest.raises(LockLost):
        await lock.release()


async def test_a_lease_is_renewed_from_now_on(client: AsyncClient, other: AsyncClient, name: str) -> None:
    async def left() -> Any:
        return (await other.explain(name))["exclusive"]["holders"][0]["lease"]

    async with client.lock(name, lease=60) as lock:
        assert await left() <= 60
        await lock.renew(3600)
        assert 60 < await left() <= 3600
        await lock.renew(math.inf)
        assert await left() is None
        lock.check()


@pytest.mark.parametrize("door", TRANSPORTS)
async def test_a_daemon_that_dies_interrupts_all(tmp_path: Path, door: str) -> None:
    with daemon(tmp_path) as server:
        url = server.url_of(door)
        async with AsyncClient(url) as client:
            with pytest.raises(ConnectionLost, match="outer"):
                async with client.lock("outer"):
                    with pytest.raises(ConnectionLost, match="inner"):
                        async with client.lock("inner"):
                            server.kill()
                            await asyncio.sleep(SECONDS)
                    # No new connection as long as it believes to hold something.
                    with pytest.raises(ConnectionLost):
                        await client.lock("third").acquire()
            with pytest.raises(Unreachable):
                await client.lock("third").acquire()
            assert this_task().cancelling() == 0


async def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    async with AsyncClient(f"unix://{tmp_path}/none") as client:
        with pytest.raises(Unreachable, match="No such file"):
            await client.ping()


async def test_something_silent_there_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for scheme in ("tcp", "ws"):
            async with AsyncClient(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1) as client:
                with pytest.raises(Unreachable, match="no answer"):
                    await client.ping()


async def test_the_secret_is_shown_first(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    with daemon(tmp_path, "-auth-file", str(secret)) as server:
        for url in (server.url, server.unix_url, server.ws_url):
            async with AsyncClient(url, secret="open sesame") as client, client.lock("job"):
                pass
            async with AsyncClient(url, secret="guess") as client:
                with pytest.raises(NotAuthorised):
                    await client.ping()


async def test_a_forked_child_does_not_keep_the_lock_alive(
    client: AsyncClient, other: AsyncClient, name: str
) -> None:
    reader, writer = os.pipe()
    async with client.lock(name):
        child = os.fork()
        if child == 0:
            os.close(writer)
            select.select([reader], [], [])
            os._exit(0)
    assert not await other.inspect(name)
    lock = await client.lock(name).acquire()
    await client.close()
    try:
        await until(lambda: _free(other, name))
        with pytest.raises(ConnectionLost):
            await lock.release()
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)


# The original


async def test_the_original_is_good_enough_for_the_old_words(original: Original) -> None:
    async with AsyncClient(original.url, name="one") as client, AsyncClient(original.url) as other:
        async with client.lock("job") as lock, client.shared("s"):
            assert lock.token is None
            with pytest.raises(WaitTimeout):
                await other.lock("job", wait=0.05).acquire()
            assert [(each.name, each.who) for each in await other.holders()] == [("job", "one")]
            assert len(await other.holders("s", shared=True)) == 1
        assert (await client.stats())["locks"] == 0
        with pytest.raises(Unsupported):
            await client.read("job").acquire()


# Cancellation


class Cancelled:
    """Awaits `work`, and has the task cancelled at its await number `at` (from 0).

    Early: before what is awaited has happened. Late: at the moment when it has, but nobody has been told yet,
        so that a grant which has arrived is lost on its receiver.
    """

    def __init__(self, work: Coroutine[Any, Any, None], at: int, late: bool) -> None:
        self.work, self.at, self.late, self.reached = work, at, late, False

    def __await__(self) -> Generator[Any, Any, None]:
        task = this_task()
        inner = self.work.__await__()
        resume, value, count = inner.send, None, 0
        while True:
            try:
                future = resume(value)
            except StopIteration:
                return
            if count == self.at:
                self.reached = True
                if self.late and future is not None:
                    future.add_done_callback(lambda _: task.cancel())
                else:
                    asyncio.get_running_loop().call_soon(task.cancel)
            count += 1
            try:
                value, resume = (yield future), inner.send
            except BaseException as error:
                value, resume = error, inner.throw


async def _lock(client: AsyncClient, name: str) -> None:
    async with client.lock(name):
        await asyncio.sleep(0)


async def _lock_twice(client: AsyncClient, name: str) -> None:
    async with (
        client.lock(name, wait=SECONDS),
        client.lock(name),
        client.shared(name),
        client.lock(name + "2", wait=SECONDS),
    ):
        await asyncio.sleep(0)


async def _wait(client: AsyncClient, name: str) -> None:
    # Somebody else has it, and gives it back soon.
    async with client.lock(name, wait=SECONDS, lease=SECONDS):
        pass


async def _wait_holding(client: AsyncClient, name: str) -> None:
    async with client.shared(name, limit=5), client.lock(name, wait=SECONDS):
        pass


async def _wait_to_read(client: AsyncClient, name: str) -> None:
    async with client.read(name, wait=SECONDS) as lock:
        await lock.renew(SECONDS)


async def _wait_to_share(client: AsyncClient, name: str) -> None:
    async with client.shared(name, limit=1, wait=SECONDS):
        pass


async def _ask(client: AsyncClient, name: str) -> None:
    async with client.lock(name):
        await client.inspect(name)
        await client.holders()
        await client.stats()
        await client.explain(name)


async def _by_hand(client: AsyncClient, name: str) -> None:
    lock = await client.lock(name, wait=SECONDS).acquire()
    try:
        await asyncio.sleep(0)
    finally:
        await lock.release()


FREE = [_lock, _lock_twice, _ask, _by_hand]
HELD = [_wait, _wait_holding, _wait_to_read, _by_hand]
MODES = [(work, "") for work in FREE] + [(work, "lock") for work in HELD] + [(_wait_to_share, "shared")]


async def cancel_everywhere(
    url: str, observer: AsyncClient, name: str, work: Callable[[AsyncClient, str], Any], held: str, late: bool
) -> int:
    """Returns how many awaits there were.

    After each cancellation nothing is held or waited for, and the client works.
    """
    at = 0
    while True:
        async with AsyncClient(url) as client:
            holder = AsyncClient(url)
            theirs = await getattr(holder, held)(name).acquire() if held else None
            cancelled = Cancelled(work(client, name), at, late)
            task = asyncio.ensure_future(_await(cancelled))
            if theirs is not None:
                # Let go when it has got into the line, or was cancelled on the way there.
                while not task.done() and not await waiters(observer, name):
                    await asyncio.sleep(0)
                await theirs.release()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            await holder.close()
            if not cancelled.reached:
                assert result is None, result
                return at
            assert isinstance(result, asyncio.CancelledError | None), result

            async def nothing_is_left() -> bool:
                found = await observer.explain(name), await observer.explain(name + "2")
                return not any(
                    each[table][who]
                    for each in found
                    for table in ("exclusive", "shared")
                    for who in ("holders", "waiters")
                )

            await until(nothing_is_left)
            async with client.lock(name, wait=SECONDS), client.shared(name, limit=1, wait=SECONDS):
                assert len(await client.holders(name)) == 1
            at += 1


async def _await(awaitable: Awaitable[None]) -> None:
    await awaitable


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize(("work", "held"), MODES, ids=lambda value: getattr(value, "__name__", value))
async def test_cancelled_at_every_await_it_leaves_nothing_behind(
    url: str, other: AsyncClient, name: str, work: Callable[[AsyncClient, str], Any], held: str, late: bool
) -> None:
    awaits = await cancel_everywhere(url, other, name, work, held, late)
    assert awaits >= 4  # connecting, version, hello, the grant at least


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
async def test_cancelled_at_every_await_the_original_keeps_nothing(original: Original, late: bool) -> None:
    at = 0
    with Client(original.url) as observer:
        while True:
            async with AsyncClient(original.url) as client:
                cancelled = Cancelled(_lock_old(client), at, late)
                await asyncio.gather(asyncio.ensure_future(_await(cancelled)), return_exceptions=True)
                if not cancelled.reached:
                    break
                await until(lambda: _unlocked(observer))
                async with client.lock("job", wait=SECONDS), client.shared("s"):
                    pass
            at += 1
    assert at >= 6


async def _unlocked(observer: Client) -> bool:
    return not observer.inspect("job") and not observer.inspect_shared("s")


async def _lock_old(client: AsyncClient) -> None:
    async with client.lock("job"), client.shared("s"):
        await client.holders()


async def test_a_timeout_of_asyncio_leaves_the_line(
    client: AsyncClient, other: AsyncClient, name: str
) -> None:
    async with other.lock(name):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await client.lock(name, wait=math.inf).acquire()
        await until(lambda: _nobody_waits(other, name))
    async with client.lock(name):
        pass


async def _nobody_waits(client: AsyncClient, name: str) -> bool:
    return await waiters(client, name) == 0


@pytest.mark.parametrize("debug", [False, True])
def test_it_runs_on_uvloop_too(server: Daemon, debug: bool) -> None:
    import uvloop

    async def work() -> None:
        for url in (server.url, server.unix_url, server.ws_url):
            async with AsyncClient(url) as client:
                async with client.lock("uvloop", wait=1) as lock:
                    assert lock.token
                    with pytest.raises(LockLost):
                        async with client.lock("short", lease=0.02):
                            await asyncio.sleep(SECONDS)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop, debug=debug) as runner:
        runner.run(work())
