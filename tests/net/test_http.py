"""HTTP as handlers are served: bodies, order, keep-alive, streams, limits, ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import pytest

from glockd.net.answers import refused, text
from glockd.net.exchange import Answer, Ask
from glockd.net.http import BACKLOG, LINGERING
from glockd.net.http_way import HttpWay
from glockd.net.reader import Limits
from tests.support.wires import Visit, looks, service_alone, until, visiting, way


def echo(ask: Ask) -> Answer:
    """Tells what was asked."""
    return Answer(
        200, (("X-Peer", ask.peer.decode()),), f"{ask.method} {ask.path}".encode() + b"|" + ask.body
    )


class Later:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Ask, asyncio.Future[Answer]]] = []

    def __call__(self, ask: Ask) -> asyncio.Future[Answer]:
        future = asyncio.get_running_loop().create_future()
        self.asked.append((ask, future))
        return future


def is_gone_at_a_look(one: HttpWay) -> bool:
    looks(one, 1)
    return not one.connections


def has_read(one: HttpWay, more_than: int) -> bool:
    return one.traffic.received > more_than


def has_asked(later: Later, times: int) -> bool:
    return len(later.asked) == times


# Requests


async def test_one_connection_serves_one_request_after_another() -> None:
    async with visiting(way(service_alone(), echo)) as visit:
        alice = await visit()
        for number in range(3):
            alice.sends(f"GET /{number}?q HTTP/1.1\nHost: x\n\n")
            fields, body = await alice.hears(200)
            assert body == b"GET /%d|" % number
            assert "connection" not in fields
            assert fields["date"].endswith(" GMT")
            assert fields["content-length"] == str(len(body))
        port = alice.writer.get_extra_info("sockname")[1]
        assert fields["x-peer"] == f"127.0.0.1:{port}"


@pytest.mark.parametrize(
    "request_",
    [
        "POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello",
        "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n2\nhe\n3;a=b\nllo\n0\nTrailer: x\n\n",
        "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: Chunked\n\n05\nhello\n0\n\n",
    ],
    ids=["plain", "chunked", "one chunk"],
)
async def test_a_body_is_read_however_it_comes(request_: str) -> None:
    async with visiting(way(service_alone(), echo)) as visit:
        whole, slow = await visit(), await visit()
        whole.sends(request_ * 2)
        for _ in range(2):
            assert (await whole.hears(200))[1] == b"POST /|hello"
        for byte in request_.replace("\n", "\r\n").encode():
            slow.sends(bytes([byte]))
            await asyncio.sleep(0)
        assert (await slow.hears(200))[1] == b"POST /|hello"


async def test_a_large_body_is_read_in_turns() -> None:
    body = bytes(range(256)) * 16000
    async with visiting(way(service_alone(), echo, Limits(body=len(body)))) as visit:
        alice = await visit()
        alice.sends(f"PUT /x HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n\n").sends(body)
        assert (await alice.hears(200))[1] == b"PUT /x|" + body


async def test_answers_come_in_the_order_of_the_requests() -> None:
    later = Later()
    async with visiting(way(service_alone(), later)) as visit:
        alice = await visit()
        alice.sends("".join(f"GET /{number} HTTP/1.1\nHost: x\n\n" for number in range(50)))
        for number in range(50):
            await until(partial(has_asked, later, number + 1))
            ask, future = later.asked[-1]
            assert ask.path == f"/{number}"
            future.set_result(text(str(number)))
            assert (await alice.hears(200))[1] == b"%d\n" % number


async def test_a_request_waits_for_the_answer_to_the_one_before_it() -> None:
    later = Later()
    async with visiting(way(service_alone(), later)) as visit:
        alice, bob = await visit(), await visit()
        alice.sends("GET /1 HTTP/1.1\nHost: x\n\nGET /2 HTTP/1.1\nHost: x\n\n")
        await until(lambda: later.asked)
        bob.sends("GET /3 HTTP/1.1\nHost: x\n\n")
        await until(lambda: len(later.asked) == 2)
        assert [ask.path for ask, _ in later.asked] == ["/1", "/3"]


async def test_who_sends_ahead_too_much_is_not_read_from() -> None:
    later = Later()
    one = way(service_alone(), later)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET /1 HTTP/1.1\nHost: x\n\n" + "GET /2 HTTP/1.1\nHost: x\n\n" * 200_000)
        await until(lambda: later.asked)
        (protocol,) = one.connections
        await until(lambda: len(protocol._unread) > BACKLOG)
        read = one.traffic.received
        assert read < BACKLOG + 300_000
        for _ in range(20):
            await asyncio.sleep(0)
        assert one.traffic.received == read
        later.asked[0][1].set_result(text("one"))
        assert (await alice.hears(200))[1] == b"one\n"
        alice.resets()
        await until(partial(is_gone_at_a_look, one))


async def test_a_done_future_is_an_answer() -> None:
    def done(ask: Ask) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        future.set_result(text("done"))
        return future

    async with visiting(way(service_alone(), done)) as visit:
        alice = await visit()
        assert (await alice.sends("GET / HTTP/1.1\nHost: x\n\n").hears(200))[1] == b"done\n"


async def test_head_is_get_without_the_body() -> None:
    async with visiting(way(service_alone(), echo)) as visit:
        alice = await visit()
        alice.sends("HEAD /x HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\nHost: x\nConnection: close\n\n")
        start = await alice.reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 8\r\n" in start
        assert (await alice.hears(200))[1] == b"GET /|"


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_body(status: int) -> None:
    async with visiting(way(service_alone(), lambda _: Answer(status, (), b"nothing"))) as visit:
        alice = await visit()
        for _ in range(2):
            fields, _ = await alice.sends("GET / HTTP/1.1\nHost: x\n\n").hears(status)
            assert "content-length" not in fields


# Keep-alive


@pytest.mark.parametrize(
    ("request_", "connection"),
    [
        ("GET / HTTP/1.1\nHost: x\nConnection: close\n\n", "close"),
        ("GET / HTTP/1.0\n\n", "close"),
        ("GET / HTTP/1.0\nConnection: keep-alive\n\n", "keep-alive"),
        ("GET / HTTP/1.1\nHost: x\n\n", None),
    ],
)
async def test_the_client_says_whether_it_goes_on(request_: str, connection: str | None) -> None:
    async with visiting(way(service_alone(), echo)) as visit:
        alice = await visit()
        fields, _ = await alice.sends(request_).hears(200)
        assert fields.get("connection") == connection
        if connection == "close":
            assert await alice.is_hung_up_on() == b""
        else:
            await alice.sends(request_).hears(200)


async def test_what_comes_behind_the_last_request_is_not_read() -> None:
    asked: list[str] = []

    def note(ask: Ask) -> Answer:
        asked.append(ask.path)
        return text("ok")

    async with visiting(way(service_alone(), note)) as visit:
        alice = await visit()
        alice.sends("GET /1 HTTP/1.1\nHost: x\nConnection: close\n\nGET /2 HTTP/1.1\nHost: x\n\n")
        await alice.hears(200)
        assert await alice.is_hung_up_on() == b""
        assert asked == ["/1"]
        assert not +alice.policy.refused


# Expectations


async def test_a_client_that_waits_for_leave_gets_it() -> None:
    async with visiting(way(service_alone(), echo)) as visit:
        alice = await visit()
        head = "POST / HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 2\n\n"
        alice.sends("GET /1 HTTP/1.1\nHost: x\n\n" + head)
        assert (await alice.hears(200))[1] == b"GET /1|"
        assert await alice.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await alice.sends("ok").hears(200))[1] == b"POST /|ok"
        # It need not wait, and then there is nothing to say.
        assert (await alice.sends(head + "ok").hears(200))[1] == b"POST /|ok"


async def test_a_body_that_is_too_large_gets_no_leave() -> None:
    async with visiting(way(service_alone(), echo, Limits(body=10))) as visit:
        alice = await visit()
        alice.sends("POST / HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 11\n\n")
        assert (await alice.hears(413))[1] == b"A body may have 10 bytes.\n"


# What is refused

HOST = "Host: x\n"
MALFORMED = {
    "no Host": ("GET / HTTP/1.1\n\n", 400),
    "two Hosts": ("GET / HTTP/1.1\nHost: x\nHost: x\n\n", 400),
    "a name that is no token": (f"GET / HTTP/1.1\n{HOST}a b: c\n\n", 400),
    "a space before the colon": (f"POST / HTTP/1.1\n{HOST}Content-Length : 3\n\nabc", 400),
    "a field on two lines": (f"GET / HTTP/1.1\n{HOST}X: a\n b\n\n", 400),
    "a bare CR": (b"GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n", 400),
    "bare LFs": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "NUL": (f"GET / HTTP/1.1\n{HOST}X: a\0b\n\n", 400),
    "length and chunks": (
        f"POST / HTTP/1.1\n{HOST}Content-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n",
        400,
    ),
    "chunks and length": (
        f"POST / HTTP/1.1\n{HOST}Transfer-Encoding: chunked\nContent-Length: 3\n\n0\n\n",
        400,
    ),
    "two lengths": (f"POST / HTTP/1.1\n{HOST}Content-Length: 3\nContent-Length: 4\n\nabc", 400),
    "a list of lengths": (f"POST / HTTP/1.1\n{HOST}Content-Length: 3, 4\n\nabc", 400),
    "the same length twice": (f"POST / HTTP/1.1\n{HOST}Content-Length: 3\nContent-Length: 3\n\nabc", 400),
    "a length with a sign": (f"POST / HTTP/1.1\n{HOST}Content-Length: +3\n\nabc", 400),
    "a length that overflows": (f"POST / HTTP/1.1\n{HOST}Content-Length: {10**30}\n\nabc", 400),
    "a length in hex": (f"POST / HTTP/1.1\n{HOST}Content-Length: 0x3\n\nabc", 400),
    "gzip": (f"POST / HTTP/1.1\n{HOST}Transfer-Encoding: gzip\n\n", 501),
    "gzip, chunked": (f"POST / HTTP/1.1\n{HOST}Transfer-Encoding: gzip, chunked\n\n0\n\n", 501),
    "chunked twice": (f"POST / HTTP/1.1\n{HOST}Transfer-Encoding: chunked, chunked\n\n0\n\n", 501),
    "chunked, identity": (
        f"POST / HTTP/1.1\n{HOST}Transfer-Encoding: chunked\nTransfer-Encoding: identity\n\n0\n\n",
        501,
    ),
    "chunks in HTTP/1.0": ("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n0\n\n", 400),
    "a negative chunk": (f"POST / HTTP/1.1\n{HOST}Transfer-Encoding: chunked\n\n-1\na\n0\n\n", 400),
    "a chunk that is too long": (f"POST / HTTP/1.1\n{HOST}Transfer-Encoding: chunked\n\n1\nab\n0\n\n", 400),
    "a chunk ended by LF": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n", 400),
    "another expectation": (f"POST / HTTP/1.1\n{HOST}Expect: tea\nContent-Length: 1\n\na", 417),
    "an unknown method": (f"BREW / HTTP/1.1\n{HOST}\n", 501),
    "a proxy's method": (f"CONNECT x:1 HTTP/1.1\n{HOST}\n", 501),
    "HTTP/0.9": ("GET /\n\n", 505),
    "HTTP/1.2": (f"GET / HTTP/1.2\n{HOST}\n", 505),
    "HTTP/2": ("PRI * HTTP/2.0\n\nSM\n\n", 505),
    "HTTP/2 without its preface": (f"GET / HTTP/2.0\n{HOST}\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", 501),
    "a line": (b"g job\r\n", 501),
    "a target of bytes": ("GET /\xe9 HTTP/1.1\nHost: x\n\n", 400),
    "a target with a blank": (f"GET /a b HTTP/1.1\n{HOST}\n", 400),
    "a target with a fragment": (f"GET /a#b HTTP/1.1\n{HOST}\n", 400),
    "a target that is no URL": (f"GET http://[ HTTP/1.1\n{HOST}\n", 400),
}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(("request_", "status"), MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_malformed_is_answered_with_a_line_and_ends(
    request_: str | bytes, status: int, whole: bool
) -> None:
    asked: list[Ask] = []
    async with visiting(way(service_alone(), lambda ask: asked.append(ask) or text(""))) as visit:  # type: ignore[func-returns-value]
        alice = await visit()
        if whole:
            alice.sends(request_)
            alice.sends("GET /smuggled HTTP/1.1\nHost: x\n\n")
        else:
            raw = (
                request_ if isinstance(request_, bytes) else request_.replace("\n", "\r\n").encode("latin-1")
            )
            for byte in raw:
                alice.sends(bytes([byte]))
                await asyncio.sleep(0)
        fields, body = await alice.hears(status)
        assert body.endswith(b".\n")
        assert fields["connection"] == "close"
        assert await alice.is_hung_up_on() == b""
        assert alice.policy.refused == {"malformed": 1}
        assert asked == []


async def test_what_came_before_something_malformed_is_answered_first() -> None:
    later = Later()
    async with visiting(way(service_alone(), later)) as visit:
        alice = await visit()
        alice.sends("GET /1 HTTP/1.1\nHost: x\n\nnonsense\n\n")
        await until(lambda: later.asked)
        later.asked[0][1].set_result(text("one"))
        assert (await alice.hears(200))[1] == b"one\n"
        await alice.hears(501)


@pytest.mark.parametrize("size", [16384, 65536, 1 << 20])
async def test_a_head_has_its_limit(size: int) -> None:
    async with visiting(way(service_alone(), echo, Limits(head=size))) as visit:
        alice, bob = await visit(), await visit()
        for one, much, status in ((alice, size - 100, 200), (bob, size + 1, 431)):
            one.sends("GET / HTTP/1.1\nHost: x\nX: " + "x" * much + "\n\n")
            await one.hears(status)
        assert bob.policy.refused == {"head": 1}
        assert await bob.is_hung_up_on() == b""


@pytest.mark.parametrize(
    "endless",
    [
        "GET /" + "x" * 4_000_000,
        "GET / HTTP/1.1\nX: " + "x" * 4_000_000,
        "GET / HTTP/1.1\n" + "X: y\n" * 400_000,
        "\n" * 400_000,
        "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n1;" + "x" * 4_000_000,
        "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\nX: " + "x" * 4_000_000,
    ],
    ids=["target", "field", "fields", "nothing", "chunk extension", "trailer"],
)
async def test_what_never_ends_is_cut_short(endless: str) -> None:
    one = way(service_alone(), echo)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends(endless)
        await alice.hears(431)
        assert alice.policy.refused == {"head": 1}


@pytest.mark.parametrize("size", [16383, (1 << 20) + 1])
async def test_a_limit_for_heads_has_its_range(size: int) -> None:
    with pytest.raises(ValueError, match=f"a head of {size} bytes"):
        way(service_alone(), echo, Limits(head=size))


async def test_there_may_be_only_so_many_fields() -> None:
    async with visiting(way(service_alone(), echo)) as visit:
        alice, bob = await visit(), await visit()
        await alice.sends("GET / HTTP/1.1\nHost: x\n" + "X: y\n" * 127 + "\n").hears(200)
        await bob.sends("GET / HTTP/1.1\nHost: x\n" + "X: y\n" * 128 + "\n").hears(431)


async def test_a_body_has_its_limit() -> None:
    async with visiting(way(service_alone(), echo, Limits(body=100))) as visit:
        for start, end in (
            ("Content-Length: 100\n\n", ""),
            ("Transfer-Encoding: chunked\n\n64\n", "\n0\n\n"),
        ):
            alice = await visit()
            await alice.sends("POST / HTTP/1.1\nHost: x\n" + start + "x" * 100 + end).hears(200)
        for start in ("Content-Length: 101\n\n", "Transfer-Encoding: chunked\n\n65\n"):
            bob = await visit()
            bob.sends("POST / HTTP/1.1\nHost: x\n" + start + "x" * 101)
            await bob.hears(413)
            # It may still be sending: its answer is not lost by a reset.
            bob.sends(b"x" * 2_000_000)
            assert await bob.is_hung_up_on() == b""
        assert bob.policy.refused == {"body": 2}


async def test_who_goes_on_sending_behind_a_refusal_is_cut_off() -> None:
    one = way(service_alone(), echo)
    async with visiting(one) as visit:
        alice = await visit()
        await alice.sends("nonsense\n").hears(501)
        looks(one, LINGERING - 1)
        assert one.connections
        looks(one, 1)
        await until(lambda: not one.connections)


async def test_the_guard_is_asked_before_the_handler() -> None:
    asked: list[Ask] = []

    def note(ask: Ask) -> Answer:
        asked.append(ask)
        return text("ok")

    one = way(
        service_alone(), note, guard=lambda ask: refused("origin", 403, "No.") if ask.path == "/x" else None
    )
    async with visiting(one) as visit:
        alice = await visit()
        assert (await alice.sends("POST /x HTTP/1.1\nHost: x\nContent-Length: 1\n\na").hears(403))[
            1
        ] == b"No.\n"
        # It is a whole request, so the connection goes on.
        await alice.sends("GET /y HTTP/1.1\nHost: x\n\n").hears(200)
        assert [ask.path for ask in asked] == ["/y"]
        assert alice.policy.refused == {"origin": 1}


# Time


@pytest.mark.parametrize(
    ("sent", "times", "reason"),
    [
        ("", 10, "handshake"),
        ("GET / HT", 11, "handshake"),
        ("POST / HTTP/1.1\nHost: x\nContent-Length: 9\n\nabc", 8, "slow"),
    ],
)
async def test_a_request_has_to_come_in_time(sent: str, times: int, reason: str) -> None:
    one = way(service_alone(handshake_seconds=10), echo, Limits(body_seconds=7))
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends(sent)
        await until(lambda: one.traffic.received == len(sent.replace("\n", "\r\n")) and one.connections)
        looks(one, times - 1)
        assert not alice.policy.refused
        looks(one, 1)
        await alice.hears(408)
        assert alice.policy.refused == {reason: 1}


async def test_a_body_that_trickles_has_to_come_in_time_too() -> None:
    one = way(service_alone(), echo, Limits(body_seconds=7))
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("POST / HTTP/1.1\nHost: x\nContent-Length: 99\n\n")
        for number in range(8):
            alice.sends("x")
            await until(partial(has_read, one, one.traffic.received))
            assert not alice.policy.refused, number
            looks(one, 1)
        await alice.hears(408)


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    one = way(service_alone(), echo, Limits(idle_seconds=20))
    async with visiting(one) as visit:
        alice = await visit()
        for _ in range(2):
            await alice.sends("GET / HTTP/1.1\nHost: x\n\n").hears(200)
            looks(one, 19)
        looks(one, 1)
        assert await alice.is_hung_up_on() == b""
        assert not alice.policy.refused


async def test_a_call_may_take_as_long_as_it_likes() -> None:
    later = Later()
    one = way(service_alone(), later, Limits(idle_seconds=5, body_seconds=5))
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        await until(lambda: later.asked)
        looks(one, 1000)
        later.asked[0][1].set_result(text("at last"))
        assert (await alice.hears(200))[1] == b"at last\n"


async def test_who_does_not_read_its_answers_is_cut_off() -> None:
    one = way(service_alone(), lambda _: Answer(200, (), b"x" * 1_000_000))
    async with visiting(one) as visit:
        alice = await visit()
        alice.writer.transport.pause_reading()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n" * 1000)
        (protocol,) = one.connections
        await until(lambda: protocol._stuffed)
        for _ in range(5):
            await asyncio.sleep(0)
        assert one.traffic.sent < 50_000_000
        looks(one, one.service.policy.config.slow_reader_seconds + 2)
        await until(lambda: not one.connections)
        assert alice.policy.refused == {"output": 1}


# Faults of handlers


async def fails(one: Visit, faults: list[str]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(repr(context["exception"])))
    _, body = await one.sends("GET / HTTP/1.1\nHost: x\n\n").hears(500)
    assert body == b"This is the daemon's own fault; its log says more.\n"


async def test_a_handler_that_fails_is_logged_and_answered() -> None:
    faults: list[str] = []
    later = Later()
    async with visiting(way(service_alone(), lambda _: 1 // 0)) as visit:  # type: ignore[arg-type, return-value]
        await fails(await visit(), faults)
    async with visiting(way(service_alone(), later)) as visit:
        task = asyncio.create_task(fails(await visit(), faults))
        await until(lambda: later.asked)
        later.asked[0][1].set_exception(ValueError("later"))
        await task
    async with visiting(way(service_alone(), lambda _: text("", 200, ("X", "a\r\nSet-Cookie: b")))) as visit:
        await fails(await visit(), faults)
    assert [fault.partition("(")[0] for fault in faults] == ["ZeroDivisionError", "ValueError", "ValueError"]


async def test_a_cancelled_call_is_answered_too() -> None:
    later = Later()
    async with visiting(way(service_alone(), later)) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        await until(lambda: later.asked)
        later.asked[0][1].cancel()
        await alice.hears(503)


# Streams


class Events:
    """An endless answer, and what becomes of it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.left = False

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            while piece := await self.queue.get():
                yield piece
        finally:
            self.left = True

    def __call__(self, _: Ask) -> Answer:
        return Answer(200, (("Content-Type", "text/event-stream"),), pieces=self._pieces())


