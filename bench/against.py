"""This tree against another server: what a command, a hand-over, a connection and a lock cost, in turn, in one run.

What is compared is the server's own processor time and memory, not its rate: on a machine that has other work to do a
rate says what was left for it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.rows import LOAD_CORE, Row, Run, get_many, memory_of_connections, middle
from glockd_tester import load
from glockd_tester.peers import connect
from glockd_tester.process import resident_bytes
from glockd_tester.server import LocalServer

LOCKS = 200_000
WITHIN = 1.01  # of what it was

Measure = Callable[[LocalServer, Run], float]


def processor_time(pid: int) -> int:
    """Nanoseconds that a process has run so far (proc(5): the first number of schedstat)."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def of_a_command(server: LocalServer, run: Run, *, connections: int, pipeline: int) -> float:
    """Nanoseconds of the server's processor for one command."""
    before = processor_time(server.pid)
    done = load.pingpong(
        server.tcp, connections=connections, pipeline=pipeline, seconds=run.seconds, core=LOAD_CORE
    )
    return float((processor_time(server.pid) - before) / done.served)


def ping_pong(server: LocalServer, run: Run) -> float:
    return of_a_command(server, run, connections=50, pipeline=1)


def pipelined(server: LocalServer, run: Run) -> float:
    return of_a_command(server, run, connections=10, pipeline=100)


def hand_over(server: LocalServer, run: Run) -> float:
    """Nanoseconds of the server's processor from a release to the next grant, and the wait behind it."""
    before = processor_time(server.pid)
    done = load.handover(server.tcp, waiters=1, rounds=1 << 30, seconds=run.seconds, core=LOAD_CORE)
    return float((processor_time(server.pid) - before) / done.served)


def memory(server: LocalServer) -> tuple[float, float]:
    """Bytes of an idle connection with one lock, and of a further lock."""
    with ExitStack() as stack:
        connection = memory_of_connections(server, stack)
        before = resident_bytes(server.pid)
        with connect(server.tcp, 20.0) as big:
            get_many(big, b"some/lock/name/", LOCKS)
            lock = (resident_bytes(server.pid) - before) / LOCKS
    return connection, lock


COSTS: dict[str, Measure] = {
    "`g`/`r` ping-pong, 50 connections: processor time a command": ping_pong,
    "100 commands a packet, 10 connections: the same": pipelined,
    "hand-over, one waiter: processor time a round": hand_over,
}


def rows(start: Callable[[], tuple[LocalServer, LocalServer]], name: str, run: Run) -> Iterator[Row]:
    """What this tree costs against another server.

    Args:
        start: gives a fresh pair of servers, this tree's and the other one; each is ended here.
        name: of the other one.
    """
    ratios: dict[str, list[float]] = {what: [] for what in COSTS}
    costs: dict[str, list[float]] = {what: [] for what in COSTS}
    # New processes every round: two that are alike differ by a percent, by where their memory happens to lie.
    for turn in range(max(run.rounds, 10)):
        mine, other = start()
        with mine, other:
            for what, measure in COSTS.items():
                pair = {
                    server: measure(server, run) for server in ((mine, other) if turn % 2 else (other, mine))
                }
                ratios[what].append(pair[mine] / pair[other])
                costs[what].append(pair[mine])
                run.say(f"{what}: {pair[mine]:,.0f} ns against {pair[other]:,.0f}: {ratios[what][-1]:.3f}")
    for what, found in ratios.items():
        ratio = statistics.median(found)
        yield Row(
            f"{what}, against {name}",
            f"≤ {WITHIN}",
            f"{middle(found)}; {statistics.median(costs[what]) / 1e3:.2f} µs",
            ratio <= WITHIN,
        )
    mine, other = start()
    with mine, other:
        new, old = memory(mine), memory(other)
    for what, after, before in zip(
        ("an idle connection with one lock", "a further lock"), new, old, strict=True
    ):
        yield Row(
            f"memory of {what}, against {name}",
            f"≤ {WITHIN}",
            f"{after / before:.3f}; {after:.0f} B against {before:.0f} B",
            after / before <= WITHIN,
        )
