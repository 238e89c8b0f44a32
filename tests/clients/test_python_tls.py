"""The client's TLS, against a relay that ends it in front of a real daemon."""

# What a lost lock raises comes out at the end of its `with`, whatever is in it.
# ruff: noqa: PT012

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from glock import AsyncClient, Client, ConnectionLost, LockLost, Unreachable

from tests.support.fakes import Daemon, daemon, token_of, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, need: Callable[..., str]) -> Path:
    """A certificate for `locks.test` that is its own authority; its key is beside it."""
    folder = tmp_path_factory.mktemp("certificate")
    what = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=locks.test -addext subjectAltName=DNS:locks.test"
    )
    files: list[str | Path] = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([need("openssl"), *what.split(), *files], check=True, capture_output=True)
    return folder / "cert.pem"


class Relay:
    """TLS on one side, the daemon on the other. `cut` ends all connections."""

    def __init__(self, certificate: Path, port: int, wants_client: bool = False) -> None:
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        if wants_client:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(certificate)
        self.daemon_port = port
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.run(),))
        self.thread.start()
        assert self.ready.wait(10)

    async def run(self) -> None:
        self.stop = asyncio.Event()
        server = await asyncio.start_server(self.relay, "127.0.0.1", 0, ssl=self.context)
        # Begun before `close`: after it, Python 3.11 would not wait for what is still connected.
        ended = asyncio.ensure_future(server.wait_closed())
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.stop.wait()
        await self.hang_up()
        # All clients have gone, so every handshake comes to an end; one that `close` overtakes leaves its socket.
        while pending := asyncio.all_tasks() - {asyncio.current_task(), ended}:
            await asyncio.gather(*pending, return_exceptions=True)
        server.close()
        await ended

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self.daemon_port)
        both = {writer, there[1]}
        self.writers |= both
        await asyncio.gather(self.copy(reader, there[1]), self.copy(there[0], writer))
        self.writers -= both
        for each in both:
            each.transport.abort()
            with contextlib.suppress(OSError):
                await each.wait_closed()

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async def hang_up(self) -> None:
        for writer in list(self.writers):
            writer.transport.abort()

    def cut(self) -> None:
        asyncio.run_coroutine_threadsafe(self.hang_up(), self.loop).result(10)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def relay(server: Daemon, certificate: Path) -> Iterator[Relay]:
    relay = Relay(certificate, server.port)
    yield relay
    relay.close()


def test_locks_over_tls(relay: Relay, certificate: Path, server: Daemon) -> None:
    url = f"tls://127.0.0.1:{relay.port}?ca={certificate}&host=locks.test"
    with Client(url) as client, Client(server.url) as observer:
        with client.lock("job", wait=1) as lock:
            assert observer.check(token_of(lock), "job")
            assert client.holders("job")
        with pytest.raises(LockLost, match="expired"), client.lock("job", lease=0.05) as lock:
            assert lock.lost.wait(10)
        with pytest.raises(ConnectionLost), client.lock("job") as lock:
            lost = lock.lost
            relay.cut()
            assert lost.wait(10)
        until(lambda: not observer.inspect("job"))


async def test_locks_over_tls_with_asyncio(relay: Relay, certificate: Path) -> None:
    url = f"tls://127.0.0.1:{relay.port}?ca={certificate}&host=locks.test"
    async with AsyncClient(url) as client:
        async with client.lock("asyncio job", wait=1) as lock:
            assert lock.token
        with pytest.raises(ConnectionLost):
            async with client.lock("asyncio job"):
                await asyncio.to_thread(relay.cut)
                await asyncio.sleep(10)


@pytest.mark.parametrize("options", ["", "?ca={ca}", "?host=locks.test", "?ca={ca}&host=other.test"])
async def test_a_server_that_is_not_who_it_should_be_is_refused(
    relay: Relay, certificate: Path, options: str
) -> None:
    url = f"tls://127.0.0.1:{relay.port}" + options.format(ca=certificate)
    with Client(url) as client, pytest.raises(Unreachable, match=r"(?i)certificate"):
        client.ping()
    async with AsyncClient(url) as client:
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await client.ping()


def test_the_client_shows_its_own_certificate(server: Daemon, certificate: Path) -> None:
    relay = Relay(certificate, server.port, wants_client=True)
    try:
        url = f"tls://127.0.0.1:{relay.port}?ca={certificate}&host=locks.test"
        with Client(f"{url}&cert={certificate}&key={certificate.with_name('key.pem')}") as client:
            assert client.ping()
        with Client(url) as client, pytest.raises(Unreachable):
            client.ping()
        with Client(f"{url}&cert=/no/such/file") as client, pytest.raises(Unreachable, match="No such file"):
            client.ping()
    finally:
        relay.close()
