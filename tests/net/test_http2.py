"""HTTP/2 beneath the calls, where h2spec does not look: windows, bounds against strangers, turns."""

from __future__ import annotations

import asyncio
import struct

import pytest

from glockd.net.calls import Code
from glockd.net.frames import PREFACE, Error, frame, goaway, window_update
from glockd.net.framing import CONNECTION_WINDOW, FRAMES_A_TURN, MOST_IDLE_FRAMES
from glockd.net.headers import MOST_KNOWN
from glockd.net.http2 import MOST_FORSAKEN, MOST_HEADERS
from tests.support.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    PUSH,
    RESET,
    SETTINGS,
    WINDOW,
    Client,
    Place,
    prefixed,
    request,
    turns,
)

INITIAL_WINDOW = 4


@pytest.fixture
async def place() -> Place:
    return Place()


@pytest.fixture
async def client(place: Place) -> Client:
    return place.client()


def setting(name: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


def still_serves(client: Client) -> bool:
    return client.goaway() is None and client.has(client.calls("Echo", b"on")).message == b"on"


# The beginning


async def test_the_server_speaks_first_and_announces_no_limit_of_streams(place: Place) -> None:
    client = place.client(greets=False)
    first, second = client.hears()
    pairs = dict(struct.iter_unpack(">HI", first.payload))
    assert (first.kind, pairs) == (SETTINGS, {2: 0})
    assert second.payload == (CONNECTION_WINDOW - 65535).to_bytes(4, "big")


@pytest.mark.parametrize(
    "begins", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX", PREFACE + frame(PING, 0, 0, bytes(8))]
)
async def test_what_is_no_http2_is_told_so(place: Place, begins: bytes) -> None:
    client = place.client(greets=False)
    client.sends(begins)
    told = client.goaway()
    assert told is not None
    assert told[:2] == (0, Error.PROTOCOL_ERROR)
    assert client.pipe.closing
    assert place.refused == {"http": 1}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\0\x40\x01\0\0\0\0\0\1", Error.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1, b""), Error.PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, b"\0"), Error.FRAME_SIZE_ERROR),
        (frame(SETTINGS, ACK, 0, bytes(6)), Error.FRAME_SIZE_ERROR),
        (setting(2, 2), Error.PROTOCOL_ERROR),
        (setting(INITIAL_WINDOW, 1 << 31), Error.FLOW_CONTROL_ERROR),
        (setting(5, 16383), Error.PROTOCOL_ERROR),
        (frame(PING, 0, 1, bytes(8)), Error.PROTOCOL_ERROR),
        (frame(PING, 0, 0, bytes(7)), Error.FRAME_SIZE_ERROR),
        (frame(GOAWAY, 0, 1, bytes(8)), Error.PROTOCOL_ERROR),
        (frame(GOAWAY, 0, 0, bytes(7)), Error.FRAME_SIZE_ERROR),
        (frame(PUSH, 0, 1, bytes(4)), Error.PROTOCOL_ERROR),
        (frame(DATA, 0, 0, b""), Error.PROTOCOL_ERROR),
        (frame(DATA, 0, 1, b""), Error.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 0, b""), Error.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 2, b""), Error.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS | 8, 1, b"\1"), Error.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS | 32, 1, bytes(4)), Error.FRAME_SIZE_ERROR),
        (frame(PRIORITY, 0, 0, bytes(5)), Error.PROTOCOL_ERROR),
        (frame(PRIORITY, 0, 1, bytes(4)), Error.FRAME_SIZE_ERROR),
        (frame(RESET, 0, 1, bytes(4)), Error.PROTOCOL_ERROR),
        (frame(RESET, 0, 1, bytes(3)), Error.FRAME_SIZE_ERROR),
        (frame(WINDOW, 0, 1, b"\0\0\0\1"), Error.PROTOCOL_ERROR),
        (frame(WINDOW, 0, 0, b"\0\0\1"), Error.FRAME_SIZE_ERROR),
        (frame(CONTINUATION, 4, 1, b""), Error.PROTOCOL_ERROR),
    ],
)
async def test_what_no_client_may_send_ends_the_connection(place: Place, sent: bytes, code: Error) -> None:
    client = place.client()
    client.sends(sent)
    told = client.goaway()
    assert told is not None
    assert told[:2] == (0, code)
    assert client.pipe.closing
    assert place.refused == {"http": 1}
    assert place.bench.left == ["closed"]


