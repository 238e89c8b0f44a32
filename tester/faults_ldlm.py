"""Faults of LDLM's clients: dead in the instant of a grant or behind an Unlock, and slow beside others."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .addresses import Address
from .cases.daemon import Daemon
from .faults import PATIENCE, Report, fault, until
from .ldlm_peers import GrpcPeer, RestPeer, answer, text
from .peers import Peer, connect
from .replay import ask_counters


class Ldlm:
    """A daemon with LDLM's door, and somebody who looks on."""

    def __init__(self, daemon: Daemon, watcher: Peer) -> None:
        self.daemon = daemon
        self.grpc, self.rest = daemon.address("-ldlm"), daemon.address("-ldlm-rest")
        self.watcher = watcher

    def locks(self) -> int:
        """How many locks are held."""
        return ask_counters(self.watcher)["locks"]

    def is_left_clean(self, report: Report) -> None:
        """Demand that nothing is held, nobody is there, and the log has no error."""
        report.demand(until(lambda: self.locks() == 0), f"{self.locks()} locks are still held")
        gone = until(lambda: ask_counters(self.watcher)["connections"] == 1)
        report.demand(gone, "connections that have ended are still counted")
        said = self.daemon.log.read_text("utf-8", "replace")
        report.demand("Traceback" not in said, said[-500:])


@contextmanager
def served() -> Iterator[Ldlm]:
    with tempfile.TemporaryDirectory() as name:
        unix = Path(name) / "glockd.sock"
        with Daemon([f"-unix={unix}"], ("-ldlm", "-ldlm-rest"), Path(name)) as daemon:
            address = Address("unix", path=str(unix))
            until(lambda: listens(address))  # a Unix socket has its name before anybody listens on it
            with connect(address, PATIENCE) as watcher:
                yield Ldlm(daemon, watcher)


def listens(address: Address) -> bool:
    """Whether somebody lets a connection in there."""
    with suppress(OSError):
        connect(address, PATIENCE).close()
        return True
    return False


@fault
def ldlm_holders_reset(report: Report) -> None:
    """A gRPC holder's connection is reset: the time until the next in line has the lock."""
    times = []
    with served() as ldlm:
        heir = GrpcPeer(ldlm.grpc)
        for number in range(report.size(2000, 30)):
            name = text(1, b"%d" % number)
            holder = GrpcPeer(ldlm.grpc)
            holder.send(b"TryLock", name)
            holder.receive()
            heir.send(b"Lock", name)
            start = time.perf_counter()
            holder.reset()
            report.demand(heir.receive().startswith(b"\x08\x01"), f"lock {number} was not granted")
            times.append(time.perf_counter() - start)
        heir.close()
        report.times("reset to next grant", times)
        ldlm.is_left_clean(report)


@fault
def ldlm_waiters_reset(report: Report) -> None:
    """gRPC waiters are reset at the head of a line: the dead are passed over."""
    tries = report.size(1000, 20)
    with served() as ldlm:
        holder = GrpcPeer(ldlm.grpc)
        for number in range(tries):
            name = b"%d" % number
            key = holder.take(b"TryLock", name)
            dead, heir = GrpcPeer(ldlm.grpc), GrpcPeer(ldlm.grpc)
            dead.send(b"Lock", text(1, name))
            heir.send(b"Lock", text(1, name))
            dead.reset()
            holder.send(b"Unlock", text(1, name), text(2, key))
            holder.receive()
            report.demand(heir.receive().startswith(b"\x08\x01"), f"lock {number} was not granted")
            heir.close()
        holder.close()
        report.figures["waiters reset"] = tries
        ldlm.is_left_clean(report)


@fault
def ldlm_reset_at_a_grant(report: Report) -> None:
    """A gRPC waiter is reset in the instant of its grant, a little sooner or later: nothing stays held."""
    tries = report.size(5000, 100)
    with served() as ldlm:
        holder = GrpcPeer(ldlm.grpc)
        for number, pause in zip(range(tries), itertools.cycle(range(0, 400, 7)), strict=False):
            name = b"%d" % (number % 100)
            key = holder.take(b"Lock", name)
            waiter = GrpcPeer(ldlm.grpc)
            waiter.send(b"Lock", text(1, name))
            holder.send(b"Unlock", text(1, name), text(2, key))
            end = time.perf_counter() + pause / 1e6
            while time.perf_counter() < end:
                pass
            waiter.reset()
            holder.receive()
        holder.close()
        report.figures["waiters reset"] = tries
        ldlm.is_left_clean(report)


@fault
def ldlm_gone_behind_unlock(report: Report) -> None:
    """A gRPC client ends right behind its Unlock: the daemon goes on, and the lock is free."""
    tries = report.size(5000, 100)
    with served() as ldlm:
        for number in range(tries):
            name = b"%d" % (number % 10)
            peer = GrpcPeer(ldlm.grpc)
            key = peer.take(b"Lock", name)
            report.demand(bool(key), f"try {number}: the lock was not free")
            peer.send(b"Unlock", text(1, name), text(2, key))
            if number % 2:
                peer.reset()
            else:
                peer.close()
        report.figures["clients gone"] = tries
        ldlm.is_left_clean(report)


@fault
def ldlm_slow_bodies(report: Report) -> None:
    """REST bodies that do not come, beside more requests of the same session and of others: nobody waits for them."""
    times = []
    with served() as ldlm:
        slow, other = RestPeer(ldlm.rest), RestPeer(ldlm.rest)
        stuck = [slow.begin("/v1/lock", 21) for _ in range(report.size(500, 20))]
        for number in range(report.size(2000, 50)):
            peer = (slow, other, RestPeer(ldlm.rest))[number % 3]
            start = time.perf_counter()
            taken = peer.ask("/v1/lock", b'{"name":"%d"}' % number)
            times.append(time.perf_counter() - start)
            report.demand(taken.get("locked") is True, f"lock {number} was not granted: {taken}")
            key = str(taken.get("key")).encode()
            given = peer.ask("/v1/unlock", b'{"name":"%d","key":"%s"}' % (number, key))
            report.demand(given.get("unlocked") is True, f"lock {number} was not given back: {given}")
        for number, sock in enumerate(stuck):
            if number % 2:
                sock.sendall(b'{"name":"slow-%05d"}' % number)
                report.demand("locked" in answer(sock), "a slow request was not answered")
            sock.close()
        report.times("lock beside slow bodies", times)
        report.demand(max(times) < 1.0, f"somebody waited for {max(times):.1f} s")
