"""The load generators in Python, for machines without a C compiler: slower than what they measure."""

from __future__ import annotations

import os
import selectors
import time

from .addresses import Address
from .latency import Histogram
from .load import Load, LoadFailed
from .peers import Ended, Peer, connect

WHY = "there is no C compiler, so the load came from Python, which is slower than the server: a lower limit"


def pingpong(address: Address, *, connections: int, pipeline: int, seconds: float) -> Load:
    """What `load.pingpong` does. Raises LoadFailed."""
    packets = [
        [
            [
                b"%b py-%d-%d-%d" % (b"gr"[n % 2 : n % 2 + 1], os.getpid(), i, n // 2)
                for n in _turn(turn, pipeline)
            ]
            for turn in (0, 1)
        ]
        for i in range(connections)
    ]
    peers = [connect(address) for _ in range(connections)]
    pending, turns, sent = [pipeline] * connections, [0] * connections, [0] * connections
    histogram, served, refused = Histogram(), 0, 0
    try:
        with selectors.DefaultSelector() as selector:
            for i, peer in enumerate(peers):
                selector.register(peer.socket, selectors.EVENT_READ, i)
                sent[i] = time.monotonic_ns()
                _send(peer, packets[i][0])
            start = now = time.monotonic()
            while (now := time.monotonic()) < start + seconds:
                ready = selector.select(20)
                if not ready:
                    raise LoadFailed("no reply")
                for key, _ in ready:
                    i = key.data
                    replies = _replies(peers[i])
                    refused += sum(reply.startswith(b"0") for reply in replies)
                    pending[i] -= len(replies)
                    if pending[i] <= 0:
                        served += pipeline
                        _note(histogram, time.monotonic_ns() - sent[i])
                        pending[i], turns[i] = pipeline, turns[i] ^ (pipeline % 2)
                        sent[i] = time.monotonic_ns()
                        _send(peers[i], packets[i][turns[i]])
    except Ended as problem:
        raise LoadFailed(str(problem)) from problem
    finally:
        for peer in peers:
            peer.close(abort=True)
    return Load(served, served, now - start, refused, histogram)


def handover(
    address: Address, *, waiters: int, seconds: float, hold: float = 0.0, echo: bool = False
) -> Load:
    """What `load.handover` does. Raises LoadFailed."""
    name = b"py-handover-%d" % os.getpid()
    peers = [connect(address, 20.0) for _ in range(waiters + 1)]
    histogram, rounds, holder = Histogram(), 0, 0
    try:
        if not echo:
            peers[0].ask(b"wait 3600 " + name)
            for peer in peers[1:]:
                peer.send(b"wait 3600 %b\n" % name)
                peers[0].ask(b"i " + name)
        start = now = time.monotonic()
        while (now := time.monotonic()) < start + seconds:
            following = (holder + 1) % len(peers)
            time.sleep(hold)
            begun = time.monotonic_ns()
            peers[holder].send(b"r %b\n" % name)
            reply = peers[holder if echo else following].receive_line(20.0)
            _note(histogram, time.monotonic_ns() - begun)
            if reply is None or not (echo or reply.startswith(b"1 ")):
                raise LoadFailed(f"the next in line was not granted the lock: {reply!r}")
            if not echo:
                peers[holder].receive_line(20.0)
                peers[holder].send(b"wait 3600 %b\n" % name)
            peers[following].ask(b"i " + name)
            holder, rounds = following, rounds + 1
    except (Ended, TimeoutError) as problem:
        raise LoadFailed(str(problem)) from problem
    finally:
        for peer in peers:
            peer.close(abort=True)
    return Load(rounds, rounds, now - start, 0, histogram)


def _turn(turn: int, pipeline: int) -> range:
    return range(turn * pipeline, (turn + 1) * pipeline)


def _send(peer: Peer, lines: list[bytes]) -> None:
    if peer.framed:
        for line in lines:
            peer.send(line)
    else:
        peer.send(b"\n".join(lines) + b"\n")


def _replies(peer: Peer) -> list[bytes]:
    replies = []
    while (reply := peer.receive_line(0)) is not None:
        replies.append(reply)
    return replies


def _note(histogram: Histogram, nanoseconds: int) -> None:
    step = 1 << max(nanoseconds.bit_length() - 8, 0)  # 128 steps for each power of two, as in common.c
    low = float(nanoseconds // step * step)
    histogram.counts[low] = histogram.counts.get(low, 0) + 1
    histogram.longest = max(histogram.longest, float(nanoseconds))
