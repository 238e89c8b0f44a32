"""The project's figures, measured in one run on one machine and printed as a Markdown table.

    python bench/figures.py [--rounds N] [--seconds S] [--only WORD] [--against GIT_REV]

The server runs on one processor, the load on another. What is compared is run in turn, several times, and the
median of the ratios counts, because the machine may have other work. Needs a C compiler and two processors.
"""

from __future__ import annotations

import functools
import os
import platform
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click
from rich.console import Console

from glockd_tester import load
from glockd_tester.addresses import Address
from glockd_tester.peers import Peer, connect
from glockd_tester.process import resident_bytes
from glockd_tester.replay import ask_counters
from glockd_tester.server import GLOCKD, LocalServer, NotStarted

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import against
from bench.calls import calls
from bench.dispatch import dispatch
from bench.ldlm import ldlm
from bench.rows import (
    IDLE_CONNECTIONS,
    LOAD_CORE,
    SERVER_CORE,
    Row,
    Run,
    get_many,
    memory_of_connections,
    middle,
    table,
)
from bench.windows import windows
from bench.work import work

REPOSITORY = Path(__file__).resolve().parent.parent
UVLOOP_ECHO = [sys.executable, str(REPOSITORY / "bench" / "uvloop_echo.py")]
REFERENCE_PACKETS = 150_000  # a second, by the bare uvloop echo of the machine that figures are scaled to
BIG_SESSION = 500_000  # locks of the one session that hangs up


def pingpong_rate(address: Address, run: Run) -> float:
    return float(load.pingpong(address, connections=50, seconds=run.seconds, core=LOAD_CORE).rate)


def pipelined_rate(address: Address, run: Run) -> float:
    return float(
        load.pingpong(address, connections=10, pipeline=100, seconds=run.seconds, core=LOAD_CORE).rate
    )


def pingpong(run: Run) -> Iterator[Row]:
    """`g`/`r` ping-pong against the bare echo."""
    ratios, rates = [], []
    with load.echo_server(SERVER_CORE) as echo, LocalServer(core=SERVER_CORE) as server:
        for _ in range(run.rounds):
            rates.append((pingpong_rate(echo, run), pingpong_rate(server.tcp, run)))
            ratios.append(rates[-1][1] / rates[-1][0])
            run.say(f"echo {rates[-1][0]:,.0f}/s, glockd {rates[-1][1]:,.0f}/s: {ratios[-1]:.3f}")
    best_echo, best = (statistics.median(pair[i] for pair in rates) for i in (0, 1))
    yield Row(
        "`g`/`r` ping-pong, 50 connections, against a bare C epoll echo",
        "≥ 0.70",
        f"{middle(ratios)}; {best:,.0f}/s against {best_echo:,.0f}/s",
        statistics.median(ratios) >= 0.70,
    )


def pipelined(run: Run) -> Iterator[Row]:
    """100 commands a packet, scaled to the reference machine by a bare uvloop echo."""
    scaled, rates = [], []
    with load.running(UVLOOP_ECHO, SERVER_CORE) as echo, LocalServer(core=SERVER_CORE) as server:
        for _ in range(run.rounds):
            packets = pingpong_rate(echo, run)
            rates.append(pipelined_rate(server.tcp, run))
            scaled.append(rates[-1] * REFERENCE_PACKETS / packets / 1e6)
            run.say(f"uvloop echo {packets:,.0f}/s, glockd {rates[-1]:,.0f}/s: scaled {scaled[-1]:.2f} M/s")
    yield Row(
        "100 commands a packet, 10 connections, where a bare uvloop echo does 150k packets/s",
        "≥ 0.7 M/s",
        f"{middle(scaled)} M/s; {statistics.median(rates) / 1e6:.2f} M/s as measured",
        statistics.median(scaled) >= 0.7,
    )