async def test_an_answer_can_come_bit_by_bit() -> None:
    events = Events()
    one = way(service_alone(), events)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        start = await alice.reader.readuntil(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked\r\n" in start
        assert b"Content-Length" not in start
        for word in (b"one", b"two" * 100):
            events.queue.put_nowait(word)
            assert await alice.reader.readline() == b"%x\r\n" % len(word)
            assert await alice.reader.readline() == word + b"\r\n"
        looks(one, 1000)
        assert not events.left
        events.queue.put_nowait(b"")
        assert await alice.reader.readexactly(5) == b"0\r\n\r\n"
        assert events.left
        # And the connection goes on.
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        events.queue.put_nowait(b"")
        await alice.hears(200)


@pytest.mark.parametrize("how", ["ends", "resets", "shuts down"])
async def test_a_stream_is_told_when_its_client_leaves(how: str) -> None:
    events = Events()
    one = way(service_alone(), events)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        events.queue.put_nowait(b"one")
        await alice.reader.readuntil(b"one")
        match how:
            case "ends":
                await alice.ends()
            case "resets":
                alice.resets()
            case _:
                alice.writer.write_eof()
        await until(lambda: events.left and not one.connections)


async def test_a_stream_goes_no_faster_than_its_client_reads() -> None:
    made = 0

    async def many() -> AsyncGenerator[bytes, None]:
        nonlocal made
        while made < 1000:
            made += 1
            yield b"x" * 100_000

    one = way(service_alone(), lambda _: Answer(pieces=many()))
    async with visiting(one) as visit:
        alice = await visit()
        alice.writer.transport.pause_reading()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        (protocol,) = one.connections
        await until(lambda: protocol._stuffed)
        for _ in range(50):
            await asyncio.sleep(0)
        assert made < 500
        alice.writer.transport.resume_reading()
        _, body = await alice.hears(200)
        assert len(body) == 100_000_000


async def test_an_old_client_gets_a_stream_without_chunks() -> None:
    events = Events()
    async with visiting(way(service_alone(), events)) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.0\nConnection: keep-alive\n\n")
        for word in (b"one", b"two", b""):
            events.queue.put_nowait(word)
        assert (await alice.is_hung_up_on()).endswith(b"Connection: close\r\n\r\nonetwo")


class Told:
    """Pieces that note what they are asked."""

    def __init__(self) -> None:
        self.asked = self.closed = 0

    def __aiter__(self) -> Told:
        return self

    async def __anext__(self) -> bytes:
        self.asked += 1
        return b"more"

    async def aclose(self) -> None:
        self.closed += 1


async def test_head_of_an_endless_stream_has_no_body_and_an_end() -> None:
    told = Told()
    async with visiting(way(service_alone(), lambda _: Answer(pieces=told))) as visit:
        alice = await visit()
        for _ in range(2):
            alice.sends("HEAD / HTTP/1.1\nHost: x\n\n")
            assert b"Transfer-Encoding: chunked" in await alice.reader.readuntil(b"\r\n\r\n")
        alice.sends("HEAD / HTTP/1.1\nHost: x\nConnection: close\n\n")
        assert (await alice.is_hung_up_on()).endswith(b"\r\n\r\n")
        assert (told.asked, told.closed) == (0, 3)


async def test_a_stream_whose_client_leaves_before_its_first_piece_is_told() -> None:
    told = Told()
    one = way(service_alone(), lambda _: Answer(pieces=told))
    async with visiting(one) as visit:
        await visit()
        await until(lambda: one.connections)
        (protocol,) = one.connections
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        protocol.eof_received()
        await until(lambda: told.closed)
        assert told.asked == 0


async def test_a_stream_that_fails_does_not_look_whole() -> None:
    faults: list[str] = []

    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise ValueError("broken")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["message"]))
    async with visiting(way(service_alone(), lambda _: Answer(pieces=broken()))) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        try:
            heard = await alice.is_hung_up_on()
        except ConnectionResetError:
            heard = b""
        assert not heard.endswith(b"0\r\n\r\n")
    assert faults == ["an answer has broken off"]


