"""Faults of clients: killed, stopped, slow, too many, and with too much to say."""

from __future__ import annotations

import itertools
import os
import random
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from .crowd import crowd
from .faults import PATIENCE, Report, count, fault, still_serves, until, watching
from .peers import Ended, Peer, WebPeer, connect
from .process import cpu_seconds, open_files, resident_bytes
from .server import GLOCKD, LocalServer


def _wait_in_line(peer: Peer, name: str) -> None:
    """Queue for `name`; in line when this returns."""
    peer.send(f"ping\nwait 600 {name}\n".encode())
    reply = peer.receive_line(PATIENCE)
    if reply != b"1 pong":
        raise Ended(f"no pong before a wait, but {reply!r}")


def _granted(peer: Peer, timeout: float = PATIENCE) -> bool:
    reply = peer.receive_line(timeout)
    return reply is not None and reply.startswith(b"1 Lock Get Success")


@fault
def holders_killed(report: Report) -> None:
    """kill -9 of holders, each a process of its own: one by one, the time until the next in line has the lock."""
    each = report.size(1000, 20)
    with LocalServer() as server:
        times = []
        with crowd("fork", server.tcp, each, "g killed-{n}") as holders:
            heir = connect(server.tcp, PATIENCE)
            for number, pid in enumerate(holders.pids):
                _wait_in_line(heir, f"killed-{number}")
                start = time.perf_counter()
                os.kill(pid, signal.SIGKILL)
                report.demand(_granted(heir), f"lock {number} was not granted after its holder was killed")
                times.append(time.perf_counter() - start)
                holders.kill(pid)
            report.times("kill -9 to next grant", times)
            orphans = count(heir, "orphans")
            report.demand(orphans == each, f"{orphans} orphans were counted for {each} killed holders")
            heir.close()
        still_serves(report, server.tcp)


@fault
def waiters_killed(report: Report) -> None:
    """kill -9 of waiters at the head and in the middle of a line: the dead are passed over."""
    lines = report.size(500, 10)
    with LocalServer() as server, ExitStack() as stack:
        holder = stack.enter_context(connect(server.tcp, PATIENCE))
        for number in range(lines):
            holder.ask(b"g line-%d" % number)

        def queue() -> list[Peer]:
            peers = [stack.enter_context(connect(server.tcp, PATIENCE)) for _ in range(lines)]
            for number, peer in enumerate(peers):
                _wait_in_line(peer, f"line-{number}")
            return peers

        heads = stack.enter_context(crowd("fork", server.tcp, lines, "wait 600 line-{n}"))
        seconds = queue()
        middles = stack.enter_context(crowd("fork", server.tcp, lines, "wait 600 line-{n}"))
        fourths = queue()
        times, wrong = [], 0
        for number in range(lines):
            heads.kill(heads.pids[number])
            middles.kill(middles.pids[number])
            for giver, taker in ((holder, seconds[number]), (seconds[number], fourths[number])):
                start = time.perf_counter()
                giver.send(b"r line-%d\n" % number)
                wrong += not _granted(taker)
                times.append(time.perf_counter() - start)
                giver.receive_line(PATIENCE)
            fourths[number].ask(b"r line-%d" % number)
        report.figures["waiters killed"] = 2 * lines
        report.times("release to next living waiter", times)
        # A lock given to somebody dead would be an orphan as soon as its end is noticed.
        report.figures["grants to the dead"] = count(holder, "orphans")
        report.demand(report.figures["grants to the dead"] == 0, "the dead were granted locks")
        report.demand(wrong == 0, f"{wrong} living waiters were not served")


@fault
def clients_stopped(report: Report) -> None:
    """SIGSTOP of holders and waiters: they keep lock and place, others notice nothing."""
    each, pause = report.size(200, 10), 5.0 if not report.quick else 0.3
    with LocalServer() as server, ExitStack() as stack:
        keeper = stack.enter_context(connect(server.tcp, PATIENCE))
        keeper.ask(b"g common")
        holders = stack.enter_context(crowd("hold", server.tcp, each, "g stopped-{n}"))
        waiters = stack.enter_context(crowd("hold", server.tcp, each, "wait 600 common"))
        with watching(server.tcp) as watch:
            for one in (holders, waiters):
                one.process.send_signal(signal.SIGSTOP)
            time.sleep(pause)
            held = sum(keeper.ask(b"i stopped-%d" % n).startswith(b"1 ") for n in range(each))
            report.figures["stopped holders that kept their lock"] = f"{held} of {each}"
            report.demand(held == each, "a stopped holder has lost its lock")
            keeper.ask(b"r common")
            report.demand(keeper.ask(b"i common").startswith(b"1 "), "a stopped waiter has lost its turn")
            for one in (holders, waiters):
                one.process.send_signal(signal.SIGCONT)
            report.times("round trip of others meanwhile", watch.end())


