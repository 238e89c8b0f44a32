"""Connections through a proxy that says whose they are, and through one that should not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import cast

import pytest

from glockd.config import Config
from glockd.daemon import Daemon
from glockd.doors.line.stream import StreamProtocol
from glockd.net.addresses import Callers
from glockd.net.introduction import Introduction
from glockd.net.peer import Peer, Told
from tests.support.certificates import Authority
from tests.support.clients import PATIENCE, SocketClient, StreamClient, WebSocketClient, wait_until
from tests.support.http import ask
from tests.support.locks import holders
from tests.support.process import Glockd, Spawner, run_glockd
from tools.fuzz import Wire as FuzzWire

PROXY = "127.0.0.2"  # where the tests' proxies are
ON = ("-proxy-protocol", f"10.0.0.0/8, {PROXY}/32")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_1(host: str, port: int) -> bytes:
    return f"PROXY TCP{6 if ':' in host else 4} {host} {'::1' if ':' in host else '10.0.0.1'} {port} 9999\r\n".encode()


def version_2(host: str, port: int) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.inet_pton(family, host)
    told = address + address + struct.pack(">HH", port, 9999)
    return SIGNATURE + struct.pack(">BBH", 0x21, 0x21 if ":" in host else 0x11, len(told)) + told


LOCAL = SIGNATURE + b"\x20\0\0\0"
HEADERS = {"version 1": version_1, "version 2": version_2}


def from_proxy(daemon: Glockd, transport: str = "tcp", *, host: str = PROXY) -> SocketClient:
    """A connection that a proxy has made and on which it has said nothing yet."""
    where = daemon.ws if transport == "websocket" else daemon.tcp
    sock = socket.create_connection(where, PATIENCE, source_address=(host, 0))
    daemon.sockets.append(sock)
    address = f"{host}:{sock.getsockname()[1]}"
    return (
        WebSocketClient(sock, address) if transport == "websocket" else StreamClient(sock, address, transport)
    )


def told(client: SocketClient, header: bytes, address: str) -> SocketClient:
    """The client behind it, as its proxy tells."""
    client.sends(header)
    client.address = address
    return client.opens() if isinstance(client, WebSocketClient) else client


def is_refused(client: SocketClient, line: str) -> None:
    """The client hears why, and that is the end."""
    heard = b""
    if client.transport == "websocket":
        head = client.take_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 "), head
    heard = client.take(len(line) + 1)
    assert heard == line.encode() + (b"\n" if heard.endswith(b"\n") else b"")
    client.is_hung_up_on()


# Told, and believed


@pytest.mark.transports("tcp", "websocket")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("host", ["203.0.113.9", "2001:db8::1"])
def test_everything_knows_a_client_by_the_address_that_is_told(
    glockd: Spawner, transport: str, header: Callable[[str, int], bytes], host: str
) -> None:
    daemon = glockd(*ON, "-verbose", "-history", "9")
    address = f"[{host}]:5555" if ":" in host else f"{host}:5555"
    alice = told(from_proxy(daemon, transport), header(host, 5555), address)
    alice.says("me").hears(f"1 {address} {address}")
    alice.says("g job", "iam Alice").hears("1 Lock Get Success: job").hears("1 ok")
    bob = daemon.client("unix")
    assert holders(bob, "job") == [address]
    bob.says("dump").hears(f"map[job:{address}]")
    bob.says("who").hears(f"{address}: Alice")
    events = json.loads(bob.says("history job").hears_a_line().partition(b" ")[2])
    assert [event["address"] for event in events] == [address]
    daemon.logs("connected", address)
    alice.hangs_up()
    daemon.logs("disconnected", address)


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_may_come_byte_by_byte_or_with_the_first_commands(
    glockd: Spawner, header: Callable[[str, int], bytes]
) -> None:
    daemon = glockd(*ON)
    alice, bob = from_proxy(daemon), from_proxy(daemon)
    for byte in header("203.0.113.9", 1) + b"me\n":
        alice.sends(bytes([byte]))
    alice.hears_bytes("1 203.0.113.9:1 203.0.113.9:1\n")
    bob.sends(header("203.0.113.9", 2) + b"me\ng job\n")
    bob.hears_bytes("1 203.0.113.9:2 203.0.113.9:2\n1 Lock Get Success: job\r\n")


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
def test_a_proxy_that_speaks_for_itself_is_called_by_its_own_address(glockd: Spawner, header: bytes) -> None:
    daemon = glockd(*ON)
    proxy = from_proxy(daemon)
    proxy.sends(header).says("me").hears(f"1 {proxy.address} {proxy.address}")


def test_a_page_is_served_behind_a_header(glockd: Spawner) -> None:
    daemon = glockd(*ON)
    proxy = from_proxy(daemon, "websocket")
    proxy.sends(version_1("203.0.113.9", 1) + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert proxy.take_until(b"\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_websocket_on_the_http_port_has_the_address_that_is_told(glockd: Spawner) -> None:
    daemon = glockd(*ON, "-http", "127.0.0.1:0", "-max-address-connections", "1")
    ready = re.search(r"http=\['127\.0\.0\.1:(\d+)'\]", daemon.logs("ready"))
    assert ready
    port = int(ready[1])
    for _ in range(2):  # the address is free again when its client has gone
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(PROXY, 0))
        daemon.sockets.append(sock)
        alice = WebSocketClient(sock, "").sends(version_2("203.0.113.9", 7)).opens()
        alice.says("me").hears("1 203.0.113.9:7 203.0.113.9:7")
        second = told(from_proxy(daemon), version_1("203.0.113.9", 8), "")
        assert second.take_until(b"\n") == b"0 Too Many Connections\n"
        alice.hangs_up()


def test_two_sessions_never_have_one_address(glockd: Spawner) -> None:
    daemon = glockd(*ON)
    header, address = version_2("203.0.113.9", 7), "203.0.113.9:7"
    first = told(from_proxy(daemon), header, address)
    first.says("me").hears(f"1 {address} {address}")
    second = told(from_proxy(daemon, "websocket"), header, f"{address}#2")
    second.says("me").hears(f"1 {address}#2 {address}#2")
    first.hangs_up()
    third = told(from_proxy(daemon), header, f"{address}#3")
    third.says("me").hears(f"1 {address}#3 {address}#3")
    second.hangs_up()
    third.hangs_up()
    fourth = told(from_proxy(daemon), header, address)
    fourth.says("me").hears(f"1 {address} {address}")
    # Nor has somebody who is there himself.
    direct = daemon.client("tcp")
    direct.says("me").hears(f"1 {direct.address} {direct.address}")
    host, port = direct.address.split(":")
    fifth = told(from_proxy(daemon), version_1(host, int(port)), f"{direct.address}#2")
    fifth.says("me").hears(f"1 {direct.address}#2 {direct.address}#2")


def test_the_gate_counts_the_address_that_is_told(glockd: Spawner) -> None:
    daemon = glockd(*ON, "-max-address-connections", "2")
    inside = [told(from_proxy(daemon), version_1("203.0.113.9", port), "") for port in (1, 2)]
    for client in inside:
        client.says("ping").hears("1 pong")
    third = told(from_proxy(daemon), version_1("203.0.113.9", 3), "")
    assert third.take_until(b"\n") == b"0 Too Many Connections\n"
    third.is_hung_up_on()
    daemon.logs("refused", "address_connections=1")
    told(from_proxy(daemon), version_1("203.0.113.10", 4), "").says("ping").hears("1 pong")
    inside[0].hangs_up()
    told(from_proxy(daemon), version_1("203.0.113.9", 5), "").says("ping").hears("1 pong")


def test_who_is_told_to_be_local_is_not(glockd: Spawner) -> None:
    daemon = glockd(*ON, "-admin", "-max-address-connections", "1")
    local = told(from_proxy(daemon), version_1("127.0.0.1", 4), "127.0.0.1:4")
    local.says("me").hears("1 127.0.0.1:4 127.0.0.1:4")
    local.says("kick 127.0.0.1:4").hears("0 disabled")
    assert daemon.stream().take_until(b"\n") == b"0 Too Many Connections\n"


def test_nothing_of_a_connection_stays(glockd: Spawner) -> None:
    daemon = glockd(*ON, "-max-connections", "3")
    for _ in range(20):
        told(from_proxy(daemon), version_2("203.0.113.9", 7), "").says("ping").hears("1 pong").hangs_up()
        from_proxy(daemon).vanishes()
        from_proxy(daemon).sends(SIGNATURE).vanishes()
        is_refused(from_proxy(daemon).sends("ping\n"), "0 Only PROXY Protocol Here")
        daemon.client("tcp").hangs_up()
    watcher = daemon.stream("unix")
    wait_until(lambda: is_let_in(watcher))
    clients = [told(from_proxy(daemon), version_1("203.0.113.9", 7), "") for _ in range(2)]
    for client, number in zip(clients, ("", "#2"), strict=True):
        client.says("me").hears(f"1 203.0.113.9:7{number} 203.0.113.9:7{number}")
    full = from_proxy(daemon)
    assert full.take_until(b"\n") == b"0 Too Many Connections\n"
    full.is_hung_up_on()


# In front of TLS


@pytest.fixture
def secure(
    tmp_path: Path, glockd: Spawner, need: Callable[[str, str | None], str]
) -> tuple[Callable[..., Glockd], ssl.SSLContext]:
    authority = Authority(tmp_path, need("openssl", None))
    certificate, key = authority.issue("server")

    def start(*flags: str) -> Glockd:
        return glockd("-tls-cert", str(certificate), "-tls-key", str(key), *flags)

    return start, ssl.create_default_context(cafile=str(authority.ca))


@pytest.mark.transports("tcp", "websocket")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_comes_before_tls(
    secure: tuple[Callable[..., Glockd], ssl.SSLContext], transport: str, header: Callable[[str, int], bytes]
) -> None:
    start, trust = secure
    daemon = start(*ON)
    for port in (1, 2, 3):
        plain = from_proxy(daemon, transport).sends(header("203.0.113.9", port))
        sock = trust.wrap_socket(plain.sock, server_hostname="localhost")
        daemon.sockets.append(sock)
        alice = (
            WebSocketClient(sock, "").opens() if transport == "websocket" else StreamClient(sock, "", "tcp")
        )
        alice.says("me").hears(f"1 203.0.113.9:{port} 203.0.113.9:{port}")
    direct = trust.wrap_socket(daemon.connect("tcp").sock, server_hostname="localhost")
    daemon.sockets.append(direct)
    StreamClient(direct, "", "tcp").says("ping").hears("1 pong")


@pytest.mark.transports("tcp", "websocket")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("flags", [(), ON], ids=["off", "on"])
def test_a_header_that_nobody_asked_for_is_refused_in_front_of_tls_too(
    secure: tuple[Callable[..., Glockd], ssl.SSLContext],
    transport: str,
    header: Callable[[str, int], bytes],
    flags: tuple[str, ...],
) -> None:
    daemon = secure[0](*flags)
    is_refused(daemon.connect(transport).sends(header("203.0.113.9", 1)), "0 No PROXY Protocol Here")
    daemon.logs("refused", "proxy=1")


# Refused


@pytest.mark.transports("tcp", "unix", "websocket")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("flags", [(), ON], ids=["off", "on"])
def test_a_header_that_nobody_asked_for_is_refused(
    glockd: Spawner, transport: str, header: Callable[[str, int], bytes], flags: tuple[str, ...]
) -> None:
    daemon = glockd(*flags)
    watcher = daemon.client("unix")
    is_refused(
        daemon.connect(transport).sends(header("203.0.113.9", 1) + b"g job\n"), "0 No PROXY Protocol Here"
    )
    watcher.says("i job").hears("0 Lock Not Locked: job")
    daemon.logs("refused", "proxy=1")
    found = re.search(r'glockd_refused_total\{reason="proxy"\} (\S+)', ask(daemon.ws, "/metrics").text)
    assert found
    assert float(found[1]) == 1


@pytest.mark.transports("tcp", "websocket")
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_client_does_not_add_a_header_of_its_own(
    glockd: Spawner, transport: str, header: Callable[[str, int], bytes]
) -> None:
    daemon = glockd(*ON)
    client = from_proxy(daemon, transport).sends(header("203.0.113.9", 1) + header("10.0.0.1", 2))
    is_refused(client, "0 No PROXY Protocol Here")


@pytest.mark.transports("tcp", "websocket")
@pytest.mark.parametrize(
    "said", [b"ping\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b"PROXY x\r\n"]
)
def test_a_proxy_has_to_say_whose_a_connection_is(glockd: Spawner, transport: str, said: bytes) -> None:
    daemon = glockd(*ON)
    is_refused(from_proxy(daemon, transport).sends(said), "0 Only PROXY Protocol Here")
    daemon.logs("refused", "proxy=1")
    daemon.client(transport).says("ping").hears("1 pong")


@pytest.mark.transports("tcp", "websocket")
@pytest.mark.parametrize("said", [b"", b"PROXY TCP4 ", SIGNATURE])
def test_a_proxy_has_to_say_it_in_time(glockd: Spawner, transport: str, said: bytes) -> None:
    daemon = glockd(*ON, "-handshake-seconds", "1")
    client = from_proxy(daemon, transport)
    if said:
        client.sends(said)
    is_refused(client, "0 Only PROXY Protocol Here")
    daemon.logs("refused", "handshake=1")


def test_a_connection_counts_before_it_is_known_whose_it_is(glockd: Spawner) -> None:
    daemon = glockd(*ON, "-max-connections", "2")
    silent = [from_proxy(daemon) for _ in range(2)]
    full = from_proxy(daemon)  # accepted after them
    assert full.take_until(b"\n") == b"0 Too Many Connections\n"
    full.is_hung_up_on()
    silent[0].vanishes()
    wait_until(lambda: is_let_in(daemon.stream("unix")))


def is_let_in(client: StreamClient) -> bool:
    with contextlib.suppress(OSError):
        client.sends("ping\n")
    return client.take_until(b"\n") == b"1 pong\n"


# The option


@pytest.fixture
def six(glockd: Spawner, has_ipv6: bool) -> Glockd:
    if not has_ipv6:
        pytest.skip("no IPv6 here")
    return glockd("-proxy-protocol", "::1", listen=("tcp6", "unix"))


def test_a_network_may_be_one_of_ipv6(six: Glockd) -> None:
    client = six.stream("tcp6").sends(version_2("203.0.113.9", 1))
    client.says("me").hears("1 203.0.113.9:1 203.0.113.9:1")


@pytest.mark.parametrize("word", ["10.0.0.1/8", "example.org", "10.0.0.0/33", "all"])
def test_what_is_no_network_is_refused_at_the_start(word: str) -> None:
    result = run_glockd("-port", "0", "-ws", "0", "-proxy-protocol", f"10.0.0.0/8,{word}")
    assert result.returncode == 2
    assert "-proxy-protocol" in result.stderr
    assert word in result.stderr


# Memory: the daemon has no cyclic garbage collector to rely on


class Wire(FuzzWire):
    """A transport that can be handed over."""

    protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


COURSES = {
    "no header": [],
    "half a header": [SIGNATURE],
    "junk": [b"ping\n"],
    "a header": [version_1("203.0.113.9", 1)],
    "a header and a command": [version_2("203.0.113.9", 1) + b"g job\n"],
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("packets", COURSES.values(), ids=COURSES)
async def test_a_connection_leaves_nothing_in_memory(packets: list[bytes]) -> None:
    daemon = Daemon(Config(port=0, ws=0), asyncio.get_running_loop(), Config)
    callers = Callers()
    factory = cast(Callable[[], Peer], daemon.line.answers["tcp"])

    def left() -> int:
        return sum(isinstance(each, Introduction | StreamProtocol | Told) for each in gc.get_objects())

    before = left()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours, 1234)
        wire.set_protocol(Introduction(daemon.service, [ip_network("127.0.0.1")], callers, factory))
        cast(asyncio.Protocol, wire.protocol).connection_made(wire)
        for packet in packets:
            cast(asyncio.Protocol, wire.protocol).data_received(packet)
        assert left() > before
        cast(asyncio.Protocol, wire.protocol).connection_lost(None)
        wire.protocol = None  # as transports do
        del wire
        await asyncio.sleep(0)
        assert left() == before
        assert daemon.service.gate.connections == 0
        assert callers.take(b"203.0.113.9:1") == b"203.0.113.9:1"


# The HTTP port


def on_http(glockd: Spawner, *flags: str) -> tuple[Glockd, tuple[str, int]]:
    daemon = glockd(*flags, "-http", "127.0.0.1:0")
    ready = re.search(r"http=\['127\.0\.0\.1:(\d+)'\]", daemon.logs("ready"))
    assert ready
    return daemon, ("127.0.0.1", int(ready[1]))


def exchange(daemon: Glockd, where: tuple[str, int], host: str, data: bytes) -> bytes:
    """All that is answered to `data` on a connection from `host`, to its end."""
    sock = socket.create_connection(where, PATIENCE, source_address=(host, 0))
    daemon.sockets.append(sock)
    sock.sendall(data)
    return sock.makefile("rb").read()


GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_nobody_asked_for_is_refused_in_words_of_http(
    glockd: Spawner, header: Callable[[str, int], bytes]
) -> None:
    daemon, where = on_http(glockd)
    answer = exchange(daemon, where, "127.0.0.1", header("203.0.113.9", 1) + GET)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\nThere is no PROXY protocol here.\n")
    daemon.logs("refused", "proxy=1")


def test_a_header_that_is_missing_is_asked_for_in_words_of_http(glockd: Spawner) -> None:
    daemon, where = on_http(glockd, *ON)
    answer = exchange(daemon, where, PROXY, GET)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\nOnly the PROXY protocol is understood here.\n")
    daemon.logs("refused", "proxy=1")