async def test_a_stream_that_fails_to_close_does_not_look_whole() -> None:
    faults: list[str] = []

    async def broken() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
        finally:
            raise ValueError("broken")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["message"]))
    one = way(service_alone(), lambda _: Answer(pieces=broken()))
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        await until(lambda: faults and not one.connections)
    assert faults == ["an answer has broken off"]


# Ends


async def test_who_shuts_down_its_side_gets_what_can_be_answered() -> None:
    async with visiting(way(service_alone(), echo)) as visit:
        alice = await visit()
        alice.sends("GET /1 HTTP/1.1\nHost: x\n\n" * 100 + "GET /2 HT")
        alice.writer.write_eof()
        for _ in range(100):
            assert (await alice.hears(200))[1] == b"GET /1|"
        assert await alice.is_hung_up_on() == b""


@pytest.mark.parametrize("how", ["ends", "resets", "shuts down"])
async def test_a_call_whose_client_leaves_is_given_up(how: str) -> None:
    later = Later()
    one = way(service_alone(), later)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        await until(lambda: later.asked)
        match how:
            case "ends":
                await alice.ends()
            case "resets":
                alice.resets()
            case _:
                alice.writer.write_eof()
        await until(lambda: later.asked[0][1].cancelled())
        await until(lambda: not one.connections)


