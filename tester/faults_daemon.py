"""Faults of the daemon's own world: its process stopped and killed, the network gone or bad, the clock set."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from . import chaos
from .faults import PATIENCE, Report, count, fault, still_serves, until
from .link import SERVER, Link
from .peers import Ended, Peer, connect
from .process import open_files, resident_bytes
from .server import LocalServer

TIMER_SLACK = (
    0.005  # seconds: the daemon's event loop counts whole milliseconds, and reads its clock once a turn
)


@fault
def daemon_stopped(report: Report) -> None:
    """SIGSTOP of the daemon for longer than a lease that is renewed meanwhile: nobody loses anything."""
    rounds, lease = report.size(10, 1), 1.0 if not report.quick else 0.4
    times, lost = [], 0
    with LocalServer() as server:
        holder, other = connect(server.tcp, PATIENCE), connect(server.tcp, PATIENCE)
        for number in range(rounds):
            name = b"leased-%d" % number
            holder.ask(b"g " + name)
            holder.ask(b"lease %g " % lease + name)
            os.kill(server.pid, signal.SIGSTOP)
            time.sleep(lease * 0.9)
            holder.send(b"lease 60 " + name + b"\n")
            time.sleep(lease)
            start = time.perf_counter()
            os.kill(server.pid, signal.SIGCONT)
            holder.receive_line(PATIENCE)
            times.append(time.perf_counter() - start)
            lost += other.ask(b"i " + name).startswith(b"0 ")
        report.times("SIGCONT to first reply", times)
        report.figures["leases renewed meanwhile and lost"] = lost
        report.demand(lost == 0, f"{lost} renewed leases were lost")
        report.demand(count(other, "connections") == 2, "a connection was lost")
        for peer in (holder, other):
            peer.close()
        still_serves(report, server.tcp)


@fault
def half_open(report: Report) -> None:
    """Clients whose network is cut without a word: idle holders, idle waiters, and unacknowledged replies."""
    for bound in (5,) if report.quick else (6, 30):
        _half_open(report, bound, report.size(20, 2))


def _half_open(report: Report, bound: int, each: int) -> None:
    with Link() as link, ExitStack() as stack:
        server = stack.enter_context(LocalServer(["-dead-peer-seconds", str(bound)], host=SERVER))
        keeper = stack.enter_context(connect(server.tcp, PATIENCE))
        reader = _PingAnswerer()
        kinds: dict[str, Callable[[int], bool]] = {}

        def is_held(name: str) -> bool:
            return keeper.ask(name.encode()).startswith(b"1 ")

        def is_waited_for(name: str) -> bool:
            return b'"waiters":[]' not in keeper.ask(name.encode()).split(b'"shared"')[0]

        for door in (server.tcp, server.ws):
            what = door.transport
            kinds[f"{what} idle holder"] = lambda n, what=what: is_held(f"i holder-{what}-{n}")  # type: ignore[misc]
            kinds[f"{what} idle waiter"] = lambda n, what=what: is_waited_for(f"explain waiter-{what}-{n}")  # type: ignore[misc]
            kinds[f"{what} unacknowledged reply"] = lambda n, what=what: is_held(f"i reply-{what}-{n}")  # type: ignore[misc]
            for number in range(each):
                holder, waiter, deaf = (
                    stack.enter_context(_aborting(link.inside(lambda door=door: connect(door, PATIENCE))))  # type: ignore[misc]
                    for _ in range(3)
                )
                holder.ask(b"g holder-%s-%d" % (what.encode(), number))
                for peer, name in ((waiter, "waiter"), (deaf, "reply")):
                    lock = f"{name}-{what}-{number}"
                    keeper.ask(b"g " + lock.encode())
                    peer.send(b"wait 600 " + lock.encode() + (b"" if peer.framed else b"\n"))
                    until(lambda lock=lock: is_waited_for(f"explain {lock}"))  # type: ignore[misc]
                reader.peers += [peer for peer in (holder, waiter, deaf) if peer.framed]
                # Their last signs of life are spread, so that the cut meets every phase of keep-alive.
                time.sleep(min(bound, 10) / each / 2)
        reader.end()
        link.cut = True
        start = time.monotonic()
        for door in (server.tcp, server.ws):
            for number in range(each):
                keeper.ask(b"r reply-%s-%d" % (door.transport.encode(), number))
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        left = {(kind, number) for kind in kinds for number in range(each)}
        while left and time.monotonic() < start + 3 * bound:
            for kind, number in list(left):
                if not kinds[kind](number):
                    found[kind].append(time.monotonic() - start)
                    left.discard((kind, number))
            time.sleep(0.02)
        report.demand(not left, f"not found within three times {bound} s: {sorted(left)[:5]}")
        for kind, times in found.items():
            if times:
                spread = (min(times), statistics.median(times), max(times))
                report.figures[f"bound {bound} s, {kind}: min, median, max s"] = ", ".join(
                    f"{each:.2f}" for each in spread
                )
                late = max(times) > bound + 0.5
                report.demand(not late, f"{kind}: {max(times):.2f} s is beyond the bound of {bound} s")


class _PingAnswerer:
    """Reads from websockets, as a client that lives would, until its `end`."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while not self.over.wait(0.05):
            for peer in list(self.peers):
                with suppress(OSError, Ended):
                    peer.receive(0)

    def end(self) -> None:
        self.over.set()
        self.thread.join()


