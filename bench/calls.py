"""What a gRPC call costs the server: the engine alone, beside a bare uvloop echo."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.rows import LOAD_CORE, SERVER_CORE, Row, Run, middle
from glockd_tester import load
from glockd_tester.addresses import Address
from glockd_tester.peers import connect
from glockd_tester.process import cpu_seconds, find_server, resident_bytes

HERE = Path(__file__).resolve().parent
UVLOOP_ECHO = [sys.executable, str(HERE / "uvloop_echo.py")]
GRPC_ECHO = [sys.executable, str(HERE / "grpc_echo.py")]
CONNECTIONS = 2000
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))

# What is measured: in words, connections, calls at a time on each, whether each call has a deadline, the target in µs.
KINDS = (
    ("one connection, 8 calls at a time", 1, 8, False, 20.0),
    ("50 connections, one call at a time on each", 50, 1, False, None),
    ("one connection, 8 calls at a time, each with another deadline", 1, 8, True, None),
)


def spent(address: Address, work: Callable[[], load.Load]) -> float:
    """Microseconds of the server's processor for each that was served."""
    pid = find_server(address)
    assert pid is not None
    before = cpu_seconds(pid)
    served = work().served
    return float((cpu_seconds(pid) - before) / served * 1e6)


def calls(run: Run) -> Iterator[Row]:
    """CPU of the server for each call, in turn with a bare echo."""
    with load.running(UVLOOP_ECHO, SERVER_CORE) as echo, load.running(GRPC_ECHO, SERVER_CORE) as server:
        for what, connections, at_once, deadlines, target in KINDS:

            def echoes(connections: int = connections, at_once: int = at_once) -> load.Load:
                return load.pingpong(
                    echo, connections=connections, pipeline=at_once, seconds=run.seconds, core=LOAD_CORE
                )

            def makes(
                connections: int = connections, at_once: int = at_once, deadlines: bool = deadlines
            ) -> load.Load:
                return load.calls(
                    server,
                    "/test.Echo/Echo",
                    connections=connections,
                    at_once=at_once,
                    deadlines=deadlines,
                    seconds=run.seconds,
                    core=LOAD_CORE,
                )

            bare, costs = [], []
            for _ in range(run.rounds):
                bare.append(spent(echo, echoes))
                costs.append(spent(server, makes))
                run.say(f"{what}: echo {bare[-1]:.1f} µs, call {costs[-1]:.1f} µs")
            yield Row(
                f"gRPC engine alone, CPU a call: {what}",
                f"≤ {target:g} µs" if target else "",
                f"{middle(costs)} µs; bare uvloop echo {statistics.median(bare):.2f} µs",
                statistics.median(costs) <= target if target else None,
            )
        yield memory(server, run)


def memory(server: Address, run: Run) -> Row:
    """Bytes for each connection that has begun and calls nothing."""
    pid = find_server(server)
    assert pid is not None
    peers = []
    before = resident_bytes(pid)
    for _ in range(CONNECTIONS):
        peers.append(connect(server, 20.0))
        peers[-1].send(PREFACE)
        peers[-1].receive(20.0)
    each = (resident_bytes(pid) - before) / CONNECTIONS
    for peer in peers:
        peer.close()
    run.say(f"{each:.0f} bytes a connection")
    return Row("gRPC engine alone, memory per idle connection", "≤ 8 KB", f"{each:.0f} B", each <= 8192)
