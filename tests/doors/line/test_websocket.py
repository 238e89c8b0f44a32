"""Websockets (RFC 6455): the handshake, and how frames become commands."""

from __future__ import annotations

import struct

import pytest

from tests.support.clients import WebSocketClient
from tests.support.daemons import ProcessDaemon, Views

MEBIBYTE = 1 << 20


@pytest.fixture
def daemon(shared_daemon: Views) -> ProcessDaemon:
    return shared_daemon("websocket")


# The handshake


@pytest.mark.parametrize("origin", [None, "http://localhost", "http://127.0.0.1:8000", "https://[::1]"])
def test_any_origin_of_this_machine_and_none_is_welcome(daemon: ProcessDaemon, origin: str | None) -> None:
    alice = daemon.websocket({"Origin": origin})
    alice.says("g job").hears("1 Lock Get Success: job")


@pytest.mark.parametrize("path", ["/", "/any/path", "/?query=1", "/metrics"])
def test_any_path_is_welcome(daemon: ProcessDaemon, path: str) -> None:
    alice = daemon.web().opens(path)
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.hangs_up()


def test_headers_as_browsers_write_them(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket({"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"})
    alice.says("g job").hears("1 Lock Get Success: job")


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Sec-WebSocket-Version": "12"}, 400),
        ("GET", {"Sec-WebSocket-Version": "8"}, 400),
        ("GET", {"Sec-WebSocket-Version": None}, 400),
        ("GET", {"Sec-WebSocket-Key": None}, 400),
        ("GET", {"Sec-WebSocket-Key": "short"}, 400),
        ("GET", {"Sec-WebSocket-Protocol": "one, two"}, 400),
        ("POST", {}, 405),
        ("PUT", {"Upgrade": None, "Connection": None}, 405),
    ],
)
def test_a_handshake_that_is_refused(
    daemon: ProcessDaemon, method: str, headers: dict[str, str | None], status: int
) -> None:
    alice = daemon.web()
    assert alice.request(method, headers=headers)[0] == status
    alice.vanishes()
    daemon.counts(connections=0, invalid_commands=0)


def test_a_request_that_is_no_upgrade_is_answered_as_http(daemon: ProcessDaemon) -> None:
    alice = daemon.web()
    status, _ = alice.request(headers={"Upgrade": None, "Connection": None})
    assert status in (200, 400, 404, 426)
    alice.vanishes()
    daemon.counts(connections=0)


