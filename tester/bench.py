"""The benchmarks: what is measured, and what of it is reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from . import load, process, pyload
from .addresses import Address
from .errors import CannotTest
from .latency import Histogram
from .peers import Peer, connect
from .process import allow_open_files
from .replay import answers_pipelined, knows_new_verbs


class Unsupported(CannotTest):
    """The server lacks what the benchmark needs; the text says what."""


@dataclass(frozen=True)
class Settings:
    """How hard and how long; None and 0 leave the choice to the benchmark."""

    connections: int = 0
    pipeline: int = 0
    seconds: float = 3.0
    core: int | None = None  # the processor for the load
    pid: int | None = None  # the server's process, where it is known
    echo: bool = False  # the server only echoes lines
    hold: float = 0.0  # seconds for which each holder keeps the lock in `handover`


@dataclass
class Outcome:
    """One benchmark on one server."""

    name: str
    server: str
    figures: dict[str, float] = field(default_factory=dict)
    histogram: Histogram = field(default_factory=Histogram)
    note: str = ""  # what a reader of the figures must know

    def as_json(self) -> dict[str, Any]:
        return {"benchmark": self.name, "server": self.server, "note": self.note, **self.figures}


def _loaded(
    address: Address,
    settings: Settings,
    run: Callable[[], load.Load],
    instead: Callable[[], load.Load],
    unit: str,
) -> Outcome:
    """Run a load, or the other one without a C compiler, and add what the server's process used meanwhile."""
    pid = settings.pid or process.find_server(address)
    before = process.cpu_seconds(pid) if pid else 0.0
    note = ""
    try:
        result = run()
    except load.NoCompiler:
        result, note = instead(), pyload.WHY
    outcome = Outcome("", str(address), {f"{unit}_per_second": round(result.rate, 1)}, result.histogram, note)
    if pid and result.served:
        used = process.cpu_seconds(pid) - before
        outcome.figures[f"server_cpu_us_per_{unit.removesuffix('s')}"] = round(used / result.served * 1e6, 3)
    if result.refused:
        outcome.figures["refused"] = result.refused
    outcome.figures.update(result.histogram.summary())
    return outcome


def _pingpong(address: Address, settings: Settings, connections: int, pipeline: int) -> Outcome:
    n, p = settings.connections or connections, settings.pipeline or pipeline

    def in_c() -> load.Load:
        return load.pingpong(address, connections=n, pipeline=p, seconds=settings.seconds, core=settings.core)

    def in_python() -> load.Load:
        return pyload.pingpong(address, connections=n, pipeline=p, seconds=settings.seconds)

    return _loaded(address, settings, in_c, in_python, "commands")


def pingpong(address: Address, settings: Settings) -> Outcome:
    """Get and release in turn, one command a packet, 50 connections; the latency is one round trip."""
    return _pingpong(address, settings, 50, 1)


def websocket(address: Address, settings: Settings) -> Outcome:
    """The same over websocket."""
    if address.transport != "ws":
        raise Unsupported("the websocket benchmark wants a ws:// address")
    return _pingpong(address, settings, 50, 1)


def pipelined(address: Address, settings: Settings) -> Outcome:
    """100 commands a packet, 10 connections; the latency is one packet's."""
    with connect(address) as peer:
        if not answers_pipelined(peer):
            raise Unsupported("this server answers only the first of several commands in one packet")
    return _pingpong(address, settings, 10, 100)


def handover(address: Address, settings: Settings) -> Outcome:
    """One lock, a queue of 10 waiters: the time from a release to the next grant."""
    if address.transport == "ws":
        raise Unsupported("the hand-over is measured on tcp or unix")
    with connect(address) as peer:
        if not knows_new_verbs(peer):
            raise Unsupported("this server has no `wait`: nobody can queue for a lock")
    waiters, seconds, echo = settings.connections or 10, settings.seconds, settings.echo

    def in_c() -> load.Load:
        return load.handover(
            address,
            waiters=waiters,
            rounds=100_000_000,
            seconds=seconds,
            hold=settings.hold,
            echo=echo,
            core=settings.core,
        )

    def in_python() -> load.Load:
        return pyload.handover(address, waiters=waiters, seconds=seconds, hold=settings.hold, echo=echo)

    return _loaded(address, settings, in_c, in_python, "rounds")


def idle(address: Address, settings: Settings) -> Outcome:
    """2,000 connections that hold a lock each and do nothing: memory, and what an active client then sees."""
    count = settings.connections or 2000
    try:
        allow_open_files(count + 100)
    except ValueError as problem:
        raise Unsupported(f"{count} connections: {problem}") from problem
    pid = settings.pid or process.find_server(address)
    before = process.resident_bytes(pid) if pid else 0
    peers: list[Peer] = []
    start = time.monotonic()
    try:
        for number in range(count):
            peers.append(connect(address))
            peers[-1].ask(b"g idle-%d-%d" % (id(peers), number))
        opened = time.monotonic() - start
        outcome = Outcome("", str(address), {"connections_per_second": round(count / opened, 1)})
        if pid:
            grown = process.resident_bytes(pid) - before
            outcome.figures["server_bytes_per_connection"] = round(grown / count)
            busy = process.cpu_seconds(pid)
            time.sleep(min(1.0, settings.seconds))
            outcome.figures["idle_server_cpu_percent"] = round(
                (process.cpu_seconds(pid) - busy) / min(1.0, settings.seconds) * 100, 2
            )
        active = _pingpong(address, replace(settings, connections=1), 1, 1)
        outcome.figures.update(active.figures)
        outcome.histogram, outcome.note = active.histogram, active.note
        return outcome
    finally:
        for peer in peers:
            peer.close(abort=True)


BENCHMARKS: dict[str, Callable[[Address, Settings], Outcome]] = {
    "pingpong": pingpong,
    "pipelined": pipelined,
    "handover": handover,
    "websocket": websocket,
    "idle": idle,
}


def run(name: str, address: Address, settings: Settings) -> Outcome:
    """The benchmark of that name on the server at `address`.

    Raises:
        Unsupported: the server (or this machine) lacks something that it needs.
        OSError, Ended: the server cannot be reached or hangs up.
        load.NoCompiler, load.LoadFailed
    """
    if settings.pid and not process.exists(settings.pid):
        raise Unsupported(f"there is no process {settings.pid}")
    outcome = BENCHMARKS[name](address, settings)
    outcome.name = name
    if settings.echo:
        outcome.server = "bare echo"
    return outcome