class _aborting:
    """Close a peer without a farewell, which would wait for an answer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def __enter__(self) -> Peer:
        return self.peer

    def __exit__(self, *_: object) -> None:
        self.peer.close(abort=True)


@fault
def bad_network(report: Report) -> None:
    """Chaos over a line that loses, delays and reorders packets; the checker judges all that was seen."""
    qualities = [(0.0, 0.0, 0.0), (0.01, 0.0, 0.0), (0.05, 0.01, 0.0), (0.0, 0.02, 0.02), (0.02, 0.005, 0.03)]
    for loss, delay, jitter in qualities[-1:] if report.quick else qualities:
        with Link() as link, LocalServer(host=SERVER) as server:
            link.loss, link.delay, link.jitter = loss, delay, jitter
            # RFC 6298: what is lost is sent again after 0.2 s (Linux), 0.4, 0.8, 1.6 …; half a second without loss.
            settings = chaos.Settings(
                seed=1,
                seconds=report.size(12, 2),
                workers=2,
                grace=10.0 if not report.quick else 4.0,
                transit=3.0 if loss else 0.5,
            )
            result = link.inside(lambda: chaos.run(settings, [server.tcp, server.ws]))  # noqa: B023
            what = f"loss {loss:.0%}, delay {delay * 1e3:g} to {(delay + jitter) * 1e3:g} ms"
            report.figures[what] = (
                f"{result.figures['commands']} commands, {result.figures['granted']} grants, "
                f"{link.lost} of {link.lost + link.carried} packets lost, {link.overtaken} overtaken, "
                f"{len(result.violations)} violations"
            )
            for violation in result.violations[:3]:
                report.failures.append(f"{what}: {violation.rule} {violation.what}")


@fault
def clock_steps(report: Report) -> None:
    """The wall clock is set a day ahead and back again: leases last as they should, and tokens grow."""
    library = next(
        (str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")),
        None,
    )
    if library is None:
        raise FileNotFoundError(2, "is not installed (package faketime)", "libfaketime.so.1")
    rounds, lease = report.size(5, 1), 1.0 if not report.quick else 0.2
    with tempfile.TemporaryDirectory(prefix="glockd-tester-") as folder:
        clock = Path(folder, "clock")

        def set_clock(step: str) -> None:
            # At once: an empty file, seen between two writes, would be a step of its own.
            clock.with_suffix(".new").write_text(step)
            clock.with_suffix(".new").replace(clock)

        set_clock("+0")
        environment = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        with LocalServer(["-state-dir", folder, "-history", "10"], environment=environment) as server:
            tokens: list[int] = []
            early: list[float] = []
            late: list[float] = []
            for number in range(rounds):
                for step in ("+1d", "-1d", "+0"):
                    with connect(server.tcp, PATIENCE) as holder, connect(server.tcp, PATIENCE) as heir:
                        holder.ask(b"g stepped")
                        start = time.monotonic()
                        holder.ask(b"lease %g stepped" % lease)
                        set_clock(step)
                        heir.send(b"wait 60 stepped\n")
                        heir.receive_line(PATIENCE)
                        took = time.monotonic() - start
                        (early if took < lease - TIMER_SLACK else late).append(took)
                        tokens.append(int(heir.ask(b"token stepped").split()[0]))
                if number == 0:
                    with connect(server.tcp, PATIENCE) as peer:
                        set_clock("+1d")
                        peer.ask(b"g seen")
                        peer.ask(b"r seen")
                        said = re.search(rb'"time": ?([0-9.]+)', peer.ask(b"history seen"))
                        ahead = float(said[1]) - time.time() if said else 0.0
                        report.figures["history saw the clock ahead by, s"] = round(ahead)
                        set_clock("-1d")
                    server.kill()
                    server.start()
            report.figures["steps of the clock"] = 3 * rounds
            report.figures[f"leases of {lease:g} s: shortest, longest"] = (
                f"{min(early + late):.3f}, {max(early + late):.3f}"
            )
            report.demand(
                not early, f"a lease ended after {min(early, default=0):.3f} s instead of {lease:g}"
            )
            # Of a clock that counts, a step would show as a day; half a minute is room for a loaded machine.
            report.demand(
                max(late, default=0) < lease + 30,
                f"a lease of {lease:g} s ended after {max(late, default=0):.3f} s",
            )
            report.demand(tokens == sorted(set(tokens)), "tokens do not grow")


@fault
def daemon_killed(report: Report) -> None:
    """kill -9 of the daemon under load, and a new start: tokens grow all the time, and clients are served again."""
    rounds = report.size(200, 2)
    with (
        tempfile.TemporaryDirectory(prefix="glockd-tester-") as folder,
        LocalServer(["-state-dir", folder]) as server,
    ):
        over = threading.Event()
        tokens: list[tuple[float, int]] = []
        failures: list[str] = []

        def load() -> None:
            while not over.is_set():
                with suppress(OSError, Ended, TimeoutError), connect(server.tcp, PATIENCE) as peer:
                    while not over.is_set():
                        name = b"loaded"
                        if not peer.ask(b"wait 10 " + name).startswith(b"1 "):
                            failures.append("a wait was refused")
                        token = int(peer.ask(b"token " + name).split()[0])
                        tokens.append((time.monotonic(), token))
                        peer.ask(b"r " + name)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        dice, times = random.Random(1), []
        try:
            for _ in range(rounds):
                seen = len(tokens)
                until(lambda seen=seen: len(tokens) > seen + 20)  # type: ignore[misc]
                time.sleep(dice.random() * 0.05)
                start = time.perf_counter()
                server.kill()
                server.start()
                times.append(time.perf_counter() - start)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        report.figures["kills"] = len(times)
        report.times("kill -9 to first reply of the next one", times)
        report.figures["tokens given"] = len(tokens)
        # Each is read and noted while its lock is held, so the notes are in the order of the grants.
        only = [token for _, token in tokens]
        fallen = sum(later <= earlier for earlier, later in itertools.pairwise(only))
        report.figures["tokens that did not grow"] = fallen
        report.demand(fallen == 0, f"{fallen} tokens did not grow")
        report.demand(not failures, f"{len(failures)} waits were refused")


@fault
def soak(report: Report) -> None:
    """Chaos, round after round, against one daemon: what is left of memory and descriptors, and the judgement."""
    minutes = 0.1 if report.quick else float(os.environ.get("SOAK_MINUTES", "5"))
    with LocalServer() as server:
        samples: list[tuple[float, float]] = []
        descriptors, commands, violations, start = open_files(server.pid), 0, 0, time.monotonic()
        seed = 0
        while time.monotonic() < start + 60 * minutes:
            seed += 1
            settings = chaos.Settings(seed=seed, seconds=3 if report.quick else 10, workers=2)
            result = chaos.run(settings, [server.tcp, server.unix, server.ws])
            commands += result.figures["commands"]
            violations += len(result.violations)
            report.failures += [f"seed {seed}: {each.rule} {each.what}" for each in result.violations[:2]]
            with connect(server.tcp, PATIENCE) as peer:
                until(lambda peer=peer: count(peer, "connections") == 1)  # type: ignore[misc]
            samples.append((time.monotonic() - start, resident_bytes(server.pid)))
        half = samples[len(samples) // 2 :] if len(samples) > 3 else samples
        report.figures["minutes, rounds"] = f"{(time.monotonic() - start) / 60:.1f}, {seed}"
        report.figures["commands"], report.figures["violations"] = commands, violations
        report.figures["memory after first and last round, MB"] = (
            f"{samples[0][1] / 1e6:.2f}, {samples[-1][1] / 1e6:.2f}"
        )
        if len(half) > 1:
            slope = statistics.linear_regression(*zip(*half, strict=True)).slope
            report.figures["slope of memory in the second half, KB a minute"] = round(slope * 60 / 1e3, 1)
            # In less time what is filled once looks like a leak.
            report.demand(minutes < 3 or slope * 60 < 200e3, "memory grows all the time")
        until(lambda: open_files(server.pid) <= descriptors)
        report.figures["descriptors before and after"] = f"{descriptors}, {open_files(server.pid)}"
        report.demand(open_files(server.pid) <= descriptors, "descriptors were lost")
        still_serves(report, server.tcp)