async def test_settings_are_acknowledged_and_pings_answered_first(client: Client) -> None:
    client.hears()
    headers = frame(HEADERS, END_HEADERS, 1, client.block(request("/test.Echo/Echo")))
    client.sends(headers, frame(DATA, END_STREAM, 1, prefixed(b"x")), frame(PING, 0, 0, b"12345678"))
    assert [one.kind for one in client.hears()] == [PING, HEADERS, DATA, HEADERS]
    client.sends(frame(SETTINGS, 0, 0, b""))
    assert [one[:2] for one in client.hears()] == [(SETTINGS, ACK)]


# Windows


async def test_an_answer_waits_for_the_window_of_its_stream(client: Client) -> None:
    client.sends(setting(INITIAL_WINDOW, 3))
    stream, empty = client.calls("Echo", b"hello"), client.calls("Nope")
    assert client.answer(stream) is None
    assert client.has(empty).status == Code.UNIMPLEMENTED
    for more in (1, 2, 100):
        assert client.answer(stream) is None
        client.sends(window_update(stream, more))
    assert client.has(stream).message == b"hello"
    assert [len(one.payload) for one in client.frames if one.kind == DATA] == [3, 1, 2, 4]


async def test_an_answer_waits_for_the_window_of_the_connection(client: Client) -> None:
    client.sends(setting(INITIAL_WINDOW, 1 << 20))
    first, second = client.calls("Size", b"65000"), client.calls("Size", b"2000")
    assert client.has(first).message == bytes(65000)
    assert client.answer(second) is None
    client.sends(window_update(0, 5000))
    assert client.has(second).message == bytes(2000)


async def test_windows_of_open_streams_follow_the_settings(client: Client) -> None:
    client.sends(setting(INITIAL_WINDOW, 10))
    stream = client.calls("Echo", bytes(100))
    client.sends(setting(INITIAL_WINDOW, 4), window_update(stream, 5))  # ten are spent: 5 - 6 is no window
    assert sum(len(one.payload) for one in client.hears() if one.kind == DATA) == 10
    client.sends(setting(INITIAL_WINDOW, 200))
    assert client.has(stream).message == bytes(100)


async def test_nobody_overtakes_at_a_shut_window_for_ever(client: Client) -> None:
    client.sends(setting(INITIAL_WINDOW, 0))
    streams = [client.calls("Echo", b"%d" % number) for number in range(5)]
    for stream in reversed(streams):
        client.sends(window_update(stream, 100))
    assert [client.has(stream).message for stream in streams] == [b"%d" % number for number in range(5)]


@pytest.mark.parametrize(
    ("more", "number", "code"),
    [
        (0, 0, Error.PROTOCOL_ERROR),
        ((1 << 31) - 1, 0, Error.FLOW_CONTROL_ERROR),
        (0, 1, Error.PROTOCOL_ERROR),
        ((1 << 31) - 1, 1, Error.FLOW_CONTROL_ERROR),
    ],
)
async def test_windows_grow_by_something_and_not_too_much(
    place: Place, client: Client, more: int, number: int, code: Error
) -> None:
    stream = client.calls("Wait")
    client.sends(window_update(number, more))
    if number:
        assert client.has(stream).reset == code
        await turns()
        assert place.bench.given_up == 1
        assert still_serves(client)
    else:
        told = client.goaway()
        assert told is not None
        assert told[1] == code


async def test_a_setting_may_not_make_a_window_too_large(client: Client) -> None:
    stream = client.calls("Wait")
    client.sends(window_update(stream, (1 << 31) - 1 - 65535), setting(INITIAL_WINDOW, 65536))
    told = client.goaway()
    assert told is not None
    assert told[1] == Error.FLOW_CONTROL_ERROR