def websocket(run: Run) -> Iterator[Row]:
    """Websocket ping-pong against the same on TCP."""
    ratios = []
    with LocalServer(core=SERVER_CORE) as server:
        for _ in range(run.rounds):
            tcp, ws = pingpong_rate(server.tcp, run), pingpong_rate(server.ws, run)
            ratios.append(ws / tcp)
            run.say(f"tcp {tcp:,.0f}/s, websocket {ws:,.0f}/s: {ratios[-1]:.3f}")
    yield Row(
        "websocket ping-pong, 50 connections, against the same on TCP",
        "≥ 0.45",
        middle(ratios),
        statistics.median(ratios) >= 0.45,
    )


def memory_and_stall(run: Run) -> Iterator[Row]:
    """Bytes per idle connection and per lock; what others see while a session with 500,000 locks hangs up."""
    with ExitStack() as stack:
        server = stack.enter_context(LocalServer(core=SERVER_CORE))
        connection = memory_of_connections(server, stack)
        run.say(f"{connection:.0f} bytes a connection")
        stalls: list[float] = []
        quiet: list[float] = []
        freed: list[float] = []
        per_lock = 0.0
        for _ in range(max(run.rounds, 3)):
            big = connect(server.tcp, 20.0)
            before = resident_bytes(server.pid)
            get_many(big, b"some/lock/name/", BIG_SESSION)
            per_lock = per_lock or (resident_bytes(server.pid) - before) / BIG_SESSION
            quiet.append(stall_during(server, lambda: time.sleep(0.5)))
            stalls.append(stall_during(server, functools.partial(hang_up, big, server, freed)))
            run.say(f"stall {stalls[-1]:.1f} ms (quiet: {quiet[-1]:.1f}), all freed in {freed[-1]:.2f} s")
    yield Row(
        "memory per idle connection that holds one lock",
        "≤ 2.0 KB",
        f"{connection:.0f} B",
        connection <= 2048,
    )
    yield Row("memory per further lock", "≤ 300 B", f"{per_lock:.0f} B", per_lock <= 300)
    stall = statistics.median(stalls)
    yield Row(
        "longest stall others see while a session with 500,000 locks hangs up",
        "≤ 20 ms",
        f"{stall:.1f} ms ({min(stalls):.1f} to {max(stalls):.1f}; in quiet {statistics.median(quiet):.1f})",
        stall <= 20,
    )
    yield Row("… time until they are all free", "", f"{statistics.median(freed):.2f} s", None)


