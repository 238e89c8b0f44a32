"""What work lists cost beside locks."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from bench.rows import LOAD_CORE, SERVER_CORE, Row, Run, middle
from glockd_tester import load
from glockd_tester.addresses import Address
from glockd_tester.peers import connect
from glockd_tester.server import LocalServer

CONNECTIONS = 50
ITEMS = 1_500  # a list, one for each connection: more than it can be done with in one measurement


def fill(address: Address) -> None:
    """Put the items in that load.c takes."""
    with connect(address, 30.0) as peer:
        for number in range(CONNECTIONS):
            peer.send(b"".join(b"put work-%d %d\n" % (number, item) for item in range(ITEMS)))
            for _ in range(ITEMS):
                peer.receive_line(30.0)


def work(run: Run) -> Iterator[Row]:
    """`take` and `done` against `g` and `r` of the same daemon."""
    ratios = []
    for _ in range(run.rounds):
        with LocalServer(core=SERVER_CORE) as server:
            fill(server.tcp)
            seconds = min(run.seconds, 1.0)
            locks = load.pingpong(server.tcp, connections=CONNECTIONS, seconds=seconds, core=LOAD_CORE)
            items = load.pingpong(
                server.tcp, connections=CONNECTIONS, seconds=seconds, core=LOAD_CORE, work=True
            )
            if items.refused:
                raise load.LoadFailed(f"{items.refused} commands were refused: the lists were empty")
            ratios.append(items.rate / locks.rate)
            run.say(f"g/r {locks.rate:,.0f}/s, take/done {items.rate:,.0f}/s: {ratios[-1]:.3f}")
    yield Row(
        "`take` and `done`, 50 connections, against `g` and `r`",
        "≥ 0.60",
        middle(ratios),
        statistics.median(ratios) >= 0.60,
    )