async def test_a_call_may_be_done_and_given_up_in_one_turn() -> None:
    later = Later()
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["message"]))
    one = way(service_alone(), later)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        await until(lambda: later.asked)
        later.asked[0][1].set_result(text("late"))
        (protocol,) = one.connections
        protocol.eof_received()
        assert await alice.is_hung_up_on() == b""
    assert faults == []


async def test_a_door_may_wait_for_who_has_shut_down_its_side() -> None:
    later = Later()
    one = way(service_alone(), later, half_close=True)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        alice.writer.write_eof()
        await until(lambda: later.asked and next(iter(one.connections))._ended)
        later.asked[0][1].set_result(text("here"))
        assert (await alice.hears(200))[1] == b"here\n"
        assert await alice.is_hung_up_on() == b""


async def test_a_reset_in_the_middle_of_a_body_asks_nothing() -> None:
    later = Later()
    one = way(service_alone(), later)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("POST / HTTP/1.1\nHost: x\nContent-Length: 9\n\nabc")
        await until(lambda: one.traffic.received)
        alice.resets()
        await until(lambda: not one.connections)
        assert later.asked == []


async def test_who_sent_too_much_and_left_is_noticed() -> None:
    later = Later()
    one = way(service_alone(), later)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET /1 HTTP/1.1\nHost: x\n\n" * 100_000)
        (protocol,) = one.connections
        await until(lambda: protocol._paused)
        alice.resets()
        await until(partial(is_gone_at_a_look, one))
        assert later.asked[0][1].cancelled()