@fault
def slow_readers(report: Report) -> None:
    """Clients that ask for long listings and do not read them: the daemon's memory, and what others notice."""
    each = report.size(50, 5)
    with LocalServer() as server, ExitStack() as stack:
        owner = stack.enter_context(connect(server.tcp, PATIENCE))
        names = b"".join(b"g name-of-some-length-%06d\n" % n for n in range(5000))
        threading.Thread(target=owner.send, args=(names,)).start()
        for _ in range(5000):
            owner.receive_line(PATIENCE)
        before = resident_bytes(server.pid)
        with watching(server.tcp) as watch:
            deaf = [stack.enter_context(connect(server.tcp, PATIENCE)) for _ in range(each)]
            sent = 0
            for peer in deaf:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.socket.setblocking(False)
                with suppress(BlockingIOError):
                    for _ in range(200):
                        sent += peer.socket.send(b"d\n" * 100)
            time.sleep(3 if not report.quick else 0.3)
            grown = resident_bytes(server.pid) - before
            report.times("round trip of others meanwhile", watch.end())
        listing = len(b"name-of-some-length-000000: 127.0.0.1:12345\n") * 5000
        report.figures["listings asked for, GB"] = round(sent / len(b"d\n") * listing / 1e9, 1)
        report.figures["memory grown by, MB"] = round(grown / 1e6, 1)
        report.demand(grown < 4e6 * each, f"memory grew by {grown} bytes for {each} slow readers")


@fault
def slow_writers(report: Report) -> None:
    """Clients that send their commands byte by byte, with pauses."""
    each = report.size(300, 10)
    with LocalServer() as server, ExitStack() as stack:
        peers = [stack.enter_context(connect(server.tcp, PATIENCE)) for _ in range(each)]
        with watching(server.tcp) as watch:
            lines = [b"g slow-written-%05d\n" % number for number in range(each)]
            for place in range(len(lines[0])):
                for peer, line in zip(peers, lines, strict=True):
                    peer.send(line[place : place + 1])
                time.sleep(0.05 if not report.quick else 0.005)
            served = sum(_granted(peer) for peer in peers)
            report.times("round trip of others meanwhile", watch.end())
        report.figures["served"] = f"{served} of {each}"
        report.demand(served == each, "a slow writer was not served")


@fault
def connections_flood(report: Report) -> None:
    """Connect and close as fast as one process can, by reset and in form, with and without a command."""
    seconds = report.size(10, 1)
    with LocalServer() as server:
        before = open_files(server.pid)
        made = 0
        with watching(server.tcp) as watch:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                peer = Peer(server.tcp, PATIENCE)
                if made % 2:
                    peer.send(b"g flood-%d\n" % made)
                peer.close(abort=made % 3 > 0)
                made += 1
            report.times("round trip of others meanwhile", watch.end())
        report.figures["connections a second"] = round(made / seconds)
        still_serves(report, server.tcp)
        gone = until(lambda: open_files(server.pid) <= before)
        after = open_files(server.pid)
        report.figures["descriptors before and after"] = f"{before}, {after}"
        report.demand(gone, f"{after - before} descriptors were not given back")


@fault
def holders_die_at_once(report: Report) -> None:
    """15,000 idle holders that all die within a second: how long until all is free, and what others notice."""
    each = report.size(5000, 100)
    with LocalServer() as server, ExitStack() as stack:
        crowds = [
            stack.enter_context(crowd("hold", server.tcp, each, f"g many-{part}-{{n}}")) for part in range(3)
        ]
        with connect(server.tcp, PATIENCE) as peer, watching(server.tcp) as watch:
            held = count(peer, "locks")
            report.figures["holders"] = held
            report.figures["memory, MB"] = round(resident_bytes(server.pid) / 1e6, 1)
            report.demand(held == 3 * each, f"{held} locks are held by {3 * each} holders")
            time.sleep(0.3)  # so that there is something to compare with
            start = time.perf_counter()
            for one in crowds:
                one.process.kill()
            killed = time.perf_counter() - start
            free = until(lambda: count(peer, "locks") == 0, 60)
            report.figures["signals sent within, ms"] = round(killed * 1e3, 1)
            report.figures["all free after, ms"] = round((time.perf_counter() - start) * 1e3, 1)
            report.demand(free, "not all locks are free again")
            report.times("round trip of others meanwhile", watch.end())
        for one in crowds:
            one.process.wait()
        still_serves(report, server.tcp)