async def test_what_has_been_sent_is_given_back_in_bulk(client: Client) -> None:
    client.hears()
    stream = client.begins(request("/test.Echo/Echo"))
    for _ in range(3):
        for _ in range(CONNECTION_WINDOW // 2 // 16384):
            # Padding counts, and is no body.
            client.sends(frame(DATA, 8, stream, b"\xff" + bytes(16383)))
        client.sends(frame(RESET, 0, stream, bytes(4)))
        stream = client.begins(request("/test.Echo/Echo"))
    given = [one for one in client.hears() if one.kind == WINDOW and not one.stream]
    assert [one.payload for one in given] == [(CONNECTION_WINDOW // 2).to_bytes(4, "big")] * 3
    assert still_serves(client)


async def test_a_stream_may_not_send_more_than_its_window(client: Client) -> None:
    stream = client.begins(request("/test.Echo/Echo"))
    client.hears()
    client.says(stream, prefixed(bytes(70000))[:3], ends=False)
    assert client.hears() == []
    client.says(stream, prefixed(bytes(70000))[3:100], ends=False)
    assert [one.payload for one in client.hears() if one.kind == WINDOW] == [
        (70005 - 65535).to_bytes(4, "big")
    ]
    client.says(stream, bytes(70005 - 100), ends=False)
    assert client.answer(stream) is None
    client.sends(frame(DATA, 0, stream, b"x"))
    assert client.has(stream).reset == Error.FLOW_CONTROL_ERROR
    client.sends(frame(DATA, END_STREAM, stream, b"on its way"))
    assert still_serves(client)


async def test_padding_costs_a_stream_nothing(client: Client) -> None:
    client.hears()
    stream = client.begins(request("/test.Echo/Echo"))
    body = prefixed(bytes(600))
    for at in range(len(body)):
        client.sends(frame(DATA, 8, stream, b"\xff" + body[at : at + 1] + bytes(255)))
    given = [one for one in client.hears() if (one.kind, one.stream) == (WINDOW, stream)]
    assert sum(int.from_bytes(one.payload, "big") for one in given) == 256 * len(body)
    client.sends(frame(DATA, END_STREAM | 8, stream, b"\x01\0"))
    assert client.has(stream).message == bytes(600)


async def test_long_requests_have_room_one_after_another(client: Client) -> None:
    whole = prefixed(bytes(4 << 20))
    streams = []
    for _ in range(20):
        streams.append(client.begins(request("/test.Echo/Size")))
        client.says(streams[-1], whole[:65535], ends=False)
    for number, stream in enumerate(streams):
        client.hears()
        granted = [one for one in client.frames if one.kind == WINDOW and one.stream]
        assert [one.stream for one in granted] == streams[: number + 8]
        assert {one.payload for one in granted} == {(len(whole) - 65535).to_bytes(4, "big")}
        client.says(stream, whole[65535:])
        assert client.has(stream).status == Code.INVALID_ARGUMENT
    assert client.connection.held == 0
    assert still_serves(client)


async def test_who_does_not_take_long_answers_has_no_room_for_long_requests(client: Client) -> None:
    whole = prefixed(bytes(4 << 20))
    streams = []
    for _ in range(9):
        streams.append(client.begins(request("/test.Echo/Echo")))
        client.says(streams[-1], whole[:100], ends=False)
    for stream in streams[:8]:
        client.says(stream, whole[100:])
    granted = [one.stream for one in client.hears() if one.kind == WINDOW and one.stream]
    assert granted == streams[:8]
    assert client.connection.unread() <= 8 * len(whole)
    assert client.has(client.calls("Nope")).status == Code.UNIMPLEMENTED
    client.sends(window_update(0, 1 << 30), window_update(streams[5], 1 << 30))
    assert client.has(streams[5]).message == whole[5:]
    assert [one.stream for one in client.frames if one.kind == WINDOW and one.stream] == streams


async def test_a_long_request_that_waits_takes_no_room(place: Place, client: Client) -> None:
    whole = prefixed(bytes(4 << 20))
    waiting = []
    for _ in range(20):
        waiting.append(client.begins(request("/test.Echo/Wait")))
        client.says(waiting[-1], whole)
    assert len(place.bench.waiting) == 20
    client.vanishes()
    await turns()


async def test_who_gives_up_a_long_request_makes_room(client: Client) -> None:
    whole = prefixed(bytes(4 << 20))
    streams = []
    for _ in range(9):
        streams.append(client.begins(request("/test.Echo/Size")))
        client.says(streams[-1], whole[:100], ends=False)
    assert [one.stream for one in client.hears() if one.kind == WINDOW and one.stream] == streams[:8]
    client.sends(frame(RESET, 0, streams[3], bytes(4)))
    assert [one.stream for one in client.hears() if one.kind == WINDOW] == streams[8:]


# Who does not read


async def test_who_does_not_read_is_not_read_from(place: Place, client: Client) -> None:
    client.sends(window_update(0, 1 << 30), setting(INITIAL_WINDOW, 1 << 30))
    client.hears()
    client.connection.pause_writing()
    assert client.pipe.reading_paused
    stream = client.calls("Size", b"100000")
    assert client.hears() == []
    client.connection.resume_writing()
    await turns()
    assert not client.pipe.reading_paused
    assert len(client.has(stream).message) == 100000


async def test_a_large_answer_stops_where_the_transport_is_full(client: Client) -> None:
    client.sends(window_update(0, 1 << 30), setting(INITIAL_WINDOW, 1 << 30))
    data = b"".join(
        frame(HEADERS, END_HEADERS, number, client.block(request("/test.Echo/Size")))
        + frame(DATA, END_STREAM, number, prefixed(b"1000000"))
        for number in range(1, 41, 2)
    )
    write = client.pipe.write

    def fills(some: bytes | bytearray | memoryview) -> None:
        write(some)
        client.connection.pause_writing()

    client.pipe.write = fills  # type: ignore
    client.sends(data)
    # Not all twenty megabytes, although all has been asked for.
    assert len(client.pipe.written) < 3_000_000
    client.pipe.write = write  # type: ignore[method-assign]
    client.connection.resume_writing()
    await turns(200)
    assert [len(client.has(number).message) for number in range(1, 41, 2)] == [1_000_000] * 20


async def test_who_opens_no_window_is_cut_as_a_slow_reader(place: Place) -> None:
    place = Place(slow_reader_seconds=3)
    client = place.client()
    client.calls("Size", b"100000")
    for _ in range(5):
        client.connection.look()
    assert client.pipe.aborted
    assert place.refused == {"output": 1}
    assert place.bench.left == ["slow reader"]


# Blocks of headers


async def test_headers_may_come_in_pieces(client: Client) -> None:
    block = client.block(request("/test.Echo/Echo", ("long", "x" * 2000)))
    pieces = [block[at : at + 100] for at in range(0, len(block), 100)]
    client.sends(frame(HEADERS, 0, 1, pieces[0]))
    for piece in pieces[1:-1]:
        client.sends(frame(CONTINUATION, 0, 1, piece))
    client.sends(frame(CONTINUATION, END_HEADERS, 1, pieces[-1]), frame(DATA, END_STREAM, 1, prefixed(b"x")))
    assert client.has(1).message == b"x"


@pytest.mark.parametrize(
    "torn", [frame(PING, 0, 0, bytes(8)), frame(CONTINUATION, 4, 3, b""), frame(77, 0, 0, b"")]
)
async def test_nothing_may_come_between_the_pieces(client: Client, torn: bytes) -> None:
    client.sends(frame(HEADERS, 0, 1, b""), torn)
    told = client.goaway()
    assert told is not None
    assert told[1] == Error.PROTOCOL_ERROR


async def test_padding_and_priority_are_no_headers(client: Client) -> None:
    block = client.block(request("/test.Echo/Echo"))
    client.sends(frame(HEADERS, END_HEADERS | 8 | 32, 1, b"\3" + b"\0\0\0\0\x10" + block + bytes(3)))
    client.sends(frame(DATA, END_STREAM | 8, 1, b"\2" + prefixed(b"x") + bytes(2)))
    assert client.has(1).message == b"x"


async def test_trailers_of_a_request_end_it(client: Client) -> None:
    stream = client.begins(request("/test.Echo/Echo"))
    client.says(stream, prefixed(b"x"), ends=False)
    client.sends(frame(HEADERS, END_STREAM | END_HEADERS, stream, client.block([("more", "to say")])))
    assert client.has(stream).message == b"x"


@pytest.mark.parametrize("trailers", [[(":path", "/x")], [("Upper", "x")], [("connection", "close")]])
async def test_malformed_trailers_reset_the_stream(client: Client, trailers: list[tuple[str, str]]) -> None:
    stream = client.begins(request("/test.Echo/Echo"))
    client.sends(frame(HEADERS, END_STREAM | END_HEADERS, stream, client.block(trailers)))
    assert client.has(stream).reset == Error.PROTOCOL_ERROR
    assert still_serves(client)


@pytest.mark.parametrize(
    "headers",
    [
        [("A", "x")],
        [("", "x")],
        [("a b", "x")],
        [("a:b", "x")],
        [("a", "x\r\ny")],
        [("a", " x")],
        [("a", "x\t")],
        [("a", "\0")],
        [("te", "gzip")],
        [("upgrade", "x")],
        [(":path", "/y")],
        [(":other", "y")],
        [("content-length", "x")],
        [("content-length", "5")],
        [("content-length", "9" * 30)],
    ],
)
async def test_malformed_requests_are_reset(client: Client, headers: list[tuple[str, str]]) -> None:
    assert client.has(client.calls("Echo", b"x", *headers)).reset == Error.PROTOCOL_ERROR
    assert still_serves(client)


async def test_a_known_block_means_the_same_until_the_table_changes(client: Client) -> None:
    echo, trailers = request("/test.Echo/Echo"), request("/test.Echo/Trailers", ("want", "7"))
    for _ in range(3):
        for headers in (echo, trailers):
            stream = client.begins(headers)
            client.says(stream, prefixed(b"x"))
            assert ("want" in client.has(stream).headers) is (headers is trailers)
    # Each of these enters the table and moves the others, so that the same bytes mean another header.
    for number in range(100):
        stream = client.begins(request("/test.Echo/Trailers", ("want", str(number))))
        client.says(stream, prefixed(b"x"))
        assert client.has(stream).headers["want"] == str(number)
        assert client.has(client.calls("Echo", b"y")).message == b"y"


async def test_few_blocks_are_remembered(client: Client) -> None:
    blocks = client.connection._blocks
    for number in range(3 * MOST_KNOWN):
        # RFC 7541, 6.2.2: not indexed, so the table stays as it is.
        extra = b"\0\1a\1" + bytes([65 + number])
        block = client.block(request("/test.Echo/Echo")) + extra
        client.stream += 2
        client.sends(frame(HEADERS, END_HEADERS, client.stream, block))
        client.says(client.stream, prefixed(b"x"))
        assert client.has(client.stream).message == b"x"
    assert len(blocks.known) == MOST_KNOWN


async def test_too_long_a_list_is_refused_and_the_table_stays_right(place: Place, client: Client) -> None:
    stream = client.calls("Echo", b"x", *((f"name-{number}", "x" * 50) for number in range(250)))
    answer = client.has(stream)
    assert (answer.headers[":status"], answer.status) == ("431", Code.RESOURCE_EXHAUSTED)
    assert place.refused == {"headers": 1}
    assert still_serves(client)


@pytest.mark.parametrize(
    "block",
    [
        # One field of 4,000 bytes in the table, named again and again.
        b"\x40\1a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 100,
        # Many small ones.
        b"\0\1a\1b" * 3000,
    ],
)
async def test_a_bomb_ends_the_connection(place: Place, client: Client, block: bytes) -> None:
    client.sends(frame(HEADERS, END_HEADERS, 1, block[:16384]))
    told = client.goaway()
    assert told is not None
    assert told[1:] == (Error.ENHANCE_YOUR_CALM, "too many headers")
    assert place.refused == {"headers": 1}


async def test_continuations_without_end_end_the_connection(place: Place, client: Client) -> None:
    client.sends(frame(HEADERS, 0, 1, b""))
    for _ in range(MOST_HEADERS // 16000 + 1):
        client.sends(frame(CONTINUATION, 0, 1, bytes(16000)))
    told = client.goaway()
    assert told is not None
    assert told[1] == Error.ENHANCE_YOUR_CALM
    assert place.refused == {"headers": 1}


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xc0",  # not in the table
        b"\x20\x20\x20\x83",
        b"\x83\x20",
        b"\x83\x3f\xe1\x1f",
        b"\x3f\xe2\x1f",  # larger than the table may be
        b"\x40\x0aab",
        b"\0\x82\xff\xff\1b",
    ],
)
async def test_a_broken_block_ends_the_connection(client: Client, block: bytes) -> None:
    client.sends(frame(HEADERS, END_HEADERS, 1, block))
    told = client.goaway()
    assert told is not None
    assert told[1] == Error.COMPRESSION_ERROR


# Floods


@pytest.mark.parametrize(
    "kind", ["ping", "settings", "empty data", "priority", "unknown", "resets", "continuation", "window"]
)
async def test_frames_for_nothing_end_the_connection(place: Place, client: Client, kind: str) -> None:
    client.has(client.calls("Nope"))
    stream = client.begins(request("/test.Echo/Echo"))
    block = client.block(request("/test.Echo/Nope"))
    if kind == "continuation":
        client.sends(frame(HEADERS, 0, stream + 2, b""))
    floods = {
        "ping": lambda number: frame(PING, 0, 0, bytes(8)),
        "settings": lambda number: frame(SETTINGS, 0, 0, b""),
        "empty data": lambda number: frame(DATA, 0, stream, b""),
        "priority": lambda number: frame(PRIORITY, 0, 99, bytes(5)),
        "unknown": lambda number: frame(200, 0, 0, b""),
        "resets": lambda number: (
            frame(HEADERS, END_HEADERS, number, block) + frame(RESET, 0, number, bytes(4))
        ),
        "continuation": lambda number: frame(CONTINUATION, 0, stream + 2, b""),
        "window": lambda number: frame(WINDOW, 0, stream, b"\0\0\0\1"),
    }
    sent = 0
    while not client.pipe.closing:
        client.sends(floods[kind](stream + 2 + 2 * sent))
        sent += 1
    assert MOST_IDLE_FRAMES - 5 < sent <= MOST_IDLE_FRAMES + 1
    told = client.goaway()
    assert told is not None
    assert told[1:] == (Error.ENHANCE_YOUR_CALM, "too many frames for nothing")
    assert place.refused == {"flood": 1}


async def test_answers_and_time_forgive_frames_for_nothing(place: Place, client: Client) -> None:
    pings = frame(PING, 0, 0, bytes(8)) * 250
    for _ in range(3):
        for _ in range(MOST_IDLE_FRAMES // 250 - 1):
            client.sends(pings)
        client.has(client.calls("Echo"))
        for _ in range(MOST_IDLE_FRAMES // 250 - 1):
            client.sends(pings)
        client.connection.look()
    assert still_serves(client)


async def test_others_have_their_turn_in_a_packet_of_many_calls(place: Place) -> None:
    client, other = place.client(), place.client()
    client.has(client.calls("Echo"))
    block = client.block(request("/test.Echo/Echo"))
    calls = b"".join(
        frame(HEADERS, END_HEADERS, number, block) + frame(DATA, END_STREAM, number, prefixed(b"x"))
        for number in range(3, 2 * FRAMES_A_TURN, 2)
    )
    order: list[str] = []
    client.pipe.write = lambda data: order.append("many")  # type: ignore[method-assign]
    asyncio.get_running_loop().call_soon(lambda: order.append("other"))
    client.sends(calls)
    assert client.pipe.reading_paused
    await turns()
    assert order == ["many", "other", "many"]
    assert not client.pipe.reading_paused
    assert other.has(other.calls("Echo", b"y")).message == b"y"


# Streams that have ended


async def test_what_comes_behind_an_early_answer_is_skipped(client: Client) -> None:
    stream = client.begins(request("/test.Echo/Nope"))
    client.says(stream, bytes(70000), ends=False)
    assert client.has(stream).status == Code.UNIMPLEMENTED
    client.says(stream, bytes(1000), ends=False)
    client.sends(frame(HEADERS, END_STREAM | END_HEADERS, stream, client.block([("a", "b")])))
    client.sends(frame(RESET, 0, stream, bytes(4)), window_update(stream, 5))
    assert still_serves(client)


async def test_only_so_many_streams_are_skipped(client: Client) -> None:
    for _ in range(MOST_FORSAKEN + 1):
        client.calls("Echo", b"x", ("te", "no"))
    client.sends(frame(DATA, 0, client.stream, b""))
    assert client.goaway() is None
    client.sends(frame(DATA, 0, 1, b""))
    told = client.goaway()
    assert told is not None
    assert told[1] == Error.STREAM_CLOSED


async def test_a_client_that_will_close_still_has_its_answers(place: Place, client: Client) -> None:
    stream = client.calls("Wait", b"x")
    client.sends(goaway(0, Error.NO_ERROR))
    place.bench.free()
    await turns()
    assert client.has(stream).message == b"x"


async def test_who_is_told_why_has_a_moment_to_read_it(client: Client) -> None:
    client.sends(frame(PING, 0, 1, bytes(8)))
    client.connection.look()
    client.sends(frame(PING, 0, 0, bytes(8)))
    assert (client.pipe.closing, client.pipe.closed) == (True, False)
    client.connection.look()
    assert client.pipe.closed


async def test_nothing_is_read_behind_the_end(place: Place, client: Client) -> None:
    client.sends(frame(PING, 0, 1, bytes(8)), frame(PING, 0, 0, bytes(8)))
    client.sends(frame(PING, 0, 0, bytes(8)))
    assert not any(one.kind == PING for one in client.hears())
    assert place.refused == {"http": 1}