async def test_a_draining_way_gives_what_is_in_flight_and_closes() -> None:
    later = Later()
    one = way(service_alone(), later)
    async with visiting(one) as visit:
        idle, half, busy = await visit(), await visit(), await visit()
        half.sends("GET / HT")
        busy.sends("GET / HTTP/1.1\nHost: x\n\n")
        await until(lambda: later.asked and len(one.connections) == 3)
        task = asyncio.create_task(one.drain(one.service.now() + 60))
        assert await idle.is_hung_up_on() == await half.is_hung_up_on() == b""
        later.asked[0][1].set_result(text("last"))
        fields, body = await busy.hears(200)
        assert (fields["connection"], body) == ("close", b"last\n")
        await task
        assert not one.connections


async def test_a_draining_way_cuts_off_who_takes_too_long() -> None:
    events = Events()
    one = way(service_alone(), events)
    async with visiting(one) as visit:
        alice = await visit()
        alice.sends("GET / HTTP/1.1\nHost: x\n\n")
        await alice.reader.readuntil(b"\r\n\r\n")
        await one.drain(one.service.now())
        await until(lambda: events.left and not one.connections)


async def test_who_may_not_come_in_hears_why() -> None:
    one = way(service_alone(max_connections=1), echo)
    async with visiting(one) as visit:
        alice = await visit()
        await alice.sends("GET / HTTP/1.1\nHost: x\n\n").hears(200)
        bob = await visit()
        assert (await bob.hears(503))[1] == b"Too many connections.\n"
        assert await bob.is_hung_up_on() == b""
        await alice.sends("GET / HTTP/1.1\nHost: x\n\n").hears(200)
        assert one.service.gate.connections == 1
    assert one.service.gate.connections == 0