def stall_during(server: LocalServer, happening: Callable[[], None]) -> float:
    """The longest round trip, in milliseconds, that another client sees while `happening` runs."""
    longest: list[float] = []

    def watch() -> None:
        watched = load.pingpong(server.tcp, connections=1, seconds=2.5, core=LOAD_CORE)
        longest.append(watched.histogram.longest / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    time.sleep(0.6)  # the load generator's warm-up
    happening()
    thread.join()
    return longest[0]


def hang_up(big: Peer, server: LocalServer, freed: list[float]) -> None:
    """Close the big session and note the seconds until its last lock is free."""
    start = time.monotonic()
    big.close()
    with connect(server.tcp, 20.0) as probe:
        while ask_counters(probe)["locks"] > IDLE_CONNECTIONS + 510:  # those of the others
            if time.monotonic() - start > 20:
                raise SystemExit("the locks of a closed session are not freed")
            time.sleep(0.002)
    freed.append(time.monotonic() - start)


def first_answer(run: Run) -> Iterator[Row]:
    """From exec to the first reply on the port."""
    times = []
    program = Path(sys.executable).with_name("glockd")
    for _ in range(max(run.rounds, 5)):
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = Address("tcp", "127.0.0.1", port)
        start = time.monotonic()
        command = ["taskset", "-c", str(SERVER_CORE), str(program), "-port", str(port), "-ws", "0"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while time.monotonic() - start < 10:
                try:
                    with connect(address, 1.0) as peer:
                        peer.ask(b"i first")
                    break
                except OSError:
                    time.sleep(0.0005)
            times.append(time.monotonic() - start)
        finally:
            server.kill()
            server.wait()
    run.say(f"first answer after {middle(times)} s")
    yield Row(
        "time from `exec` to answering on the port",
        "≤ 0.4 s",
        f"{middle(times)} s",
        statistics.median(times) <= 0.4,
    )


def handover(run: Run) -> Iterator[Row]:
    """Release to the waiter's grant, against a round trip to the bare echo.

    With a hold of 1 ms, as a holder has that does some work, and back to back, where no processor sleeps.
    """
    with load.echo_server(SERVER_CORE) as echo, LocalServer(core=SERVER_CORE) as server:
        for hold, what in ((0.001, "each holding for 1 ms"), (0.0, "back to back")):
            ratios, times = [], []
            for _ in range(run.rounds):
                pair = [handover_p50(address, hold, address is echo, run) for address in (echo, server.tcp)]
                times.append(pair)
                ratios.append(pair[1] / pair[0])
                run.say(f"{what}: echo {pair[0]:.1f} µs, grant {pair[1]:.1f} µs: {ratios[-1]:.2f}")
            echo_p50, p50 = (statistics.median(pair[i] for pair in times) for i in (0, 1))
            yield Row(
                f"hand-over: A's release to the grant at the waiting B, p50, against a bare echo, {what}",
                "≤ 1.3",
                f"{middle(ratios)}; {p50:.1f} µs against {echo_p50:.1f} µs",
                statistics.median(ratios) <= 1.3,
            )


def handover_p50(address: Address, hold: float, echo: bool, run: Run) -> float:
    """Microseconds."""
    measured = load.handover(
        address, waiters=1, rounds=10_000_000, seconds=run.seconds, hold=hold, echo=echo, core=LOAD_CORE
    )
    return float(measured.histogram.percentile(50)) / 1e3


def many_waiters(run: Run) -> Iterator[Row]:
    """Release to next grant with 10,000 in the queue against 10."""
    ratios, p50s = [], []
    with LocalServer(core=SERVER_CORE) as server:
        for _ in range(run.rounds):
            few, many = (
                load.handover(
                    server.tcp, waiters=waiters, rounds=20_000, seconds=30 * run.seconds, core=LOAD_CORE
                ).histogram
                for waiters in (10, 10_000)
            )
            ratios.append(many.percentile(99) / few.percentile(99))
            p50s.append(many.percentile(50) / few.percentile(50))
            run.say(
                f"p99 with 10: {few.percentile(99) / 1e3:.1f} µs, with 10,000: "
                f"{many.percentile(99) / 1e3:.1f} µs: {ratios[-1]:.2f} (p50 {p50s[-1]:.2f})"
            )
    yield Row(
        "10,000 waiters on one lock: each release to the next grant, p99 against that of 10 waiters",
        "≤ 2",
        f"{middle(ratios)}; p50 {middle(p50s)}",
        statistics.median(ratios) <= 2,
    )


def history(run: Run) -> Iterator[Row]:
    """Throughput with `-history 4096` against without.

    Each round has servers of its own: two that are alike differ by a percent, by where their memory happens to lie.
    """
    kinds = (("ping-pong", pingpong_rate, 0.97), ("100 commands a packet", pipelined_rate, None))
    ratios: dict[str, list[float]] = {what: [] for what, _, _ in kinds}
    for _ in range(run.rounds):
        with LocalServer(core=SERVER_CORE) as off, LocalServer(["-history", "4096"], core=SERVER_CORE) as on:
            for what, measure, _ in kinds:
                ratios[what] += compared(measure, on, off, run, turns=2)
    for what, _, target in kinds:
        kept = statistics.median(ratios[what])
        yield Row(
            f"history of 4,096 events on: throughput lost, {what}",
            "< 3 %" if target else "",
            f"{(1 - kept) * 100:.1f} % ({len(ratios[what])} pairs)",
            None if target is None else kept > target,
        )


def compared(
    measure: Callable[[Address, Run], float], one: LocalServer, two: LocalServer, run: Run, turns: int
) -> list[float]:
    """Ratios of rates, the two servers taking turns and swapping who is first."""
    ratios = []
    for turn in range(turns):
        pair = {server: measure(server.tcp, run) for server in ((one, two) if turn % 2 else (two, one))}
        ratios.append(pair[one] / pair[two])
        run.say(f"{pair[one]:,.0f}/s against {pair[two]:,.0f}/s: {ratios[-1]:.3f}")
    return ratios


FIGURES: dict[str, Callable[[Run], Iterator[Row]]] = {
    "pingpong": pingpong,
    "pipelined": pipelined,
    "websocket": websocket,
    "memory": memory_and_stall,
    "start": first_answer,
    "handover": handover,
    "waiters": many_waiters,
    "history": history,
    "work": work,
    "calls": calls,
    "dispatch": dispatch,
    "ldlm": ldlm,
    "windows": windows,
}


@contextmanager
def other_tree(revision: str | None, command: str | None) -> Iterator[Callable[[], LocalServer]]:
    """Starts the server to compare with: the tree of a git revision, or any command."""
    if command:
        yield lambda: LocalServer(command=shlex.split(command), core=SERVER_CORE)
        return
    with tempfile.TemporaryDirectory(prefix="glockd-figures-") as folder:
        archive = subprocess.run(
            ["git", "-C", str(REPOSITORY), "archive", str(revision)], capture_output=True, check=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        environment = {"PYTHONPATH": folder}
        yield lambda: LocalServer(command=GLOCKD, core=SERVER_CORE, environment=environment)


def machine() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8")
    cpu = next(
        (line.partition(": ")[2] for line in cpuinfo.splitlines() if line.startswith("model name")), "?"
    )
    head = subprocess.run(
        ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, glockd {head.stdout.strip()}, "
        f"Linux {platform.release()}, Python {platform.python_version()}, {os.cpu_count()} x {cpu}, "
        f"load average {os.getloadavg()[0]:.1f}"
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(1), help="How often each is measured."
)
@click.option(
    "--seconds", default=1.5, show_default=True, type=click.FloatRange(0.1), help="Length of one measurement."
)
@click.option(
    "--only", multiple=True, type=click.Choice(list(FIGURES)), help="Only these figures (repeatable)."
)
@click.option(
    "--against", "revision", metavar="GIT_REV", help="Compare with the tree of a revision, and nothing else."
)
@click.option(
    "--against-command",
    metavar="CMD",
    help="Compare with a server that CMD starts (it inherits its sockets).",
)
def main(
    rounds: int, seconds: float, only: Sequence[str], revision: str | None, against_command: str | None
) -> None:
    """Measure the figures and print them as a Markdown table; exit 1 if a target is missed."""
    if (os.cpu_count() or 1) < 2:
        raise click.ClickException("the figures need two processors: one for the server, one for the load")
    console = Console(stderr=True)
    run = Run(seconds, rounds, lambda text: console.print(f"  {text}", highlight=False))
    rows: list[Row] = []
    started = machine()
    try:
        if revision or against_command:
            with other_tree(revision, against_command) as other:
                servers = lambda: (LocalServer(core=SERVER_CORE), other())  # noqa: E731
                rows += against.rows(servers, f"`{revision or against_command}`", run)
        else:
            for name in only or FIGURES:
                console.print(f"[bold]{name}")
                rows += FIGURES[name](run)
    except (load.NoCompiler, load.LoadFailed, NotStarted, OSError, ValueError) as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"{started}; {rounds} rounds of {seconds:g} s, medians\n\n{table(rows)}")
    sys.exit(any(row.passed is False for row in rows))


if __name__ == "__main__":
    main()
