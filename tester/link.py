"""A host of the tester's own in a network namespace, behind a line that loses, delays and reorders packets.

Two TUN devices (tun(4)), one here and one in the namespace, and a thread that carries packets between them. Unlike
tc-netem(8) it needs no kernel module, and unlike a proxy it loses whole packets, so TCP has to cope. Needs root.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from .errors import CannotTest

CLONE_NEWNET = 0x40000000  # setns(2)
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
# RFC 2544 sets 198.18.0.0/15 aside for tests of networks; nobody routes it.
SERVER, CLIENT = "198.18.101.1", "198.18.101.2"
T = TypeVar("T")


class NoNetwork(CannotTest):
    """Namespaces or TUN devices cannot be made here; the text is why."""


class Link:
    """The line. Its qualities may be changed at any time.

    Attributes:
        loss: probability that a packet is lost.
        delay, jitter: seconds that each packet takes, and that some take more; packets overtake each other.
        cut: nothing comes through, and nobody says so.
        lost, carried: packets.
    """

    def __init__(self, seed: int = 1) -> None:
        """Raises NoNetwork."""
        self.loss = self.delay = self.jitter = 0.0
        self.cut = False
        self.lost = self.carried = self.overtaken = 0
        self.dice = random.Random(seed)
        self.name = f"glockd-link-{os.getpid()}"
        self.near = f"glt{os.getpid()}"
        self.over = threading.Event()
        self.ends: list[int] = []
        try:
            _ip("netns", "add", self.name)
            self.ends.append(_tun(self.near))
            self.ends.append(self.inside(lambda: _tun("glt")))
            _ip("addr", "add", SERVER, "peer", CLIENT, "dev", self.near)
            _ip("link", "set", self.near, "up")
            _ip("-n", self.name, "addr", "add", CLIENT, "peer", SERVER, "dev", "glt")
            _ip("-n", self.name, "link", "set", "glt", "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as problem:
            self.close()
            raise NoNetwork(
                f"no network of our own: {getattr(problem, 'stderr', '') or problem}"
            ) from problem
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def inside(self, work: Callable[[], T]) -> T:
        """Do `work` as the far host: its sockets, and its children's, are in the namespace."""
        with ThreadPoolExecutor(1) as pool:  # the thread moves there, and ends there
            return pool.submit(self._move_and, work).result()

    def _move_and(self, work: Callable[[], T]) -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{self.name}").open("rb") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return work()

    def _carry(self) -> None:
        """Carry packets until it is over."""
        waiting: list[tuple[float, int, int, bytes]] = []  # (due, number, to, packet)
        there = {self.ends[0]: self.ends[1], self.ends[1]: self.ends[0]}
        number = newest = 0
        while not self.over.is_set():
            timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.1
            for end in select.select(self.ends, [], [], min(timeout, 0.1))[0]:
                packet = os.read(end, 1 << 16)
                if self.cut or self.dice.random() < self.loss:
                    self.lost += 1
                    continue
                number += 1
                due = time.monotonic() + self.delay + self.jitter * self.dice.random()
                heapq.heappush(waiting, (due, number, there[end], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, this, to, packet = heapq.heappop(waiting)
                self.overtaken += this < newest
                newest = max(this, newest)
                self.carried += 1
                with suppress(OSError):
                    os.write(to, packet)

    def close(self) -> None:
        self.over.set()
        if hasattr(self, "thread"):
            self.thread.join()
        for end in self.ends:
            os.close(end)
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _tun(name: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(end)
        raise
    return end
