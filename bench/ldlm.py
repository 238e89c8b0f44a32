"""What LDLM's clients cost the server, by gRPC and REST, and how soon a lock is handed over."""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import against
from bench.calls import GRPC_ECHO
from bench.rows import LOAD_CORE, SERVER_CORE, Row, Run, middle
from glockd_tester import load
from glockd_tester.addresses import Address
from glockd_tester.cases.daemon import Daemon
from glockd_tester.ldlm_peers import GrpcPeer, RestPeer, key, text
from glockd_tester.process import cpu_seconds, resident_bytes
from glockd_tester.server import GLOCKD, LocalServer

PINNED = ("taskset", "-c", str(SERVER_CORE), *GLOCKD)
CONNECTIONS, LOCKS, HAND_OVERS = 1000, 100_000, 1000
PAUSE = 0.0005  # seconds until a waiter stands in line; before each echo too, since processors fall asleep meanwhile


@contextmanager
def served() -> Iterator[Daemon]:
    with (
        tempfile.TemporaryDirectory() as name,
        Daemon((), ("-ldlm", "-ldlm-rest"), Path(name), command=PINNED) as daemon,
    ):
        yield daemon


class RestLoad:
    """One kept-alive connection with a session of its own."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.cookie = RestPeer(address).cookie
        self.socket = socket.create_connection(address, 20.0)

    def send(self, path: str, body: bytes) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        self.socket.sendall(f"{head}Cookie: ldlm-session={self.cookie}\r\n\r\n".encode() + body)

    def receive(self) -> bytes:
        """An answer, which comes in one piece, as all of this size do."""
        return self.socket.recv(65536)


def grpc_pairs(address: tuple[str, int], connections: int, at_once: int, seconds: float) -> int:
    """Take and give back locks for so long; how many times."""
    peers = [GrpcPeer(address) for _ in range(connections)]
    names = [[text(1, b"%d-%d" % (one, slot)) for slot in range(at_once)] for one in range(connections)]
    pairs, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for peer, mine in zip(peers, names, strict=True):
            for name in mine:
                peer.send(b"TryLock", name)
        keys = [[key(peer.receive()) for _ in range(at_once)] for peer in peers]
        for peer, mine, theirs in zip(peers, names, keys, strict=True):
            for name, one in zip(mine, theirs, strict=True):
                peer.send(b"Unlock", name, text(2, one))
        for peer in peers:
            for _ in range(at_once):
                if not peer.receive().startswith(b"\x08\x01"):
                    raise load.LoadFailed("a lock was not given back")
                pairs += 1
    for peer in peers:
        peer.close()
    return pairs


def rest_pairs(address: tuple[str, int], connections: int, seconds: float) -> int:
    """The same by REST."""
    peers = [RestLoad(address) for _ in range(connections)]
    pairs, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for number, peer in enumerate(peers):
            peer.send("/v1/lock", b'{"name":"%d"}' % number)
        keys = [peer.receive().partition(b'"key":"')[2][:36] for peer in peers]
        for number, (peer, one) in enumerate(zip(peers, keys, strict=True)):
            peer.send("/v1/unlock", b'{"name":"%d","key":"%b"}' % (number, one))
        for peer in peers:
            if b'"unlocked":true' not in peer.receive():
                raise load.LoadFailed("a lock was not given back")
            pairs += 1
    for peer in peers:
        peer.socket.close()
    return pairs


def ldlm(run: Run) -> Iterator[Row]:
    """CPU of the server for each lock and unlock, hand-over, memory, and the line door beside it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        yield from costs(run)
        yield hand_over(run)
        yield from memory(run)
    finally:
        os.sched_setaffinity(0, before)
    yield beside(run)


def costs(run: Run) -> Iterator[Row]:
    with served() as daemon:
        grpc, rest = daemon.address("-ldlm"), daemon.address("-ldlm-rest")
        kinds: tuple[tuple[str, float, Callable[[], int]], ...] = (
            ("gRPC, 8 calls on one connection", 60, lambda: grpc_pairs(grpc, 1, 8, run.seconds)),
            ("gRPC, 50 connections", 90, lambda: grpc_pairs(grpc, 50, 1, run.seconds)),
            ("REST, 8 connections", 110, lambda: rest_pairs(rest, 8, run.seconds)),
        )
        for what, target, work in kinds:
            found = []
            for _ in range(run.rounds):
                used = cpu_seconds(daemon.pid)
                pairs = work()
                found.append((cpu_seconds(daemon.pid) - used) / pairs * 1e6)
                run.say(f"{what}: {found[-1]:.1f} µs a pair")
            passed = statistics.median(found) <= target
            yield Row(
                f"LDLM, {what}: CPU a lock and unlock", f"≤ {target:g} µs", f"{middle(found)} µs", passed
            )


