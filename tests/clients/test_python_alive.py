"""Signs of life: `alive SECONDS` keeps a silent connection through proxies, and shows when nobody is there.

The server is a stand-in, which can fall silent when a test says so, and do so while it has the connection open.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from glock import AsyncClient, Client, ConnectionLost, Lock, Unsupported, WaitTimeout

from tests.support.fakes import SECONDS, Original, daemon, until
from tests.support.letters import came_of

ALIVE = 0.4  # seconds that the clients here ask for
INTERVAL = 1  # what that is in whole ones
SIGN = 0.4  # between two signs of the server here: it may be late by a second on a busy machine
SILENCE = 2.5 * INTERVAL


class Living:
    """Knows what a client opens with, grants every lock but `taken`, and gives signs of life until it is told not
    to.

    Args:
        alive: its answer to `alive SECONDS`; None: it does not know the word.
    """

    def __init__(self, alive: bytes | None = b"1 ok\n") -> None:
        self.alive = alive
        self.lines: list[bytes] = []
        self.is_living = True
        self.signs = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.open: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.open.append(sock)
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock.makefile("rb") as lines:
            for line in lines:
                line = line.rstrip(b"\n")
                if not line.startswith(b"i glock-sentinel"):  # they come if an answer takes long
                    self.lines.append(line)
                reply = self.answer(line)
                if line.startswith(b"alive ") and self.alive == b"1 ok\n":
                    threading.Thread(target=self.lives, args=(sock,), daemon=True).start()
                if self.is_living and reply:
                    sock.sendall(reply)
        sock.close()

    def lives(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self.is_living:
                sock.sendall(b"! alive\n")
                self.signs += 1
                time.sleep(SIGN)

    def answer(self, line: bytes) -> bytes:
        verb, _, name = line.partition(b" ")
        match verb:
            case b"version":
                return b"1 glockd 9.9.9\n"
            case b"notify":
                return b"1 ok\n"
            case b"alive":
                return self.alive or b""
            case b"i":
                return b"0 Lock Not Locked: " + name + b"\n"
            case b"g" | b"wait":
                name = name.rpartition(b" ")[2]
                return b"" if name == b"taken" else b"1 Lock Get Success: " + name + b"\n"
            case b"token":
                return b"" if name == b"taken" else b"7 Lock Token: " + name + b"\n"
            case b"r":
                return b"1 Lock Release Success: " + name + b"\n"
            case b"d":
                return b"! alive\njob: me\n! alive\n"  # signs come whenever they are due
            case b"ping":
                return b"! alive\n1 pong\n"
        return b""

    def close(self) -> None:
        self.is_living = False
        self.listener.close()
        for sock in self.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def living() -> Iterator[Living]:
    server = Living()
    yield server
    server.close()


def outlasts(server: Living, signs: int = 8) -> None:
    """Let so many more signs come: more than those after which silence would be a loss."""
    enough = server.signs + signs
    until(lambda: server.signs >= enough)


# Blocking


def test_it_is_asked_for_once_a_connection(living: Living) -> None:
    with Client(living.url, alive=ALIVE) as client:
        client.ping()
        client.ping()
    assert living.lines[:3] == [b"version", b"notify on", b"alive 1"]
    assert sum(line.startswith(b"alive") for line in living.lines) == 1
    with Client(living.url) as client:
        client.ping()
    assert sum(line.startswith(b"alive") for line in living.lines) == 1


def test_signs_between_replies_are_no_replies(living: Living) -> None:
    with Client(living.url, alive=ALIVE) as client:
        assert client.ping() > 0
        assert [(each.name, each.who) for each in client.holders()] == [("job", "me")]
        with client.lock("job") as lock:
            outlasts(living)
            lock.check()
            assert client.inspect("other") is False


def test_a_holder_finds_out_that_nobody_is_there(living: Living) -> None:
    told: list[Lock] = []
    with Client(living.url, alive=ALIVE) as client:
        lock = client.lock("job", on_lost=told.append).acquire()
        outlasts(living)
        assert not lock.lost.is_set()
        living.is_living = False
        assert lock.lost.wait(SECONDS)
        assert lock.reason == f"no sign of life within {SILENCE:g} s"
        until(lambda: told == [lock])
        with pytest.raises(ConnectionLost, match="no sign of life"):
            lock.release()


def test_who_waits_finds_out_that_nobody_is_there(living: Living) -> None:
    with Client(living.url, alive=ALIVE) as client:
        caught: list[BaseException] = []

        def wait() -> None:
            try:
                client.lock("taken").acquire()
            except ConnectionLost as error:
                caught.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        until(lambda: b"wait inf taken" in living.lines)
        outlasts(living)
        assert thread.is_alive()
        living.is_living = False
        thread.join(SECONDS)
        assert "no sign of life" in str(caught[0])


def test_signs_of_life_are_no_answer(living: Living) -> None:
    """Who waits for an answer has a time limit, whatever else comes meanwhile."""
    with Client(living.url, alive=ALIVE, timeout=3 * SIGN) as client:
        begin = time.monotonic()
        with pytest.raises(ConnectionLost, match=f"no answer within {3 * SIGN:g} s"):
            client.lock("taken", wait=0.1).acquire()
        assert time.monotonic() - begin >= 3 * SIGN


def test_idle_connections_are_read_too(living: Living) -> None:
    with Client(living.url, alive=ALIVE) as client:
        client.ping()
        outlasts(living)
        client.ping()
        assert len(living.open) == 1, "it is kept"
        living.is_living = False
        (session,) = client._servers[0]._all
        until(lambda: session.is_lost)
    until(lambda: not [each for each in threading.enumerate() if each.name == "glock-watch"])


def test_silence_is_fine_where_no_signs_were_asked_for(living: Living) -> None:
    with Client(living.url) as client, client.lock("job") as lock:
        assert not lock.lost.wait(SILENCE + 1)  # the passing of time is what is tested
        lock.check()


CLIENTS: list[Callable[..., Client | AsyncClient]] = [Client, AsyncClient]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_server_that_does_not_know_the_word_is_told_of(
    kind: Callable[..., Client | AsyncClient],
) -> None:
    for server in (Living(alive=None), Original()):
        client = kind(server.url, alive=1)
        with pytest.raises(Unsupported, match="no signs of life"):
            await came_of(client.ping())
        server.close()


@pytest.mark.parametrize(
    ("alive", "sent"), [(1e-9, b"1"), (1, b"1"), (1.5, b"2"), (30, b"30"), (1e300, b"2000000")]
)
def test_the_daemon_counts_whole_seconds(living: Living, alive: float, sent: bytes) -> None:
    with Client(living.url, alive=alive) as client:
        client.ping()
    assert living.lines[2] == b"alive " + sent


def test_who_leaves_a_lock_to_another_process_asks_for_no_more(living: Living) -> None:
    with Client(living.url, alive=ALIVE) as client:
        lock = client.lock("job").acquire()
        lock.leave()
        assert b"alive 0" in living.lines
        assert b"r job" not in living.lines
    with Client(living.url) as client:
        client.lock("job").acquire().leave()
        assert living.lines[-1] == b"token job"


@pytest.mark.parametrize("kind", CLIENTS)
async def test_an_interval_that_the_server_refuses_is_an_error(
    kind: Callable[..., Client | AsyncClient],
) -> None:
    server = Living(alive=b"0 Bad Argument: SECONDS\n")
    client = kind(server.url, alive=1e-9)
    with pytest.raises(ValueError, match="Bad Argument: SECONDS"):
        await came_of(client.ping())
    server.close()


def test_the_real_daemon_keeps_a_silent_connection(tmp_path: Path) -> None:
    """It is stopped, as a machine that hangs: a connection without signs of life would not notice for long."""
    with daemon(tmp_path) as server:
        for door in ("tcp", "unix", "ws"):
            with Client(server.url_of(door), alive=ALIVE) as client:
                lock = client.lock(door).acquire()
                assert not lock.lost.wait(SILENCE + 1)
                server.process.send_signal(signal.SIGSTOP)
                try:
                    assert lock.lost.wait(SECONDS)
                    assert lock.reason == f"no sign of life within {SILENCE:g} s"
                finally:
                    server.process.send_signal(signal.SIGCONT)


# asyncio


async def alive_for(server: Living, signs: int = 8) -> None:
    await asyncio.to_thread(outlasts, server, signs)


async def test_a_task_that_holds_finds_out_that_nobody_is_there(living: Living) -> None:
    async with AsyncClient(living.url, alive=ALIVE) as client:

        async def hold() -> None:
            async with client.lock("job") as lock:
                await alive_for(living)
                lock.check()
                assert [(each.name, each.who) for each in await client.holders()] == [("job", "me")]
                living.is_living = False
                await asyncio.Event().wait()

        with pytest.raises(ConnectionLost, match="no sign of life"):
            await asyncio.wait_for(hold(), SECONDS)
    assert b"alive 1" in living.lines


async def test_a_task_that_waits_finds_out_that_nobody_is_there(living: Living) -> None:
    async with AsyncClient(living.url, alive=ALIVE) as client:
        task = asyncio.create_task(client.lock("taken").acquire())
        await alive_for(living)
        assert not task.done()
        living.is_living = False
        with pytest.raises(ConnectionLost, match="no sign of life"):
            await asyncio.wait_for(task, SECONDS)


async def test_signs_of_life_are_no_answer_to_a_task(living: Living) -> None:
    async with AsyncClient(living.url, alive=ALIVE, timeout=3 * SIGN) as client:
        with pytest.raises((ConnectionLost, WaitTimeout), match=f"no answer within {3 * SIGN:g} s"):
            await client.lock("taken", wait=0.1).acquire()


async def test_silence_is_fine_for_a_task_that_asked_for_no_signs(living: Living) -> None:
    async with AsyncClient(living.url) as client, client.lock("job") as lock:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lock.lost.wait(), SILENCE + 1)
        lock.check()
