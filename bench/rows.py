"""What all figures are told in: rows of one table, and how long to measure for each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from glockd_tester.peers import Peer, connect
from glockd_tester.process import allow_open_files, resident_bytes
from glockd_tester.server import LocalServer

SERVER_CORE, LOAD_CORE = 0, 1
IDLE_CONNECTIONS = 8_000


@dataclass(frozen=True)
class Row:
    """One line of the table. `passed` is None for what is only told."""

    what: str
    target: str
    measured: str
    passed: bool | None


@dataclass(frozen=True)
class Run:
    """How long and how often to measure."""

    seconds: float
    rounds: int
    say: Callable[[str], None]


def middle(values: Sequence[float]) -> str:
    """The median with the range it comes from."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def memory_of_connections(server: LocalServer, stack: ExitStack) -> float:
    """Bytes of an idle connection that holds one lock; the connections stay until `stack` is unwound."""
    allow_open_files(IDLE_CONNECTIONS + 1000)

    def holder(number: int) -> None:
        peer = stack.enter_context(connect(server.tcp, 20.0))
        peer.ask(b"g connection-%d" % number)

    for number in range(500):  # let the allocator take its first steps
        holder(-1 - number)
    before = resident_bytes(server.pid)
    for number in range(IDLE_CONNECTIONS):
        holder(number)
    return float(resident_bytes(server.pid) - before) / IDLE_CONNECTIONS


def get_many(peer: Peer, name: bytes, count: int) -> None:
    """Hold `count` locks called `name`0, `name`1, …, asked for in packets of 200."""
    for base in range(0, count, 200):
        size = min(200, count - base)
        peer.send(b"".join(b"g %b%d\n" % (name, number) for number in range(base, base + size)))
        for _ in range(size):
            if not (peer.receive_line(20.0) or b"").startswith(b"1 "):
                raise SystemExit("a lock that nobody holds is refused")


def table(rows: Sequence[Row]) -> str:
    lines = ["| what | target | measured | |", "|---|---|---|---|"]
    verdict = {True: "pass", False: "**fail**", None: ""}
    lines += [f"| {row.what} | {row.target} | {row.measured} | {verdict[row.passed]} |" for row in rows]
    return "\n".join(lines)
