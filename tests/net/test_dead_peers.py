"""Peers that vanish without a word are found within the bound, and those who are only silent are left alone."""

from __future__ import annotations

import asyncio
import socket
import struct
import time

import pytest
import uvloop

from glockd.process.sockets import bound_keepalive
from tests.support.clients import SocketClient, StreamClient, WebSocketClient, wait_until
from tests.support.networks import FarHost
from tests.support.process import Glockd, Spawner

BOUND = 5  # seconds, the least there is


class ReachableGlockd(Glockd):
    """A daemon that listens on the address of the test's own network."""

    def bind(self, name: str) -> None:
        sock = socket.create_server((FarHost.server, 0), backlog=64)
        if name == "ws":
            self.ws = sock.getsockname()
        else:
            self.tcp = sock.getsockname()
        self.listeners.append((name, sock))


def nobody_waits(watcher: SocketClient, name: str) -> bool:
    return b'"waiters":[]' in watcher.says(f"explain {name}").hears_a_line().split(b'"shared"')[0]


def test_who_vanishes_is_found_within_the_bound(glockd: Spawner, far_host: FarHost) -> None:
    """The idle holder, the idle waiter, and the one whose reply is never acknowledged; on TCP and websocket."""
    folder = glockd.folder / "reachable"
    folder.mkdir()
    daemon = ReachableGlockd(folder, "-dead-peer-seconds", str(BOUND), "-verbose", listen=("tcp", "ws"))
    glockd.processes.append(daemon)
    watcher, keeper = daemon.client("tcp"), daemon.client("tcp")
    watcher.says("bound").hears_bytes(f"{BOUND} Dead Peer Seconds\n")

    def far_client(transport: str) -> SocketClient:
        sock = far_host.connect(daemon.tcp if transport == "tcp" else daemon.ws)
        daemon.sockets.append(sock)
        return StreamClient(sock, "", "tcp") if transport == "tcp" else WebSocketClient(sock, "").opens()

    far = []
    for kind in ("tcp", "websocket"):
        holder, waiter, deaf = (far_client(kind) for _ in range(3))
        far += [holder, waiter, deaf]
        holder.says(f"g held-{kind}").hears(f"1 Lock Get Success: held-{kind}")
        for name in (f"busy-{kind}", f"reply-{kind}"):
            keeper.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
        for client, name in ((waiter, f"busy-{kind}"), (deaf, f"reply-{kind}")):
            client.says(f"wait 600 {name}")
            wait_until(lambda name=name: not nobody_waits(watcher, name))
    far_host.vanishes()
    start = time.monotonic()
    for kind in ("tcp", "websocket"):
        # Granted to somebody who is gone: the reply is never acknowledged.
        keeper.says(f"r reply-{kind}").hears(f"1 Lock Release Success: reply-{kind}")
    took: dict[str, float] = {}

    def all_are_found() -> bool:
        for kind in ("tcp", "websocket"):
            for name in (f"held-{kind}", f"reply-{kind}"):
                if name not in took and watcher.says(f"i {name}").hears_a_line().startswith(b"0"):
                    took[name] = time.monotonic() - start
            if f"busy-{kind}" not in took and nobody_waits(watcher, f"busy-{kind}"):
                took[f"busy-{kind}"] = time.monotonic() - start
        return len(took) == 6

    wait_until(all_are_found, about=lambda: took)
    assert max(took.values()) <= BOUND + 0.5, took  # the half is for a busy machine
    assert min(took.values()) > 1, took
    for line in [line for line in daemon.stderr.splitlines() if "disconnected" in line]:
        assert "dead peer" in line, line


def test_a_websocket_that_answers_no_ping_is_found(glockd: Spawner) -> None:
    """As behind a proxy that lives: TCP is well, and nobody is there."""
    daemon = glockd("-dead-peer-seconds", str(BOUND), "-verbose")
    dead, alive, stream = daemon.web().opens(), daemon.web().opens(), daemon.client("tcp")
    heir = daemon.client("tcp")
    for client, name in ((dead, "dead"), (alive, "alive"), (stream, "stream")):
        client.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    start = time.monotonic()
    heir.says("wait 600 dead")
    pings = 0
    alive.sock.settimeout(0.1)
    heir.sock.settimeout(0.1)
    while not heir.buffer:
        try:
            alive.hears_frame(alive.PING, b"").sends_frame(alive.PONG)
            pings += 1
        except AssertionError:
            assert not alive.buffer
        try:
            heir.read_more()
        except AssertionError:
            assert time.monotonic() - start < 2 * BOUND, "the dead one was not found"
    assert 1 < time.monotonic() - start <= BOUND + 0.5
    assert pings >= 1
    daemon.logs("disconnected", dead.address, "dead peer")
    # Who answers pings may be silent as long as it likes, and so may a stream whose kernel answers.
    heir.sock.settimeout(20)
    heir.hears_bytes("1 Lock Get Success: dead\n")
    heir.says("i alive").hears("1 Lock Is Locked: alive")
    heir.says("i stream").hears("1 Lock Is Locked: stream")