# Other protocols


@pytest.mark.parametrize("body", ["", "hello"], ids=["without a body", "with a body"])
async def test_the_wish_for_a_protocol_that_is_not_spoken_is_ignored(body: str) -> None:
    """As curl --http2 sends it; a body must not be taken for the next request."""
    fields = "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n"
    head = f"POST /a HTTP/1.1\nHost: x\n{fields}Content-Length: {len(body)}\n\n"
    chunked = f"POST /b HTTP/1.1\nHost: x\n{fields}Transfer-Encoding: chunked\n\n"
    chunks = f"{len(body):x}\n{body}\n0\n\n" if body else "0\n\n"
    async with visiting(way(service_alone(), echo)) as visit:
        alice = await visit()
        alice.sends(head + body + chunked + chunks + head)
        assert (await alice.hears(200))[1] == f"POST /a|{body}".encode()
        assert (await alice.hears(200))[1] == f"POST /b|{body}".encode()
        assert (await alice.sends(body).hears(200))[1] == f"POST /a|{body}".encode()


async def test_a_websocket_where_none_is_spoken_is_a_request() -> None:
    async with visiting(way(service_alone(), echo)) as visit:
        alice = await visit()
        alice.sends(
            "GET /x HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n\nGET /y HTTP/1.1\nHost: x\n\n"
        )
        assert (await alice.hears(200))[1] == b"GET /x|"
        assert (await alice.hears(200))[1] == b"GET /y|"


async def test_an_answer_needs_no_server() -> None:
    assert echo(Ask("GET", "/x", peer=b"me")).body == b"GET /x|"
    assert partial(echo, Ask("GET", "/x"))().status == 200