def hand_over(run: Run) -> Row:
    """From an Unlock to the answer of the Lock that waits, against an echo over the same engine."""
    ratios = []
    with load.running(GRPC_ECHO, SERVER_CORE) as echo, served() as daemon:
        for _ in range(run.rounds):
            ratios.append(handed_over(daemon.address("-ldlm")) / echoed(echo))
            run.say(f"hand-over {ratios[-1]:.2f} echoes")
    return Row(
        "LDLM, gRPC: Unlock to the waiting Lock's answer, p50, against an echo over the same engine",
        "≤ 1.5",
        middle(ratios),
        statistics.median(ratios) <= 1.5,
    )


def echoed(address: Address) -> float:
    """Seconds of an echo, p50."""
    peer, times = GrpcPeer((address.host, address.port), b"/test.Echo/"), []
    for _ in range(HAND_OVERS):
        time.sleep(PAUSE)
        start = time.perf_counter()
        peer.send(b"Echo", text(1, b"x" * 40))
        peer.receive()
        times.append(time.perf_counter() - start)
    peer.close()
    return statistics.median(times)


def handed_over(address: tuple[str, int]) -> float:
    """Seconds of a hand-over, p50."""
    one, other, times = GrpcPeer(address), GrpcPeer(address), []
    name = text(1, b"handed over")
    held = one.take(b"TryLock", b"handed over")
    for _ in range(HAND_OVERS):
        other.send(b"Lock", name)
        time.sleep(PAUSE)
        start = time.perf_counter()
        one.send(b"Unlock", name, text(2, held))
        held = key(other.receive())
        times.append(time.perf_counter() - start)
        one.receive()
        one, other = other, one
    for peer in (one, other):
        peer.close()
    return statistics.median(times)


def memory(run: Run) -> Iterator[Row]:
    with served() as daemon, ExitStack() as stack:
        first = GrpcPeer(daemon.address("-ldlm"))
        first.take(b"TryLock", b"first")
        before = resident_bytes(daemon.pid)
        for number in range(CONNECTIONS):
            peer = GrpcPeer(daemon.address("-ldlm"))
            stack.callback(peer.close)
            peer.take(b"TryLock", b"own-%d" % number)
        connected = resident_bytes(daemon.pid)
        for number in range(LOCKS):
            first.send(b"TryLock", text(1, b"lock-%d" % number))
            first.receive()
        locked = resident_bytes(daemon.pid)
    each, further = (connected - before) / CONNECTIONS, (locked - connected) / LOCKS
    run.say(f"{each:.0f} bytes a connection, {further:.0f} a lock")
    yield Row("LDLM, memory per gRPC connection with one lock", "≤ 8 KB", f"{each:.0f} B", each <= 8192)
    yield Row("LDLM, memory per further lock", "≤ 400 B", f"{further:.0f} B", further <= 400)


def beside(run: Run) -> Row:
    """What a `g` or `r` costs with the door built and idle, against a daemon without: processor time, not rates.

    Each round has servers of its own: two that are alike differ by a percent, by where their memory happens to lie.
    """
    ratios = []
    door = ("-ldlm", "127.0.0.1:0", "-ldlm-rest", "127.0.0.1:0")
    for turn in range(max(run.rounds, 10)):
        with LocalServer(core=SERVER_CORE) as without, LocalServer(door, core=SERVER_CORE) as built:
            order = (built, without) if turn % 2 else (without, built)
            costs = {server: against.ping_pong(server, run) for server in order}
        ratios.append(costs[built] / costs[without])
        run.say(f"line door beside LDLM's: {ratios[-1]:.3f}")
    passed = statistics.median(ratios) <= 1.01
    return Row("`g`/`r` with LDLM's door built and idle, against none", "≤ 1.01", middle(ratios), passed)
