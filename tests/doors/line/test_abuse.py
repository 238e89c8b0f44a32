"""Clients that do what none should: whatever one of them does, another one's command is answered as fast as ever."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Self

import pytest

from tests.support.clients import SocketClient, WebSocketClient, wait_until
from tests.support.http import ask
from tests.support.process import Glockd, Spawner
from tests.support.timing import at_most

# Seconds that a command of a bystander may take. What is guarded against took seconds; a busy machine takes its part.
STALL = 1.0


class Bystander:
    """A client that asks all the time, in a thread of its own, and notes how long the longest answer took."""

    def __init__(self, daemon: Glockd) -> None:
        self.client = daemon.stream("tcp")
        self.longest, self.asked, self.done = 0.0, 0, False
        self.thread = threading.Thread(target=self.ask)

    def ask(self) -> None:
        with contextlib.suppress(OSError):
            while not self.done:
                start = time.monotonic()
                self.client.sock.sendall(b"i job\n")
                answer = self.client.sock.recv(100)
                self.longest = max(self.longest, time.monotonic() - start)
                assert answer == b"0 Lock Not Locked: job\r\n"
                self.asked += 1
                time.sleep(0.001)

    def __enter__(self) -> Self:
        self.thread.start()
        wait_until(lambda: self.asked > 10)
        self.longest = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        before = self.asked
        wait_until(lambda: self.asked > before + 10)
        self.done = True
        self.thread.join()

    def has_noticed_nothing(self) -> None:
        assert self.longest < at_most(STALL), f"{self.longest:.3f} s for an answer"


@contextlib.contextmanager
def bystander(daemon: Glockd) -> Iterator[None]:
    with Bystander(daemon) as somebody:
        yield
    somebody.has_noticed_nothing()


def takes(client: SocketClient, verb: str, count: int) -> None:
    """Take many locks, with many commands a packet."""
    lines = [f"{verb} lock-{number * 7919 % count:06}" for number in range(count)]
    for start in range(0, count, 5000):
        client.says(*lines[start : start + 5000])
        for _ in lines[start : start + 5000]:
            client.hears_a_line()


# Long answers


@pytest.mark.transports("tcp", "websocket")
def test_long_listings_stall_nobody_and_are_right(glockd: Spawner, transport: str) -> None:
    daemon, count = glockd(), 150_000
    owner, asker = daemon.client("tcp"), daemon.client(transport)
    takes(owner, "g", count)
    takes(owner, "sg", 5_000)
    names = [f"lock-{number:06}" for number in range(count)]
    wanted = {
        "d": "".join(f"{name}: {owner.address}\n" for name in names),
        "dump": "map[" + " ".join(f"{name}:{owner.address}" for name in names) + "]\n",
        "dump shared": "map[" + " ".join(f"{name}:[{owner.address}]" for name in names[:5000]) + "]\n",
        "sd": "".join(f"{name}: {owner.address}\n" for name in names[:5000]),
    }
    asker.sock.settimeout(60)
    with bystander(daemon):
        for question, answer in wanted.items():
            # What is asked behind it is answered behind it.
            asker.says(question, "ping")
            got = asker.receive(len(answer)).decode()
            if question.startswith("dump"):
                assert got == answer
            else:
                assert sorted(got.splitlines()) == answer.splitlines()
            asker.expect(b"1 pong\n")
            asker.asked.clear()


@pytest.mark.transports("tcp", "unix")
def test_a_listing_ends_whole_behind_the_end_of_input(glockd: Spawner, transport: str) -> None:
    daemon = glockd()
    owner = daemon.client("tcp")
    takes(owner, "g", 5_000)
    for question in (b"d", b"d\n", b"g x\nd\nr x"):
        asker = daemon.stream(transport)
        asker.sends(question).finishes()
        while asker.read_more():
            pass
        listing = [line for line in asker.buffer.splitlines() if line.startswith(b"lock-")]
        assert len(listing) == 5_000
        if question.startswith(b"g"):
            assert asker.buffer.startswith(b"1 Lock Get Success: x\r\n")
            assert asker.buffer.endswith(b"1 Lock Release Success: x\n")
        asker.sock.close()


@pytest.mark.transports("tcp", "unix", "websocket")
@pytest.mark.parametrize("question", ["d", "dump", "history x", "who x", "explain x", "q"])
def test_who_asks_for_much_and_leaves_costs_little(glockd: Spawner, transport: str, question: str) -> None:
    """A packet full of the costliest questions, and then a reset: nobody is there to hear the answers."""
    daemon = glockd("-history", "4096")
    owner = daemon.client("tcp")
    takes(owner, "g", 20_000)
    owner.says("iam owner").hears("1 ok")
    with bystander(daemon):
        for _ in range(2):
            client = daemon.client(transport)
            line = question.encode() + b"\n"
            if isinstance(client, WebSocketClient):
                line = client.frame(client.TEXT, question)
            with contextlib.suppress(OSError):
                client.sock.settimeout(0.2)
                client.sock.sendall(line * (60_000 // len(line)))
            client.vanishes()
        wait_until(lambda: b"connections: 2\n" in ask_for_counters(owner), patience=60)


def ask_for_counters(client: SocketClient) -> bytes:
    client.says("q")
    reply = b""
    while b"shared_orphans" not in reply:
        reply += client.hears_a_line()
    return reply


def test_what_was_read_before_a_reset_is_carried_out(glockd: Spawner) -> None:
    daemon = glockd()
    alice, bob = daemon.client("tcp"), daemon.client("tcp")
    bob.says("wait 60 last")
    bob.hears_bytes("1 Lock Get Success: last\n")
    alice.sends(b"i x\n" * 3000 + b"dump\n" * 100 + b"iam alice\n" + b"sg done\n")
    alice.vanishes()
    wait_until(
        lambda: b"command_sg: 1\n" in ask_for_counters(bob) or b"connections: 1\n" in ask_for_counters(bob)
    )


# Waits


def test_junk_behind_a_wait_is_looked_through_once(glockd: Spawner) -> None:
    """Each byte of a waiting client used to cost a look through all that it had sent before."""
    daemon = glockd()
    keeper, waiter = daemon.client("tcp"), daemon.stream()
    keeper.says("g busy").hears("1 Lock Get Success: busy")
    waiter.says("wait 600 busy")
    with bystander(daemon):
        waiter.sends(b"not to cancel\n" + b"\n" * 60_000)
        for _ in range(300):
            waiter.sends(b"\n")
            time.sleep(0.001)
    waiter.sends("cancel\n").hears_bytes("0 Lock Get Failure: busy\n").hears_bytes("1 Cancelled\n")


@pytest.mark.transports("tcp", "unix")
def test_a_cancel_is_found_wherever_it_lies(glockd: Spawner, transport: str) -> None:
    daemon = glockd()
    keeper, waiter = daemon.client("tcp"), daemon.stream(transport)
    keeper.says("g busy").hears("1 Lock Get Success: busy")
    for parts in (
        ["can", "cel\n"],
        ["cancel", "\r\n"],
        ["i x\n", "cancel\n"],
        ["i cancel\ncancelled\n cancel \n"],
    ):
        waiter.sends("wait 600 busy\n")
        for part in parts:
            wait_until(lambda: b'"place":1' in keeper.says("explain busy").hears_a_line())
            waiter.sends(part)
            keeper.says("ping").hears("1 pong")
        waiter.hears_bytes("0 Lock Get Failure: busy\n").hears_bytes("1 Cancelled\n")
        if len(parts) == 1:
            waiter.hears_bytes("0 Lock Not Locked: cancel\r\n")
        elif parts[0] == "i x\n":
            waiter.hears_bytes("0 Lock Not Locked: x\r\n")
    waiter.hangs_up()


def test_thousands_of_readers_are_let_in_without_a_stall(glockd: Spawner) -> None:
    daemon, count = glockd(), 3000
    writer = daemon.client("tcp")
    writer.says("g door").hears("1 Lock Get Success: door")
    readers = [daemon.client("unix") for _ in range(count)]
    for reader in readers:
        reader.says("read 600 door")
    last = b'"place":%d' % count
    wait_until(lambda: last in writer.says("explain door").hears_a_line())
    with bystander(daemon):
        writer.says("r door").hears("1 Lock Release Success: door")
        for number, reader in enumerate(readers, 1):
            # The count is the one of the grant, in the order of the line.
            reader.hears_bytes(f"{number} Lock Get Success: door\n")


def test_kicked_and_granted_in_one_packet(glockd: Spawner) -> None:
    daemon = glockd("-admin")
    admin, victim, heir = daemon.stream("unix"), daemon.client("tcp"), daemon.client("tcp")
    admin.says("g job").hears("1 Lock Get Success: job")
    for place, client in enumerate((victim, heir), 1):
        client.says("wait 600 job")
        queued = b'"place":%d' % place
        wait_until(lambda queued=queued: queued in admin.says("explain job").hears_a_line())
    admin.says(f"kick {victim.address}", "r job").hears_bytes(f"1 Kicked: {victim.address}\n")
    admin.hears_bytes("1 Lock Release Success: job\n")
    heir.hears_bytes("1 Lock Get Success: job\n")
    assert victim.read_more() is False or victim.take(1 << 16) == b"1 Lock Get Success: job\n"
    admin.says("i job").hears_bytes("1 Lock Is Locked: job\r\n")


def test_a_kicked_session_takes_nothing_more(glockd: Spawner) -> None:
    daemon = glockd("-admin")
    admin, victim = daemon.client("unix"), daemon.stream()
    takes(victim, "g", 50_000)
    victim.sends("notify on\n").hears_bytes("1 ok\n")
    victim.sock.setblocking(False)
    admin.says(f"kick {victim.address}").hears_bytes(f"1 Kicked: {victim.address}\n")
    with contextlib.suppress(OSError):
        for number in range(2000):
            victim.sock.send(b"g more-%d\nwait 600 more-%d\n" % (number, number))
    wait_until(lambda: b"\nlocks: 0\n" in ask_for_counters(admin))
    assert b"\nconnections: 1\n" in ask_for_counters(admin)


# Strangers


FOREIGN = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(128, 256)),
    "zeros": bytes(100_000),
    "no line end": b"x" * 1_000_000,
    "line ends": b"\n" * 1_000_000,
    "spaces": b" " * 500_000 + "\u3000".encode() * 100_000 + b"\n",
    "high bytes": bytes(range(256)) * 2000,
    "names": b"g " + b"a " * 2000 + b"\n",
    "numbers": b"wait "
    + b"9" * 4000
    + b" busy\nlease "
    + b"9" * 400
    + b" x\nshare 1 "
    + b"9" * 400
    + b" x\n",
}


@pytest.mark.transports("tcp", "unix", "websocket")
@pytest.mark.parametrize("junk", FOREIGN.values(), ids=FOREIGN)
def test_junk_harms_nobody(glockd: Spawner, transport: str, junk: bytes) -> None:
    daemon = glockd()
    with bystander(daemon):
        for _ in range(3):
            stranger = daemon.connect(transport)
            stranger.sock.settimeout(2)
            with contextlib.suppress(OSError, AssertionError):
                stranger.sends(junk)
            stranger.vanishes()
            if transport == "websocket":
                shaken = daemon.web().opens()
                with contextlib.suppress(OSError):
                    shaken.sends(junk)
                shaken.vanishes()
                speaks = daemon.web().opens()
                with contextlib.suppress(OSError):
                    speaks.sends_frame(speaks.BINARY, junk)
                speaks.vanishes()
        watcher = daemon.client("tcp")
        wait_until(lambda: b"connections: 2\n" in ask_for_counters(watcher))
    daemon.stop()


def where_http_is(daemon: Glockd) -> str:
    return f"0 No HTTP Here: see http://{daemon.ws[0]}:{daemon.ws[1]}/\n"


@pytest.mark.transports("tcp", "unix")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_asks_for_a_page_is_told_where_it_is(glockd: Spawner, transport: str, method: str) -> None:
    daemon = glockd()
    client = daemon.stream(transport)
    client.sends(f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.hears_bytes(where_http_is(daemon)).is_hung_up_on()
    assert b"invalid_commands: 1\n" in ask_for_counters(daemon.client("tcp"))
    daemon.logs("refused", "http=1")


@pytest.mark.transports("tcp", "unix")
def test_a_page_cannot_post_commands(glockd: Spawner, transport: str) -> None:
    """Cross-protocol scripting: a browser lets any page post any text to any port, but only in HTTP."""
    daemon = glockd()
    watcher = daemon.client("tcp")
    for number, path in enumerate(("/", "/" + 5000 * "x"), 1):
        client = daemon.stream(transport)
        client.sends(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\ng job\n")
        client.hears_bytes(where_http_is(daemon)).is_hung_up_on()
        assert b"\nlocks: 0\n" in ask_for_counters(watcher)
        wait_until(lambda n=number: sum(map(int, re.findall(r"http=(\d+)", daemon.stderr))) == n)
    # The word alone is nobody's protocol.
    watcher.says("POST", "POST x", "ping")
    watcher.hears_nothing().hears_nothing().hears("1 pong")


def test_http_is_where_an_option_puts_it(glockd: Spawner) -> None:
    daemon = glockd("-http", "127.0.0.1:0", listen=("tcp", "ws"))
    client = daemon.stream().sends("GET / HTTP/1.1\r\n\r\n")
    told = client.hears_a_line().decode()
    port = re.fullmatch(r"0 No HTTP Here: see http://127\.0\.0\.1:(\d+)/\n", told)
    assert port
    assert int(port[1]) != daemon.ws[1]
    assert ask(("127.0.0.1", int(port[1])), "/healthz").status == 200


def test_a_flood_of_connections_harms_nobody(glockd: Spawner) -> None:
    daemon = glockd()
    with bystander(daemon):
        for _ in range(3000):
            with socket.socket() as sock:
                sock.connect(daemon.tcp)
        for _ in range(500):
            daemon.stream().sends("g job2\n").vanishes()
    watcher = daemon.client("tcp")
    wait_until(lambda: b"connections: 2\n" in ask_for_counters(watcher))
    watcher.says("g job2").hears("1 Lock Get Success: job2")


def test_slow_writers_harm_nobody(glockd: Spawner) -> None:
    daemon = glockd()
    slow = [daemon.stream() for _ in range(200)]
    with bystander(daemon):
        for byte in b"g slow\n":
            for client in slow:
                client.sends(bytes([byte]))
    answers = sorted(client.hears_a_line() for client in slow)
    assert answers == [b"0 Lock Get Failure: slow\r\n"] * 199 + [b"1 Lock Get Success: slow\r\n"]


@pytest.mark.parametrize("word", ["a ", "\u3000", "\u00e9 "])
def test_a_message_of_a_million_words_is_no_name(glockd: Spawner, word: str) -> None:
    daemon = glockd()
    client = daemon.web().opens()
    with bystander(daemon):
        client.says("g " + word * (4 << 20))
        assert client.hears_a_line().startswith(b"0 Name Too Long: g ")
    client.says("ping").hears("1 pong")


def test_empty_fragments_cost_nothing(glockd: Spawner) -> None:
    daemon = glockd()
    client = daemon.web().opens()
    client.sends_frame(client.TEXT, "g ", final=False)
    for _ in range(10):
        client.sends(client.frame(client.CONTINUATION, b"", final=False) * 10_000)
    client.sends_frame(client.CONTINUATION, "job").hears_frame(client.TEXT, "1 Lock Get Success: job\r\n")