@fault
def descriptors_run_out(report: Report) -> None:
    """More connections than the daemon may have descriptors: no crash, no busy loop, and it accepts again."""
    limited = ("sh", "-c", 'ulimit -n 200; exec "$@"', "sh", *GLOCKD)
    some = 1.0 if not report.quick else 0.2
    for setting in ("the daemon's limit", "the system's"):
        with LocalServer(command=limited) as server, ExitStack() as stack:
            if setting == "the system's":
                # It does not know of this one, so accept(2) itself fails.
                resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (100, 200))
            holder = stack.enter_context(connect(server.tcp, PATIENCE))
            holder.ask(b"g kept")
            crowd_of_peers = [stack.enter_context(Peer(server.tcp, PATIENCE)) for _ in range(400)]
            for peer in crowd_of_peers:
                with suppress(OSError):  # refused already
                    peer.send(b"ping\n")
            time.sleep(some)  # nothing tells when the last of them has not been let in
            inside = []
            for peer in crowd_of_peers:
                with suppress(OSError, Ended):
                    if peer.receive_line(0) == b"1 pong":
                        inside.append(peer)
            used = cpu_seconds(server.pid)
            time.sleep(some)
            used = (cpu_seconds(server.pid) - used) / some
            report.figures[f"{setting}: let in of 400"] = len(inside)
            report.figures[f"{setting}: CPU while full, %"] = round(100 * used, 1)
            report.demand(50 < len(inside) < 200, f"{len(inside)} were let in with 200 descriptors")
            report.demand(used < 0.3, f"{100 * used:.0f} % of a processor while descriptors have run out")
            report.demand(holder.ask(b"i kept").startswith(b"1 "), "a holder has lost its lock")
            for peer in crowd_of_peers:
                peer.close()

            def is_let_in(server: LocalServer = server) -> bool:
                with suppress(OSError, Ended, TimeoutError), connect(server.tcp, 1) as peer:
                    return peer.ask(b"ping") == b"1 pong"
                return False

            start = time.perf_counter()
            report.demand(until(is_let_in), "nobody is let in again")
            report.figures[f"{setting}: let in again after, ms"] = round(
                (time.perf_counter() - start) * 1e3, 1
            )
            report.demand(holder.ask(b"r kept").startswith(b"1 "), "a holder cannot release its lock")


