"""Steps in frames: what they send, and that a server that does otherwise fails them.

The server here does with each frame what the test tells it to, right or wrong.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hpack import Decoder
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

from glockd_tester.cases.files import Case
from glockd_tester.cases.ldlm import conversation
from glockd_tester.cases.ldlm.conversation import Conversation, play
from glockd_tester.cases.ldlm.http2 import PREFACE, Http2
from glockd_tester.cases.outcome import Failed, Skipped

from .conftest import Converse

LOCKED = bytes.fromhex("0801")
HELD = b""
Reaction = Callable[["Server", Frame], None]


class Server:
    """Speaks HTTP/2 with one client: greets it with `settings`, and calls `react` for each frame."""

    def __init__(self) -> None:
        self.settings: dict[int, int] = {}
        self.react: Reaction = answering(LOCKED)
        self.frames: list[Frame] = []
        self.over = threading.Event()
        self.end = ""  # how the client has ended the connection: "closed" or "reset"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.listener.getsockname()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            self.sock, _ = self.listener.accept()
            with self.sock, self.sock.makefile("rb") as reader:
                self.end = "closed"
                try:
                    assert reader.read(len(PREFACE)) == PREFACE
                    self.send(SettingsFrame(0, settings=self.settings))
                    while head := reader.read(9):
                        frame, length = Frame.parse_frame_header(memoryview(head))
                        frame.parse_body(memoryview(reader.read(length)))
                        self.frames.append(frame)
                        self.react(self, frame)
                except ConnectionResetError:
                    self.end = "reset"
        self.over.set()

    def send(self, frame: Frame) -> None:
        self.sock.sendall(frame.serialize())

    def hang_up(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)

    def of(self, kind: type[Frame], flag: str = "") -> list[Frame]:
        """The frames of this kind that have come, with this flag."""
        return [
            frame for frame in self.frames if isinstance(frame, kind) and (not flag or flag in frame.flags)
        ]

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.listener.close()


def answering(message: bytes, cut: int = 0) -> Reaction:
    """Answers each request with this message; cut in two at that byte, if any."""

    def react(server: Server, frame: Frame) -> None:
        if isinstance(frame, DataFrame):
            whole = struct.pack(">BI", 0, len(message)) + message
            for piece in (whole[:cut], whole[cut:]) if cut else (whole,):
                server.send(DataFrame(frame.stream_id, piece))

    return react


def on_ping(*answers: Callable[[Frame], Frame | None]) -> Reaction:
    """Answers the first ping by the first of these, the second by the second; None hangs up."""
    left = list(answers)

    def react(server: Server, frame: Frame) -> None:
        if isinstance(frame, PingFrame) and left:
            answer = left.pop(0)(frame)
            if answer is None:
                server.hang_up()
            else:
                server.send(answer)

    return react


def pong(ping: Frame) -> Frame:
    assert isinstance(ping, PingFrame)
    return PingFrame(0, ping.opaque_data, flags=["ACK"])


def goaway(_: Frame) -> Frame:
    return GoAwayFrame(0, error_code=11, additional_data=b"too_many_pings")


def ping(_: Frame) -> Frame:
    return PingFrame(0, b"abcdefgh")


def hang_up(_: Frame) -> None:
    return None


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def talk(server: Server, converse: Converse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Conversation]:
    monkeypatch.setattr(conversation, "PATIENCE", 0.3)
    monkeypatch.setattr(conversation, "PONG_PATIENCE", 0.3)
    one = converse(server.address)
    yield one
    one.close()


def raw(**members: Any) -> dict[str, Any]:
    return {"raw": "r", **members}


CALL = {"call": "TryLock", "request": {"name": "t"}}


def fails(talk: Conversation, **members: Any) -> str:
    with pytest.raises(Failed) as problem:
        talk.play(raw(**members))
    return str(problem.value)


def test_settings_are_held_against_what_is_expected(server: Server, talk: Conversation) -> None:
    server.settings = {SettingsFrame.MAX_FRAME_SIZE: 16384}
    talk.play(raw(open={"settings": {"5": 16384}}))
    assert talk.raw["r"].events == []


def test_other_settings_fail(server: Server, talk: Conversation) -> None:
    server.settings = {SettingsFrame.MAX_CONCURRENT_STREAMS: 100}
    assert fails(talk, open={"settings": {"3": 1}}) == "settings.3: 100 instead of 1"


def test_a_call_is_one_request(server: Server, talk: Conversation) -> None:
    talk.play(raw(open={}))
    talk.play(raw(**CALL, expect={"response": {"locked": True}, "absent": ["error"]}))
    (headers,), (data,) = server.of(HeadersFrame), server.of(DataFrame)
    assert isinstance(headers, HeadersFrame)
    assert isinstance(data, DataFrame)
    assert dict(Decoder().decode(headers.data, raw=True)) == {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/ldlm.LDLM/TryLock",
        b":authority": "{}:{}".format(*server.address).encode(),
        b"content-type": b"application/grpc",
        b"te": b"trailers",
    }
    assert data.data == b"\0\0\0\0\3\n\1t"
    assert "END_STREAM" in data.flags
    assert server.of(SettingsFrame, "ACK")


@pytest.mark.parametrize("cut", [3, 5, 6])
def test_an_answer_may_come_in_pieces(server: Server, talk: Conversation, cut: int) -> None:
    server.react = answering(LOCKED, cut)
    talk.play(raw(open={}))
    talk.play(raw(**CALL, expect={"response": {"locked": True}}))


def test_another_answer_fails(server: Server, talk: Conversation) -> None:
    server.react = answering(HELD)
    talk.play(raw(open={}))
    assert (
        fails(talk, **CALL, expect={"response": {"locked": True}}) == "response.locked: false instead of true"
    )
    server.react = lambda *_: None
    assert fails(talk, **CALL, expect={}) == "no data in 0.3 s"


def test_pings_are_counted(server: Server, talk: Conversation) -> None:
    server.react = on_ping(pong, pong)
    talk.play(raw(open={}))
    talk.play(raw(ping=3))
    talk.play(raw(pongs=2, open_still=True))
    assert fails(talk, pongs=1) == "no pong in 0.3 s"
    assert len(server.of(PingFrame)) == 3


@pytest.mark.parametrize("answers", [True, False])
def test_a_servers_ping_is_answered_if_it_may_be(server: Server, talk: Conversation, answers: bool) -> None:
    server.react = on_ping(ping, pong)
    talk.play(raw(open={"answer_pings": answers}, ping=2, pongs=1))
    talk.play(raw(drop="close"))
    assert server.over.wait(10)
    assert len(server.of(PingFrame, "ACK")) == answers


def test_a_goodbye_is_held_against_what_is_expected(server: Server, talk: Conversation) -> None:
    server.react = on_ping(goaway, goaway, hang_up)
    talk.play(raw(open={}, ping=1, goaway={"code": 11, "text": "too_many_pings"}))
    assert fails(talk, ping=1, goaway={"code": 0}) == "goaway.code: 11 instead of 0"
    talk.play(raw(ping=1, closed=True))
    assert fails(talk, goaway={"code": 11}) == "no goaway in 1.3 s"


def test_a_connection_that_ends_is_seen(server: Server, talk: Conversation) -> None:
    talk.play(raw(open={}, open_still=True))
    assert fails(talk, closed=True, after=[0, 0.1]) == "no closed in 1.1 s"
    server.hang_up()
    assert server.over.wait(10)
    talk.raw["r"].reader.join(10)
    assert fails(talk, open_still=True) == "connection closed"
    assert "not 20 to 30" in fails(talk, closed=True, after=[20, 30])


def test_a_server_that_hangs_up_meanwhile_fails_a_step_in_frames(server: Server, converse: Converse) -> None:
    """As LDLM's own players have it: whoever says goodbye stays until the other has hung up, or for a while."""
    server.react = on_ping(hang_up)
    pings = Case("one", "a test", "wire", "default", False, "", [raw(open={}), raw(ping=50)])
    stage = converse(server.address).stage
    with pytest.raises(Failed, match=r"^step 2: (BrokenPipe|ConnectionReset)Error: "):
        play(pings, stage)


