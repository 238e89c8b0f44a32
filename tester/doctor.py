"""The way between a user and the server: how long a round trip takes, how long an idle connection survives
what lies in between, and how soon a peer that vanished is found."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .addresses import Address
from .peers import Ended, Peer, connect
from .replay import knows_new_verbs

IDLE_STEPS = (1, 2, 5, 10, 15, 30, 45, 60, 90, 120, 180, 240, 300, 600, 900, 1800, 3600, 7200)  # seconds


@dataclass
class Finding:
    """One thing that was measured: its figures (seconds), and a sentence for people."""

    name: str
    sentence: str
    figures: dict[str, float | None] = field(default_factory=dict)
    worry: bool = False


def round_trip(address: Address, samples: int = 200) -> Finding:
    """Time to connect, and round trips of one small command."""
    start = time.perf_counter()
    with connect(address) as peer:
        connected = time.perf_counter() - start
        times = []
        for _ in range(samples):
            start = time.perf_counter()
            peer.ask(b"i doctor")
            times.append(time.perf_counter() - start)
    times.sort()
    median, p99 = statistics.median(times), times[int(len(times) * 0.99)]
    sentence = (
        f"connecting takes {connected * 1e3:.2f} ms, a round trip {median * 1e3:.2f} ms "
        f"(fastest {times[0] * 1e3:.2f}, 99 % within {p99 * 1e3:.2f})"
    )
    figures = {"connect": connected, "fastest": times[0], "median": median, "p99": p99, "slowest": times[-1]}
    return Finding("round trip", sentence, dict(figures))


def idle_limit(
    address: Address, bound: float, tell: Callable[[float], None] = lambda seconds: None
) -> Finding:
    """How long a connection that says nothing survives, up to `bound` seconds, which this takes."""
    steps = [step for step in IDLE_STEPS if step < bound] + [bound]
    peers: list[tuple[float, Peer]] = []
    survived, lost = 0.0, None
    try:
        peers.extend((step, connect(address)) for step in steps)
        start = time.monotonic()
        for step, peer in peers:
            while (left := start + step - time.monotonic()) > 0:
                time.sleep(min(left, 0.5))
                tell(time.monotonic() - start)
            try:
                peer.ask(b"i doctor")
            except (OSError, Ended):
                lost = step
                break
            survived = step
    finally:
        for _, peer in peers:
            peer.close(abort=True)
    if lost is None:
        sentence = f"an idle connection lives for {survived:g} s at least (longer was not tried)"
    else:
        sentence = (
            f"an idle connection survives {survived:g} s and is dead after {lost:g} s: something "
            "between here and the server (or the server) forgets idle connections, and with them their locks"
        )
    return Finding("idle limit", sentence, {"survived": survived, "lost": lost}, worry=lost is not None)


def stated_bound(address: Address) -> Finding:
    """What the server says: within how many seconds it finds a peer that vanished."""
    with connect(address) as peer:
        if not knows_new_verbs(peer):
            return Finding("stated bound", "the server does not know `bound`", {"bound": None})
        found = re.match(rb"(\d+(?:\.\d+)?) Dead Peer Seconds", peer.ask(b"bound"))
    if not found:
        return Finding(
            "stated bound", "the server does not tell how soon it finds a dead peer", {"bound": None}
        )
    bound = float(found[1])
    return Finding(
        "stated bound", f"the server promises to find a vanished peer within {bound:g} s", {"bound": bound}
    )


def dead_peer(
    address: Address, bound: float, stated: float | None, tell: Callable[[float], None] = lambda seconds: None
) -> Finding:
    """Let a holder vanish and measure how long its lock stays taken, for at most `bound` seconds.

    The holder's socket drops every packet that comes for it (`Peer.vanish`), so the server hears nothing of
    it any more, not even a reset, just as if its host had lost its power.
    """
    name = b"doctor-%d-%d" % (os.getpid(), time.monotonic_ns())
    if address.transport == "unix":
        return Finding(
            "dead peer",
            "a peer on a Unix socket cannot vanish: the kernel tells when it ends",
            {"found": 0.0},
        )
    victim, watcher = connect(address), connect(address)
    try:
        if not victim.ask(b"g " + name).startswith(b"1 "):
            return Finding(
                "dead peer", "the server refuses a lock that nobody can hold", {"found": None}, worry=True
            )
        try:
            victim.vanish()
        except OSError as problem:
            return Finding(
                "dead peer", f"no peer can vanish on this machine: {problem.strerror}", {"found": None}
            )
        start = time.monotonic()
        while time.monotonic() - start < bound:
            if watcher.ask(b"i " + name).startswith(b"0 "):
                return _found(time.monotonic() - start, stated)
            time.sleep(0.05)
            tell(time.monotonic() - start)
        sentence = f"a vanished peer still had its lock after {bound:g} s"
        worry = stated is not None and bound > stated
        return Finding("dead peer", sentence, {"found": None}, worry=worry)
    finally:
        with contextlib.suppress(OSError):
            watcher.close()
        victim.close(abort=True)


def _found(seconds: float, stated: float | None) -> Finding:
    sentence = f"a vanished peer was found, and its lock freed, after {seconds:.1f} s"
    late = stated is not None and seconds > stated + 1
    if late:
        sentence += ", which is later than the server promises"
    return Finding("dead peer", sentence, {"found": seconds}, worry=late)
