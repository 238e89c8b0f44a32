"""Calls: what comes of each, and when; without a process."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glockd.net.calls import Code, Reply
from glockd.net.frames import PREFACE, Error, frame
from glockd.net.grpc import MAX_MESSAGE, MOST_HELD, MOST_KNOWN_LISTS, GrpcConnection, GrpcServer, Manners
from glockd.net.http2 import MOST_STREAMS
from glockd.net.protobuf import Field, Message
from glockd.net.request import Head
from glockd.net.stream import Stream
from tests.support.grpc_server import CALLS
from tests.support.http2 import (
    DATA,
    END_STREAM,
    HEADERS,
    PING,
    RESET,
    SETTINGS,
    Client,
    Place,
    prefixed,
    request,
    turns,
)
from tests.support.places import ROOT


@pytest.fixture
async def place() -> Place:
    return Place()


# Answers


@pytest.mark.parametrize("size", [0, 1, 1000, 16379, 16380, 60000])
async def test_a_call_is_answered(place: Place, size: int) -> None:
    client = place.client()
    message = os.urandom(size)
    stream = client.begins(request("/test.Echo/Echo"))
    client.says(stream, prefixed(message))
    answer = client.has(stream)
    assert answer.message == message
    assert answer.headers[":status"] == "200"
    assert answer.headers["content-type"] == "application/grpc"
    assert answer.headers["grpc-message"] == ""
    assert client.connection.streams == {}


@pytest.mark.parametrize("content_type", ["application/grpc+proto", "application/grpc;x=y"])
async def test_the_content_type_is_that_of_the_request(place: Place, content_type: str) -> None:
    client = place.client()
    headers = [one for one in request("/test.Echo/Echo") if one[0] != "content-type"]
    stream = client.begins([*headers, ("content-type", content_type)])
    client.says(stream, prefixed(b"x"))
    assert client.has(stream).headers["content-type"] == content_type


async def test_a_call_may_have_metadata_and_its_answer_trailers(place: Place) -> None:
    client = place.client()
    stream = client.calls("Trailers", b"x", ("want", "7"), ("want", "8"), ("want-bin", "AAH/"))
    answer = client.has(stream)
    assert answer.message == b"x"
    assert (answer.headers["want"], answer.headers["want-bin"]) == ("7", "AAH/")


@pytest.mark.parametrize("value", ["AAE", "AAE=", "AAE=,AAAA"])
async def test_binary_metadata_may_lack_padding_and_come_by_commas(place: Place, value: str) -> None:
    client = place.client()
    assert client.has(client.calls("Trailers", b"x", ("want-bin", value))).headers["want-bin"] == "AAE"


@pytest.mark.parametrize("method", ["Refuse", "RefuseByValue", "RefuseLater"])
async def test_a_status_is_an_answer(place: Place, method: str) -> None:
    client = place.client()
    stream = client.calls(method, "50 % café\n".encode())
    await turns()
    answer = client.has(stream)
    assert answer.status == Code.PERMISSION_DENIED
    assert answer.headers["grpc-message"] == "50 %25 caf%C3%A9%0A"
    assert answer.headers["why"] == "because"
    assert answer.body == b""
    assert [one.kind for one in client.frames if one.stream == stream] == [HEADERS]


async def test_a_mistake_of_the_handler_is_told_the_log_only(place: Place) -> None:
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    client = place.client()
    answer = client.has(client.calls("Fail"))
    assert answer.status == Code.INTERNAL
    assert "secret" not in str(answer)
    assert isinstance(told[0]["exception"], KeyError)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/test.Echo/Nope", "unknown method Nope for service test.Echo"),
        ("/foo.Bar/Echo", "unknown service foo.Bar"),
        ("/x", 'malformed method name: "/x"'),
        ("*", 'malformed method name: "*"'),
        ("/grpc.health.v1.Health/Watch", "unknown method Watch for service grpc.health.v1.Health"),
    ],
)
async def test_what_is_not_there_is_unimplemented(place: Place, path: str, text: str) -> None:
    client = place.client()
    stream = client.begins(request(path))
    client.says(stream, b"no message at all")
    answer = client.has(stream)
    assert (answer.status, answer.headers["grpc-message"]) == (Code.UNIMPLEMENTED, text)


async def test_health_is_told_by_service(place: Place) -> None:
    client = place.client()
    ask = Message(Field("service", 1, "string"))
    for name, status in (("", 0), ("test.Echo", 0), ("other", Code.NOT_FOUND)):
        stream = client.begins(request("/grpc.health.v1.Health/Check"))
        client.says(stream, prefixed(ask.encode({"service": name})))
        assert client.has(stream).status == status
    stream = client.begins(request("/grpc.health.v1.Health/Check"))
    client.says(stream, prefixed(b"\x0a"))
    assert client.has(stream).status == Code.INTERNAL


@pytest.mark.parametrize(
    ("headers", "http", "status"),
    [
        (request("/test.Echo/Echo", method="GET"), 405, Code.INTERNAL),
        ([*request("/test.Echo/Echo")[:4], ("content-type", "text/html")], 415, Code.INVALID_ARGUMENT),
        (
            [*request("/test.Echo/Echo")[:4], ("content-type", "application/grpcx")],
            415,
            Code.INVALID_ARGUMENT,
        ),
        (request("/test.Echo/Echo")[:4], 415, Code.INVALID_ARGUMENT),
        (request("/test.Echo/Echo", ("grpc-timeout", "1")), 400, Code.INTERNAL),
        (request("/test.Echo/Echo", ("grpc-timeout", "123456789S")), 400, Code.INTERNAL),
        (request("/test.Echo/Echo", ("grpc-timeout", "1s")), 400, Code.INTERNAL),
    ],
)
async def test_what_is_no_grpc_is_told_in_http(
    place: Place, headers: list[tuple[str, str]], http: int, status: Code
) -> None:
    client = place.client()
    stream = client.begins(headers)
    client.says(stream, prefixed(b"x"))
    answer = client.has(stream)
    assert (int(answer.headers[":status"]), answer.status) == (http, status)
    assert len(answer.body) >= 5


@pytest.mark.parametrize("value", ["?", "AAAAA", "A A="])
async def test_binary_metadata_that_is_none_is_refused(place: Place, value: str) -> None:
    client = place.client()
    assert client.has(client.calls("Echo", b"x", ("want-bin", value))).status == Code.INTERNAL


@pytest.mark.parametrize(
    ("body", "encoding", "status", "text"),
    [
        (b"", "identity", Code.UNKNOWN, "EOF"),
        (b"\0\0\0", "identity", Code.UNKNOWN, "EOF"),
        (prefixed(b"hello")[:-1], "identity", Code.UNKNOWN, "EOF"),
        (prefixed(b"a") + prefixed(b"b"), "identity", Code.INTERNAL, "more than one"),
        (prefixed(b"a") + b"\0", "identity", Code.INTERNAL, "more than one"),
        (b"\1" + prefixed(b"a")[1:], "gzip", Code.UNIMPLEMENTED, "gzip"),
        (b"\1" + prefixed(b"a")[1:], "identity", Code.INTERNAL, "compressed"),
        (b"\2" + prefixed(b"a")[1:], "gzip", Code.INTERNAL, "compressed"),
        (b"\0\x00\x40\x00\x01", "identity", Code.RESOURCE_EXHAUSTED, "larger"),
    ],
)
@pytest.mark.parametrize("piece", [1, 16384])
async def test_what_is_not_one_whole_message_is_refused(
    place: Place, body: bytes, encoding: str, status: Code, text: str, piece: int
) -> None:
    client = place.client()
    stream = client.begins(request("/test.Echo/Echo", ("grpc-encoding", encoding)), ends=not body)
    if body:
        client.says(stream, body, piece=piece, ends=status is not Code.RESOURCE_EXHAUSTED)
        if status is Code.RESOURCE_EXHAUSTED and piece == 16384:
            client.sends(frame(DATA, END_STREAM, stream, b"more"))
    answer = client.has(stream)
    assert answer.status == status
    assert text in answer.headers["grpc-message"]
    if encoding == "gzip" and status is Code.UNIMPLEMENTED:
        assert answer.headers["grpc-accept-encoding"] == "identity"
    assert client.has(client.calls("Echo", b"on")).message == b"on"


async def test_a_message_said_to_be_uncompressed_is_taken_whatever_the_encoding(place: Place) -> None:
    client = place.client()
    assert client.has(client.calls("Echo", b"x", ("grpc-encoding", "gzip"))).message == b"x"


async def test_the_largest_message_is_taken_and_no_larger_one(place: Place) -> None:
    client = place.client()
    client.sends(frame(8, 0, 0, (1 << 30).to_bytes(4, "big")), frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff"))
    stream = client.calls("Size", b"0")
    assert client.has(stream).message == b""
    large = client.calls("Echo", bytes(MAX_MESSAGE))
    while client.answer(large) is None:  # noqa: ASYNC110  # what no event tells
        await asyncio.sleep(0)
    assert len(client.has(large).message) == MAX_MESSAGE
    over = client.begins(request("/test.Echo/Echo"))
    client.says(over, prefixed(bytes(MAX_MESSAGE + 1)))
    answer = client.has(over)
    assert answer.status == Code.RESOURCE_EXHAUSTED
    # Told at the first piece: the client is asked to stop, and what still comes is skipped.
    assert [one.payload for one in client.frames if one.kind == RESET] == [bytes(4)]
    assert place.refused == {"message": 1}
    assert client.connection.held == 0
    assert client.has(client.calls("Echo", b"on")).message == b"on"


async def test_requests_that_never_end_do_not_fill_the_memory(place: Place) -> None:
    client = place.client()
    streams = []
    for _ in range(MOST_HELD // 65535 + 1):
        streams.append(client.begins(request("/test.Echo/Echo")))
        client.says(streams[-1], prefixed(bytes(MAX_MESSAGE))[:65535], ends=False)
    assert client.answer(streams[-2]) is None
    assert client.has(streams[-1]).status == Code.RESOURCE_EXHAUSTED
    assert place.refused == {"message": 1}
    client.vanishes()
    assert client.connection.held == 0


async def test_an_answer_whose_trailers_are_too_long_is_an_error(place: Place) -> None:
    place.server.service.loop.set_exception_handler(lambda *_: None)
    client = place.client()
    stream = client.calls("Trailers", b"x", ("want", "x" * 9000))
    assert client.has(stream).status == Code.INTERNAL


async def test_a_mistake_that_comes_later_is_told_the_log_only(place: Place) -> None:
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    client = place.client()
    streams = [client.calls("Wait"), client.calls("Wait")]
    first, second = place.bench.waiting
    first.set_exception(KeyError("a secret"))
    second.set_result(Reply(b"", ((b"long", b"x" * 9000),)))
    await turns()
    assert [client.has(stream).status for stream in streams] == [Code.INTERNAL] * 2
    assert [type(context["exception"]) for context in told] == [KeyError, ValueError]


async def test_a_refusal_has_no_deadline(place: Place) -> None:
    client = place.client()
    assert client.has(client.calls("Nope", b"", ("grpc-timeout", "1"))).status == Code.UNIMPLEMENTED


async def test_few_lists_of_headers_are_remembered(place: Place) -> None:
    client = place.client()
    for number in range(2 * MOST_KNOWN_LISTS):
        stream = client.calls("Trailers", b"", ("want", str(number)), ("grpc-timeout", "1H"))
        assert client.has(stream).headers["want"] == str(number)
    assert len(place.server._known) <= MOST_KNOWN_LISTS


async def test_a_door_may_do_without_health_checks(place: Place) -> None:
    server = place.server
    bare = GrpcServer(server.service, server.traffic, CALLS, server.caller, health=False)
    client = Client(bare)
    stream = client.begins(request("/grpc.health.v1.Health/Check"))
    client.says(stream, prefixed(b""))
    answer = client.has(stream)
    text = "unknown service grpc.health.v1.Health"
    assert (answer.status, answer.headers["grpc-message"]) == (Code.UNIMPLEMENTED, text)


# Calls that wait


async def test_a_call_may_wait_and_others_be_answered_meanwhile(place: Place) -> None:
    client, other = place.client(), place.client()
    waiting = [client.calls("Wait", b"%d" % number) for number in range(150)]
    assert client.has(client.calls("Echo", b"x")).message == b"x"
    assert other.has(other.calls("Free")).message == b"150"
    await turns()
    assert [client.has(stream).message for stream in waiting] == [b"%d" % number for number in range(150)]


async def test_a_call_that_is_reset_is_given_up(place: Place) -> None:
    client = place.client()
    stream = client.calls("Wait")
    client.sends(frame(RESET, 0, stream, bytes(4)))
    await turns()
    assert (place.bench.given_up, client.connection.streams) == (1, {})
    assert client.has(client.calls("Free")).message == b"0"


async def test_calls_are_given_up_when_their_connection_ends(place: Place) -> None:
    client = place.client()
    for _ in range(3):
        client.calls("Wait")
    client.vanishes(ConnectionResetError())
    await turns()
    assert (place.bench.given_up, place.bench.left) == (3, ["reset"])
    assert place.server.connections == set()
    assert place.server.service.gate.connections == 0


async def test_a_deadline_ends_a_call_that_waits(place: Place) -> None:
    client = place.client()
    stream = client.calls("Wait", b"", ("grpc-timeout", "1m"))
    endless = client.calls("Wait", b"", ("grpc-timeout", "99999999H"))
    while client.answer(stream) is None:  # noqa: ASYNC110  # what no event tells
        await asyncio.sleep(0.001)
    assert client.has(stream).status == Code.DEADLINE_EXCEEDED
    await turns()
    assert place.bench.given_up == 1
    assert client.answer(endless) is None


async def test_a_deadline_that_has_passed_leaves_the_handler_alone(place: Place) -> None:
    client = place.client()
    assert client.has(client.calls("Wait", b"", ("grpc-timeout", "0n"))).status == Code.DEADLINE_EXCEEDED
    assert not place.bench.waiting


async def test_an_answer_in_time_cancels_the_deadline(place: Place) -> None:
    client = place.client()
    stream = client.calls("Wait", b"x", ("grpc-timeout", "20m"))
    place.bench.free()
    await asyncio.sleep(0.05)
    assert client.has(stream).message == b"x"
    assert sum(one.kind == HEADERS for one in client.frames) == 2


async def test_a_call_that_the_door_gives_up_is_cancelled(place: Place) -> None:
    client = place.client()
    stream = client.calls("Wait")
    for future in list(place.bench.waiting):
        future.cancel()
    await turns()
    assert client.has(stream).status == Code.CANCELLED


# The end


async def test_the_door_may_end_a_connection(place: Place) -> None:
    client = place.client()
    waiting = client.calls("Wait")
    ending = client.calls("End")
    answer = client.has(waiting)
    assert answer.status == Code.UNAVAILABLE
    assert "kicked" in answer.headers["grpc-message"]
    assert client.has(ending).message == b"the last"
    assert client.goaway() == (ending, Error.NO_ERROR, "kicked")
    assert client.pipe.closing
    assert place.bench.left == ["kicked"]
    client.vanishes()
    assert place.bench.left == ["kicked"]


async def test_the_door_may_cut_a_connection(place: Place) -> None:
    client = place.client()
    waiting = client.calls("Wait")
    ending = client.calls("End", b"at once")
    await turns()
    assert client.pipe.aborted
    assert (client.answer(waiting), client.answer(ending)) == (None, None)
    assert (place.bench.left, place.bench.given_up) == (["kicked"], 1)


async def test_a_drain_answers_what_waits_and_sends_what_is_answered(place: Place) -> None:
    client, idle = place.client(), place.client()
    large = client.calls("Size", b"70000")  # more than the window
    waiting = client.calls("Wait")
    task = asyncio.ensure_future(place.server.drain(place.server.service.now() + 30))
    await turns()
    assert client.has(waiting).status == Code.UNAVAILABLE
    assert client.goaway() == (waiting, Error.NO_ERROR, "shutdown")
    assert idle.pipe.closing
    assert not client.pipe.closing
    late = client.calls("Echo")
    assert client.has(late).reset == Error.REFUSED_STREAM
    client.sends(frame(8, 0, 0, b"\0\1\0\0"), frame(8, 0, large, b"\0\1\0\0"))
    assert len(client.has(large).message) == 70000
    assert client.pipe.closing
    for one in (client, idle):
        one.vanishes()
    await task
    assert sorted(place.bench.left) == ["shutdown", "shutdown"]


async def test_a_drain_cuts_who_does_not_read(place: Place) -> None:
    client = place.client()
    client.calls("Size", b"70000")
    task = asyncio.ensure_future(place.server.drain(place.server.service.now() + 0.02))
    while not client.pipe.aborted:  # noqa: ASYNC110  # what no event tells
        await asyncio.sleep(0.005)
    client.vanishes()
    await task


# Silence


def looks(place: Place) -> None:
    """Look at every connection, as the sweep does once a second."""
    for connection in list(place.server.connections):
        connection.look()


@pytest.mark.parametrize(
    ("manners", "bound", "ping", "cut"),
    [(Manners(3, 2), 30, 3, 5), (Manners(1, 1), 30, 1, 2), (Manners(), 30, 18, 28), (Manners(), 5, 2, 3)],
)
async def test_who_answers_no_ping_is_cut_off(manners: Manners, bound: int, ping: int, cut: int) -> None:
    place = Place(manners, dead_peer_seconds=bound)
    dead, alive = place.client(), place.client()
    waiting = dead.calls("Wait")
    looks(place)
    for look in range(1, cut + 1):
        assert not dead.pipe.aborted
        looks(place)
        pinged = [one for one in alive.hears() if one.kind == PING]
        assert bool(pinged) == (look == ping)
        for one in pinged:
            alive.sends(frame(PING, 1, 0, one.payload))
    assert dead.pipe.aborted
    assert not alive.pipe.aborted
    assert place.bench.left == ["dead peer"]
    await turns()
    assert place.bench.given_up == 1
    assert dead.answer(waiting) is None


async def test_too_many_pings_end_the_connection() -> None:
    place = Place(Manners(ping_seconds=10))
    client = place.client()
    ping = frame(PING, 0, 0, b"12345678")
    for _ in range(3):
        # The first is free, two too early are borne, and an answer forgives them.
        client.sends(ping, ping, ping)
        assert client.has(client.calls("Echo", b"x")).message == b"x"
    client.sends(ping, ping, ping)
    assert client.goaway() is None
    client.sends(ping)
    assert client.goaway() == (client.stream, Error.ENHANCE_YOUR_CALM, "too_many_pings")
    assert sum(one.kind == PING for one in client.frames) == 13
    assert client.pipe.closing
    assert place.refused == {"pings": 1}
    assert place.bench.left == ["closed"]


@pytest.mark.parametrize("begins", [b"", PREFACE[:10], PREFACE])
async def test_who_does_not_begin_is_dismissed(begins: bytes) -> None:
    place = Place(handshake_seconds=3)
    client = place.client(greets=False)
    if begins:
        client.sends(begins)
    for _ in range(3):
        assert not client.pipe.closing
        looks(place)
    assert client.pipe.closing
    assert place.refused == {"handshake": 1}


async def test_a_first_call_may_be_demanded() -> None:
    place = Place(first_command_seconds=3)
    silent, caller = place.client(), place.client()
    caller.calls("Echo")
    for _ in range(5):
        if not silent.pipe.closing:
            silent.sends(frame(PING, 0, 0, bytes(8)))
        looks(place)
    assert (silent.pipe.closing, caller.pipe.closing) == (True, False)
    assert place.refused == {"first_command": 1}


async def test_the_idle_may_be_dismissed_but_not_who_waits() -> None:
    place = Place(idle_seconds=3)
    idle, waiter, busy = place.client(), place.client(), place.client()
    idle.calls("Echo")
    waiter.calls("Wait")
    for _ in range(5):
        busy.calls("Echo")
        looks(place)
    assert (idle.pipe.closing, waiter.pipe.closing, busy.pipe.closing) == (True, False, False)
    assert place.refused == {"idle": 1}
    assert place.bench.left == ["idle"]


async def test_who_may_not_come_in_is_told() -> None:
    place = Place(max_connections=1)
    first, second = place.client(), place.client(greets=False)
    assert second.goaway() == (0, Error.ENHANCE_YOUR_CALM, "too many connections")
    assert second.pipe.closing
    second.vanishes()
    assert first.has(first.calls("Echo", b"x")).message == b"x"
    assert place.refused == {"connections": 1}
    assert place.bench.left == []


async def test_streams_beyond_the_bound_are_refused(place: Place) -> None:
    client = place.client()
    for _ in range(MOST_STREAMS):
        client.begins(request("/test.Echo/Wait"))
        if client.connection.idle_frames > 1000:
            looks(place)
    assert client.goaway() is None
    assert client.has(client.calls("Echo")).reset == Error.REFUSED_STREAM
    assert place.refused == {"streams": 1}
    client.vanishes()
    assert client.connection.streams == {}


# Cut anywhere


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20))
@settings(max_examples=60)
def test_packets_may_be_cut_anywhere(sizes: list[int]) -> None:
    async def talk() -> None:
        place = Place()
        client = place.client(greets=False)
        sent: list[bytes] = []
        client.sends = lambda *some: sent.extend(some)  # type: ignore[method-assign]
        client.sends(PREFACE, frame(SETTINGS, 0, 0, b""))
        calls = {client.calls("Echo", bytes(size)): size for size in (0, 1, 20000, 300)}
        whole = b"".join(sent)
        at, some = 0, cycle(sizes)
        while at < len(whole):
            size = next(some)
            client.connection.data_received(whole[at : at + size])
            at += size
        for stream, size in calls.items():
            assert client.has(stream).message == bytes(size)

    asyncio.run(talk())


async def test_packets_may_come_byte_by_byte(place: Place) -> None:
    client = place.client(greets=False)
    sent: list[bytes] = []
    send, client.sends = client.sends, lambda *some: sent.extend(some)  # type: ignore[method-assign]
    send(PREFACE, frame(SETTINGS, 0, 0, b""))
    calls = [client.calls("Echo", b"hello"), client.calls("Echo", b"")]
    for octet in b"".join(sent):
        send(bytes([octet]))
    assert [client.has(stream).message for stream in calls] == [b"hello", b""]


# Memory


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> int:
    """How many connections, streams and calls are in memory."""
    kinds = (GrpcConnection, Stream, asyncio.Future)
    return sum(isinstance(one, kinds) and not isinstance(one, asyncio.Task) for one in gc.get_objects())


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "course", ["silent", "answered", "waiting", "given up", "late", "half", "blocked", "wrong", "ended"]
)
async def test_nothing_is_left_behind(place: Place, course: str) -> None:
    place.server.service.loop.set_exception_handler(lambda *_: None)
    warm = place.client()
    warm.has(warm.calls("Echo"))
    await turns()
    before, heads = left(), sum(isinstance(one, Head) for one in gc.get_objects())
    for _ in range(5):
        client = place.client()
        match course:
            case "answered":
                for method in ("Echo", "Trailers", "Refuse", "RefuseLater", "Fail", "Nope"):
                    client.calls(method, b"x")
            case "waiting":
                for _ in range(5):
                    client.calls("Wait", b"", ("grpc-timeout", "1H"))
            case "given up":
                for _ in range(5):
                    client.sends(frame(RESET, 0, client.calls("Wait", b"", ("grpc-timeout", "1H")), bytes(4)))
            case "late":
                client.calls("Wait", b"", ("grpc-timeout", "1u"))
                await asyncio.sleep(0.01)
            case "half":
                client.says(
                    client.begins(request("/test.Echo/Wait")), prefixed(bytes(50000))[:-1], ends=False
                )
                client.sends(b"\0\0")
            case "blocked":
                client.calls("Size", b"100000")
            case "wrong":
                client.calls("Wait")
                client.sends(frame(PING, 0, 1, b""))
            case "ended":
                client.calls("Wait")
                client.calls("End")
        await turns()
        client.vanishes()
        del client
        await turns()
    assert left() == before
    assert sum(isinstance(one, Head) for one in gc.get_objects()) <= heads + 10
    assert not place.bench.waiting


# The dependency


def test_without_hpack_the_start_is_refused_in_a_line() -> None:
    program = (
        "import sys; sys.modules['hpack'] = None\n"
        "from glockd.config import StartError\n"
        "try:\n    import glockd.net.grpc\nexcept StartError as error:\n    print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert ran.stdout == "gRPC needs the package hpack: pip install 'glockd[ldlm]'\n"


def test_the_line_door_alone_loads_nothing_of_it() -> None:
    program = "import sys, glockd.run; print([name for name in sys.modules if 'hpack' in name or 'net.grpc' in name])"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert ran.stdout == "[]\n"