@pytest.mark.parametrize(("how", "end"), [("reset", "reset"), ("close", "closed")])
def test_hanging_up_or_resetting(server: Server, talk: Conversation, how: str, end: str) -> None:
    talk.play(raw(open={}))
    talk.play(raw(drop=how))
    assert server.over.wait(10)
    assert server.end == end


def test_a_repeated_end_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Http2(listener.getsockname(), answer_pings=True)
        client.close()
        client.close(reset=True)


def test_frames_are_for_plain_connections_only(converse: Converse) -> None:
    talk = converse(profile={"tls_cert": "x"})
    with pytest.raises(Skipped, match="no TLS"):
        talk.play(raw(open={}))


def test_gzip_is_used_where_the_step_says(server: Server, talk: Conversation) -> None:
    """The library's own client, seen from below: the first byte of a message says whether it is compressed."""

    def react(server: Server, frame: Frame) -> None:
        if isinstance(frame, DataFrame):
            server.hang_up()

    server.react = react
    call = {"client": "a", "call": "TryLock", "request": {"name": {"$repeat": ["x", 5000]}}}
    talk.play({**call, "gzip": True, "expect": {"status": "UNAVAILABLE"}})
    data = server.of(DataFrame)[0]
    assert isinstance(data, DataFrame)
    assert data.data[0] == 1
    assert len(data.data) < 100
