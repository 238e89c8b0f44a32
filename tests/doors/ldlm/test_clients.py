"""LDLM's own clients, and programs in other languages, as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import ldlm
import pytest
from ldlm import exceptions

from tests.doors.contract import Observer
from tests.doors.ldlm.adapters import ADAPTERS, address
from tests.support.daemons import Pool
from tests.support.process import Glockd, Spawner
from tests.support.registries import fetched, says_ok

Need = Callable[..., str]

HERE = Path(__file__).parent
NODE_PACKAGES = ("@grpc/grpc-js@1.14.7", "protobufjs@7.5.4")
FLAGS = ADAPTERS[0].flags


@pytest.fixture
def daemon(pool: Pool) -> Glockd:
    return pool.get(*FLAGS)


@pytest.fixture
def place(daemon: Glockd) -> str:
    return "{}:{}".format(*address(daemon, "ldlm"))


@pytest.fixture
def client(place: str) -> Iterator[Any]:
    """py-ldlm's, for threads; all in one process share a connection."""
    client = ldlm.Client(place, retries=0)
    yield client
    client.close()


def test_py_ldlm_locks_and_unlocks(client: Any, daemon: Glockd) -> None:
    lock = client.lock("py")
    assert lock
    assert lock.name == "py"
    assert not client.try_lock("py")
    observer = Observer(daemon)
    observer.sees_holders("py", 1)
    lock.unlock()
    observer.sees_holders("py", 0)
    observer.closes()
    with client.try_lock_context("py") as held:
        assert held
        with client.try_lock_context("py") as other:
            assert not other
    leased = client.try_lock("py", lock_timeout_seconds=60)
    assert leased
    leased.unlock()  # or its thread would renew it on a channel that is closed by then


def test_py_ldlm_knows_its_errors(client: Any) -> None:
    lock = client.lock("errors", size=2)
    with pytest.raises(exceptions.LockSizeMismatchError):
        client.try_lock("errors", size=3)
    with pytest.raises(exceptions.InvalidLockKeyError):
        client.unlock("errors", "wrong")
    with pytest.raises(exceptions.LockDoesNotExistError):
        client.unlock("nobody's", "wrong")
    with pytest.raises(exceptions.LockDoesNotExistOrInvalidKeyError):
        client.renew("errors", lock.key, 10)
    with pytest.raises(exceptions.LDLMError, match="cannot be empty"):
        client.lock("")
    assert client.lock("whole")
    assert not client.lock("whole", wait_timeout_seconds=1)
    leased = client.lock("leased", lock_timeout_seconds=30)
    leased.renew(60)
    leased.unlock()


def test_py_ldlm_waits_in_threads(client: Any) -> None:
    inside: list[int] = []

    def work(worker: int) -> None:
        with client.lock_context("turns") as held:
            assert held
            inside.append(worker)
            assert inside == [worker]
            inside.remove(worker)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))


async def test_py_ldlm_with_asyncio(place: str) -> None:
    client = ldlm.AsyncClient(place, retries=0)
    lock = await client.lock("aio", lock_timeout_seconds=60)
    assert lock
    assert not await client.try_lock("aio")
    waiting = asyncio.create_task(client.lock("aio"))
    await lock.renew(30)
    await lock.unlock()
    second = await waiting
    assert second
    assert second.key != lock.key
    await second.unlock()
    async with client.lock_context("aio") as held:
        assert held
    with pytest.raises(exceptions.LockDoesNotExistError):
        await client.unlock("aio-nobody's", "wrong")
    await client.aclose()


async def test_py_ldlm_gives_its_password(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("correct horse\n", "utf-8")
    daemon = glockd(*FLAGS, f"-ldlm-password-file={path}")
    place = "{}:{}".format(*address(daemon, "ldlm"))
    client = ldlm.AsyncClient(place, password="correct horse", retries=0)
    assert await client.try_lock("secret")
    await client.aclose()
    for password in (None, "wrong"):
        stranger = ldlm.AsyncClient(place, password=password, retries=0)
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await stranger.try_lock("secret")
        assert found.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await stranger.aclose()


def test_go_programs_call(place: str, need: Need, tmp_path: Path) -> None:
    fetched([need("go", "golang-go"), "build", "-o", str(tmp_path / "ldlm"), "."], HERE / "go")
    says_ok([str(tmp_path / "ldlm"), place])


def test_node_programs_call(place: str, need: Need, tmp_path: Path) -> None:
    node = need("node", "nodejs")
    install = [need("npm"), "install", "--silent", "--no-audit", "--no-fund", "--prefix", "."]
    fetched([*install, *NODE_PACKAGES], tmp_path)
    says_ok([node, str(HERE / "js" / "ldlm.js"), place], NODE_PATH=str(tmp_path / "node_modules"))