def test_a_single_subprotocol_is_echoed(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket({"Sec-WebSocket-Protocol": "lock"})
    assert alice.headers["sec-websocket-protocol"] == "lock"
    bob = daemon.websocket()
    assert "sec-websocket-protocol" not in bob.headers


def test_no_extension_is_negotiated(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket({"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
    assert "sec-websocket-extensions" not in alice.headers
    alice.says("g job").hears("1 Lock Get Success: job")


def test_a_client_is_counted_once_it_has_shaken_hands(daemon: ProcessDaemon) -> None:
    alice = daemon.web()
    daemon.counts(connections=0)
    alice.opens()
    daemon.counts(connections=1)
    alice.hangs_up()


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\n",
        b"g job\n",
        b"GET / HTTP/1.1\r\nHost",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n\r\n",
    ],
)
def test_junk_on_the_websocket_port_harms_nobody(daemon: ProcessDaemon, junk: bytes) -> None:
    stranger = daemon.web()
    stranger.sends(junk)
    alice = daemon.websocket()
    alice.says("g job").hears("1 Lock Get Success: job")
    stranger.vanishes()
    daemon.counts(connections=1, invalid_commands=0)


def test_the_first_message_may_come_with_the_handshake(daemon: ProcessDaemon) -> None:
    alice = daemon.web()
    handshake = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    alice.sends(handshake + alice.frame(alice.TEXT, "g job") + alice.frame(alice.TEXT, "i job"))
    assert alice.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    alice.hears_bytes("1 Lock Get Success: job\r\n").hears_bytes("1 Lock Is Locked: job\n")
    alice.hangs_up()


# Messages


def test_a_line_end_is_optional_and_a_line_end_inside_is_white_space(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    alice.says("g one\n").hears("1 Lock Get Success: one")
    alice.says("g two\r\n").hears("1 Lock Get Success: two")
    alice.says("g three\ng four\n").hears("1 Lock Get Success: three g four")
    alice.says("q\nq").hears_nothing()
    daemon.counts(invalid_commands=1, locks=3)


@pytest.mark.parametrize("opcode", [WebSocketClient.TEXT, WebSocketClient.BINARY])
def test_every_message_gets_one_text_message_back(daemon: ProcessDaemon, opcode: int) -> None:
    alice = daemon.websocket()
    replies = {
        b"g job": b"1 Lock Get Success: job\r\n",
        b"nonsense": b"",
        b"": b"",
        b" \n": b"",
        b"who": b"",
        b"i job": b"1 Lock Is Locked: job\n",
        b"r job": b"1 Lock Release Success: job\n",
    }
    alice.sends(b"".join(alice.frame(opcode, message) for message in replies))
    for reply in replies.values():
        alice.hears_frame(alice.TEXT, reply)
    daemon.counts(invalid_commands=3)


def test_text_that_is_not_utf8_is_a_name_like_any_other(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    name = b"\xff\xfe\xc3"
    alice.says(b"g " + name).hears(b"1 Lock Get Success: " + name)
    alice.says("dump").hears(b"map[%s:%s]" % (name, alice.address.encode()))
    # Half a character at the end of a fragment.
    alice.sends_frame(alice.TEXT, b"g caf\xc3", final=False).sends_frame(alice.CONTINUATION, b"\xa9")
    alice.hears_frame(alice.TEXT, "1 Lock Get Success: caf\u00e9\r\n")


def test_fragments_are_one_command(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    alice.sends_frame(alice.TEXT, "g", final=False)
    alice.sends_frame(alice.CONTINUATION, " jo", final=False)
    alice.sends_frame(alice.PING, "in between").hears_frame(alice.PONG, "in between")
    alice.sends_frame(alice.CONTINUATION, "", final=False)
    alice.sends_frame(alice.CONTINUATION, "b")
    alice.hears_frame(alice.TEXT, "1 Lock Get Success: job\r\n")
    daemon.counts(command_g=1, invalid_commands=0, locks=1)


def test_a_frame_may_come_byte_by_byte_and_many_at_once(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    for byte in alice.frame(alice.TEXT, "g job"):
        alice.sends(bytes([byte]))
    alice.hears_frame(alice.TEXT, "1 Lock Get Success: job\r\n")
    lines = [f"g {number}" for number in range(1000)]
    alice.says(*lines)
    for number in range(1000):
        alice.hears(f"1 Lock Get Success: {number}")


@pytest.mark.parametrize("size", [125, 126, 4096, 5000, 65535, 65536, MEBIBYTE, 5 * MEBIBYTE])
def test_messages_have_no_line_limit(daemon: ProcessDaemon, size: int) -> None:
    alice = daemon.websocket()
    name = "n" * (size - len("g "))
    alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")


def test_a_message_beyond_32_mebibytes_ends_the_connection(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.sends(struct.pack(">BBQI", 0x81, 0x80 | 127, 32 * MEBIBYTE + 1, 0))
    alice.hears_close(1009)  # RFC 6455, 7.4.1: message too big
    daemon.counts(connections=0, orphans=1)


def test_fragments_beyond_32_mebibytes_end_the_connection(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    part = bytes(4 * MEBIBYTE)
    alice.sends_frame(alice.BINARY, part, final=False)
    for _ in range(7):
        alice.sends_frame(alice.CONTINUATION, part, final=False)
    alice.sends_frame(alice.CONTINUATION, b"x", final=False)
    alice.hears_close(1009)
    daemon.counts(connections=0, invalid_commands=0)


# Control frames


def test_a_ping_is_answered_and_a_pong_ignored(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    for payload in (b"", b"hello", bytes(range(125))):
        alice.sends_frame(alice.PING, payload).hears_frame(alice.PONG, payload)
    alice.sends_frame(alice.PONG, "nobody asked")
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.counts(command_g=1, invalid_commands=0)


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 3000, 4999, None])
def test_a_close_is_answered_with_1000_after_the_locks_are_free(
    daemon: ProcessDaemon, code: int | None
) -> None:
    alice, bob = daemon.websocket(), daemon.client("tcp")
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("sg job").hears("1 Shared Lock Get Success: job")
    alice.sends_frame(alice.CLOSE, b"" if code is None else struct.pack(">H", code) + b"bye")
    first, payload = alice.receive_frame()
    bob.says("g job").hears("1 Lock Get Success: job")
    assert (first, payload[:2]) == (0x80 | alice.CLOSE, struct.pack(">H", 1000))
    alice.is_hung_up_on()
    daemon.counts(connections=1, orphans=1)


def test_all_messages_before_a_close_are_answered(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    close = alice.frame(alice.CLOSE, struct.pack(">H", 1000))
    alice.sends(alice.frame(alice.TEXT, "g a") + alice.frame(alice.TEXT, "g b") + close)
    alice.hears_bytes("1 Lock Get Success: a\r\n").hears_bytes("1 Lock Get Success: b\r\n").hears_close(1000)
    daemon.counts(command_g=2, orphans=2, connections=0)


def test_messages_after_a_close_are_not_carried_out(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    close = alice.frame(alice.CLOSE, struct.pack(">H", 1000))
    alice.sends(close + alice.frame(alice.TEXT, "g a")).hears_close(1000)
    daemon.counts(connections=0, command_g=0)


@pytest.mark.parametrize(
    "frame",
    [
        WebSocketClient.frame(WebSocketClient.TEXT, "g b", masked=False),
        WebSocketClient.frame(WebSocketClient.TEXT, "g b", reserved=4),
        WebSocketClient.frame(3, "g b"),
        WebSocketClient.frame(11, "g b"),
        WebSocketClient.frame(WebSocketClient.CONTINUATION, "g b"),
        WebSocketClient.frame(WebSocketClient.PING, bytes(126)),
        WebSocketClient.frame(WebSocketClient.PING, "", final=False),
    ],
    ids=["unmasked", "reserved bit", "opcode 3", "opcode 11", "continuation", "long ping", "ping in parts"],
)
def test_a_frame_against_the_rules_gets_1002_and_the_end(daemon: ProcessDaemon, frame: bytes) -> None:
    alice = daemon.websocket()
    alice.says("g a").hears("1 Lock Get Success: a")
    alice.sends(frame).hears_close(1002)
    daemon.counts(connections=0, orphans=1, command_g=1)


def test_a_message_cut_off_by_the_end_is_not_carried_out(daemon: ProcessDaemon) -> None:
    alice = daemon.websocket()
    alice.says("g a").hears("1 Lock Get Success: a")
    alice.sends(alice.frame(alice.TEXT, "g job")[:-1])
    alice.sock.close()
    daemon.counts(connections=0, orphans=1, command_g=1)