def test_pings_can_be_switched_off(glockd: Spawner) -> None:
    daemon = glockd("-dead-peer-seconds", str(BOUND), "-ws-ping=false", "-idle-seconds", str(BOUND + 1))
    silent, idle = daemon.web().opens(), daemon.client("unix")
    silent.says("g job").hears("1 Lock Get Success: job")
    # When the idle one is hung up on, the time of the silent one would have been over.
    idle.hears_bytes("0 Idle Too Long\n")
    silent.says("i job").hears("1 Lock Is Locked: job")


@pytest.mark.transports("tcp", "unix", "websocket")
def test_who_is_not_read_from_is_noticed_when_it_leaves(glockd: Spawner, transport: str) -> None:
    """A waiter that has sent more than is kept is not read from, so the end of its input is not seen either."""
    daemon = glockd()
    keeper, other = daemon.client("tcp"), daemon.client("tcp")
    keeper.says("g job").hears("1 Lock Get Success: job")
    waiter = daemon.client(transport)
    waiter.says("wait 600 job")
    wait_until(lambda: not nobody_waits(keeper, "job"))
    if isinstance(waiter, WebSocketClient):
        waiter.sends(b"".join(waiter.frame(waiter.TEXT, "ping " + "x" * 1000) for _ in range(200)))
    else:
        waiter.sends(b"i nothing\n" * 20_000)
    other.says("ping").hears("1 pong")
    waiter.sock.close()
    wait_until(lambda: nobody_waits(keeper, "job"), patience=5)
    keeper.says("r job").hears("1 Lock Release Success: job")
    other.says("g job").hears("1 Lock Get Success: job")


def test_who_is_not_read_from_is_noticed_when_it_resets(glockd: Spawner) -> None:
    daemon = glockd()
    keeper = daemon.client("tcp")
    keeper.says("g job").hears("1 Lock Get Success: job")
    waiter = daemon.stream()
    waiter.says("g mine").hears("1 Lock Get Success: mine")
    waiter.says("wait 600 job")
    wait_until(lambda: not nobody_waits(keeper, "job"))
    waiter.sends(b"i nothing\n" * 20_000)
    keeper.says("ping").hears("1 pong")
    waiter.vanishes()
    wait_until(lambda: keeper.says("i mine").hears_a_line().startswith(b"0"), patience=5)
    assert nobody_waits(keeper, "job")


def test_accepted_connections_inherit_the_bound() -> None:
    """tcp(7) does not promise it; Linux does it, and uvloop leaves it alone."""
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 24_500),
    ]
    found: list[int] = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            sock = transport.get_extra_info("socket")
            found.extend(sock.getsockopt(level, option) for level, option, _ in options)
            transport.close()

    async def accept() -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        bound_keepalive(listener, 30)
        server = await loop.create_server(Accepted, sock=listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        assert await reader.read() == b""
        writer.close()
        server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(accept())
    assert found == [value for _, _, value in options]


@pytest.mark.transports("tcp", "unix", "websocket")
def test_who_reads_nothing_of_what_waits_for_it_is_cut(glockd: Spawner, transport: str) -> None:
    daemon = glockd("-slow-reader-seconds", "2")
    slow, watcher = daemon.client(transport), daemon.client("tcp")
    name = "n" * 4000
    slow.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    question = slow.frame(slow.TEXT, "dump") if isinstance(slow, WebSocketClient) else b"dump\n"
    slow.sock.setblocking(False)
    sent = slow.sock.send(question * 3000)
    assert sent
    wait_until(lambda: watcher.says(f"i {name}").hears_a_line().startswith(b"0"), patience=10)
    daemon.logs("refused", "output=1")
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_more_than_may_wait_for_a_client_ends_it(glockd: Spawner) -> None:
    daemon = glockd("-max-output", "65536")
    slow, watcher = daemon.web().opens(), daemon.client("tcp")
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for number in range(2000):
        watcher.says(f"g {number:04000}").hears_a_line()  # one by one: the limit is for all, the watcher too
    slow.says("g slow").hears("1 Lock Get Success: slow")
    slow.says("dump", "dump")
    wait_until(lambda: watcher.says("i slow").hears_a_line().startswith(b"0"), patience=10)
    daemon.logs("refused", "output=1")