@fault
def limits_exceeded(report: Report) -> None:
    """Names, locks, waiters, connections and messages beyond every limit: a clear refusal, and nobody else notices."""
    limits = ["-max-name", "32", "-max-session-locks", "100", "-max-locks", "150", "-max-waiters", "20"]
    limits += ["-max-lock-waiters", "10", "-max-address-connections", "60", "-max-message", "4096"]
    with LocalServer(limits) as server, ExitStack() as stack:
        one, two, three = (stack.enter_context(connect(server.tcp, PATIENCE)) for _ in range(3))

        def refused(what: str, peer: Peer, lines: Iterator[bytes], allowed: int, words: bytes) -> None:
            replies = [peer.ask(line) for line in lines]
            no = [reply for reply in replies if reply.startswith(b"0 ")]
            report.figures[f"{what}: allowed, refused"] = f"{len(replies) - len(no)}, {len(no)}"
            report.demand(len(replies) - len(no) == allowed, f"{what}: {len(replies) - len(no)} were allowed")
            report.demand(all(words in reply for reply in no), f"{what}: refused with {set(no)}")

        names = [b"n" * size for size in range(30, 36)]
        refused("names of 30 to 35 bytes", three, (b"g " + name for name in names), 3, b"Too Long")
        for number in range(3):
            three.ask(b"g three-%d" % number)
        waiters = [stack.enter_context(connect(server.tcp, PATIENCE)) for _ in range(40)]
        no = 0
        for number, peer in enumerate(waiters):
            peer.send(b"ping\nwait 600 three-%d\n" % (number // 15))
            peer.receive_line(PATIENCE)
            no += b"Too Many Waiters" in (peer.receive_line(0.05) or b"")
        report.figures["waiters: queued, refused"] = f"{len(waiters) - no}, {no}"
        report.demand(no == 20, f"{no} of 40 waiters were refused, and not 20")
        refused("locks of a session", one, (b"g one-%d" % n for n in range(300)), 100, b"Too Many Locks")
        refused("locks of all", two, (b"g two-%d" % n for n in range(300)), 44, b"Too Many Locks")
        more = [stack.enter_context(Peer(server.tcp, PATIENCE)) for _ in range(40)]
        told = 0
        for peer in more:
            with suppress(Ended, OSError):
                told += b"Too Many Connections" in (peer.receive_line(0.05) or b"")
        report.figures["connections of an address: refused of 83"] = told
        report.demand(told == 23, f"{told} of 83 connections were refused, and not 23")
        for peer in more:
            peer.close()
        with suppress(OSError, Ended), WebPeer(server.ws, PATIENCE) as long:
            long.send(b"g " + b"x" * 5000)
            long.receive(PATIENCE)
            report.demand(False, "a message beyond the limit was answered")
        line = stack.enter_context(connect(server.unix, PATIENCE))
        line.send(b"i " + b"y" * 1_000_000 + b"\nping\n")
        last = until(lambda: line.receive_line(PATIENCE) == b"1 pong", PATIENCE, 0)
        report.demand(last, "nothing is answered behind a line of a million bytes")
        report.demand(one.ask(b"r one-99").startswith(b"1 "), "who is within the limits is not served")


HTTP = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n",
    b"GET /%s HTTP/1.1\r\n",
    b"POST / HTTP/1.0\r\nContent-Length: 99999999\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    b"Sec-WebSocket-Version: 13\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Origin: null\r\n",
    b"X: " + b"y" * 9000 + b"\r\n",
    b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]
WORDS = [
    *b"g i r sg si sr d sd dump me iam who q wait read share cancel lease token check explain".split(),
    *b"history notify kick bound ping version help auth 0 1 inf nan -1 1e9 on off a b job".split(),
    b"\xc2\xa0", b"\xff", b"\0", b"\n", b"\r\n", b" ", b"\t", b"x" * 5000,
]  # fmt: skip


def junk(dice: random.Random, *, verbs: bool = True) -> bytes:
    """A piece of input: words of the language, HTTP, websocket frames or noise. No wait in it lasts long."""
    kind = dice.randrange(4)
    if kind == 0 and verbs:
        return b" ".join(dice.choices(WORDS, k=dice.randint(1, 8))) + dice.choice([b"\n", b"\n", b""])
    if kind == 1:
        return b"".join(dice.choices(HTTP, k=dice.randint(1, 5)))
    if kind == 2:
        size = dice.choice([0, 1, 5, 125, 126, 127])
        head = bytes([dice.randrange(256), dice.choice([0x80, 0]) | size])
        return head + dice.randbytes(dice.choice([0, 2, 4, 4 + size]))
    return dice.randbytes(dice.randint(1, 300))


@contextmanager
def _unharmed(report: Report, server: LocalServer) -> Iterator[None]:
    """Demand that nothing is left behind, no descriptor and no word of an error."""
    pid, before = server.pid, open_files(server.pid)
    yield
    still_serves(report, server.tcp)
    report.demand(server.process is not None and server.process.poll() is None, "the daemon has ended")
    report.demand(until(lambda: open_files(pid) <= before), "descriptors were not given back")
    log = server.log.read_text("utf-8", "replace")
    bad = [line for line in log.splitlines() if "Traceback" in line or "Error" in line]
    report.demand(not bad, f"the log has: {bad[:2]}")
    report.figures["crashes, errors logged, descriptors lost"] = 0 if not report.failures else "see failures"


@fault
def fuzzed_sockets(report: Report) -> None:
    """Junk over real sockets to the TCP, websocket (before and after the handshake) and Unix doors."""
    dice = random.Random(1)
    sent = connections = 0
    with LocalServer() as server, _unharmed(report, server), watching(server.tcp) as watch:
        end = time.monotonic() + report.size(60, 1)
        doors = itertools.cycle((server.tcp, server.ws, server.unix, None))
        for door in doors:
            if time.monotonic() > end:
                break
            peer = Peer(door, PATIENCE) if door else WebPeer(server.ws, PATIENCE)
            connections += 1
            with suppress(OSError, Ended):
                for _ in range(dice.randint(1, 40)):
                    peer.socket.sendall(junk(dice))
                    sent += 1
                    if select.select([peer.socket], [], [], 0)[0] and not peer.socket.recv(1 << 16):
                        break
            peer.socket.close()
        report.times("round trip of others meanwhile", watch.end())
        report.figures["connections"], report.figures["inputs"] = connections, sent
