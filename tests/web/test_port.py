"""The port of -http, with the clients that people have: keep-alive, websockets that are handed over, TLS."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import ssl
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.clients import PATIENCE, WebSocketClient, wait_until
from tests.support.http import ask, samples
from tests.support.process import Glockd, Spawner
from tests.web.test_app import PAGES, with_http_port


def test_a_client_asks_again_on_the_same_connection(glockd: Spawner) -> None:
    _, address = with_http_port(glockd)
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    sockets = set()
    for path in (*PAGES, "/nothing", *PAGES):
        connection.request("GET", path)
        response = connection.getresponse()
        assert len(response.read()) == int(response.headers["Content-Length"])
        sockets.add(connection.sock.fileno())
    assert len(sockets) == 1
    connection.close()


def test_pages_are_the_same_on_both_ports(glockd: Spawner, tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("hunter2\n")
    _, address = with_http_port(glockd, "-auth-file", str(tmp_path / "secrets"))
    together = glockd("-auth-file", str(tmp_path / "secrets")).ws
    for headers in ({}, {"Authorization": "Bearer hunter2"}, {"Host": "evil.example"}):
        for path, method in product(("/", "/healthz", "/readyz", "/nothing"), ("GET", "HEAD", "POST")):
            here, there = ask(address, path, method, headers), ask(together, path, method, headers)
            assert (here.status, here.body) == (there.status, there.body)
            assert dict(here.headers, date="") == dict(there.headers, date="")


def test_a_body_that_nobody_asked_for_is_read_and_the_connection_goes_on(glockd: Spawner) -> None:
    _, address = with_http_port(glockd)
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    for body in (b"x" * 100_000, iter([b"a", b"bc"])):
        connection.request("POST", "/healthz", body, encode_chunked=not isinstance(body, bytes))
        response = connection.getresponse()
        assert (response.status, response.read()) == (405, b"Use GET or HEAD.\n")
    connection.close()


def test_a_websocket_begins_behind_requests_and_with_its_first_commands(glockd: Spawner) -> None:
    daemon, address = with_http_port(glockd, "-max-connections", "2")
    daemon.ws = address
    client = daemon.web()
    for path in ("/healthz", "/readyz"):
        client.sends(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.take_until(b"ok\n")
    client.take_until(b"ready\n")
    assert client.request()[0] == 101
    client.says("g job", "me").hears("1 Lock Get Success: job")
    client.hears(f"1 {client.address} {client.address}")
    # It has come in once: there is room for exactly one more.
    other = daemon.client("unix")
    other.says("i job").hears("1 Lock Is Locked: job")
    daemon.stream().hears("0 Too Many Connections").is_hung_up_on()
    client.hangs_up()
    wait_until(lambda: other.says("i job").hears_a_line().startswith(b"0"))
    wait_until(lambda: daemon.client("unix").says("ping").hears_a_line() == b"1 pong\n")


HANDSHAKE = (
    b"GET /x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING = b"\x81\x84\0\0\0\0ping"


@pytest.mark.parametrize("cut", [0, 1, 40, len(HANDSHAKE) - 1, len(HANDSHAKE), len(HANDSHAKE) + 3])
def test_bytes_behind_a_handshake_are_handed_on_and_counted_once(glockd: Spawner, cut: int) -> None:
    daemon, address = with_http_port(glockd)
    daemon.ws = address
    client = daemon.web()
    sent = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + HANDSHAKE + PING
    client.sends(sent[: cut + 43])
    client.take_until(b"ok\n")
    client.sends(sent[cut + 43 :])
    start = client.take_until(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 101 ")
    client.take_until(b"1 pong\n")
    text = ask(address, "/metrics").text
    received = samples(text)['glockd_received_bytes_total{transport="websocket"}']
    metrics = len(f"GET /metrics HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n")
    # The request for the metrics has other fields besides, of which the client knows.
    assert len(sent) + metrics < received < len(sent) + metrics + 100
    assert samples(text)['glockd_connections_opened_total{transport="websocket"}'] == 1


def test_a_handshake_that_is_none_is_refused_by_the_websocket_s_own_rules(glockd: Spawner) -> None:
    daemon, address = with_http_port(glockd)
    daemon.ws = address
    client = daemon.web()
    assert client.request(headers={"Sec-WebSocket-Version": "8"})[0] == 400
    assert daemon.web().request(headers={"Sec-WebSocket-Key": "short"})[0] == 400
    assert daemon.web().request(headers={"Origin": "https://evil.example"})[0] == 403
    daemon.logs("refused", "origin=1")


def test_requests_that_are_malformed_are_counted_and_logged(glockd: Spawner) -> None:
    daemon, address = with_http_port(glockd)
    daemon.ws = address
    client = daemon.web().sends("GET / HTTP/1.1\r\n\r\n")
    assert client.take_until(b"\r\n") == b"HTTP/1.1 400 Bad Request\r\n"
    client.take_until(b"A request names one Host.\n")
    daemon.logs("refused", "malformed=1")


def test_a_stopping_daemon_closes_idle_connections(glockd: Spawner) -> None:
    daemon, address = with_http_port(glockd)
    daemon.ws = address
    client = daemon.web().sends("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.take_until(b"ok\n")
    daemon.gets(signal.SIGTERM)
    assert daemon.ends() == 0
    client.is_hung_up_on()


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str, str | None], str]) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), need("openssl", None))


@pytest.fixture
def secure(glockd: Spawner, authority: Authority) -> tuple[Glockd, tuple[str, int]]:
    files = authority.issue("server")
    return with_http_port(glockd, "-tls-cert", str(files[0]), "-tls-key", str(files[1]))


def test_https(secure: tuple[Glockd, tuple[str, int]], authority: Authority) -> None:
    trust = ssl.create_default_context(cafile=str(authority.ca))
    connection = http.client.HTTPSConnection(*secure[1], timeout=PATIENCE, context=trust)
    for _ in range(3):
        connection.request("GET", "/")
        assert len(connection.getresponse().read()) > 50_000
    connection.close()


def test_a_websocket_over_tls_is_handed_over(
    secure: tuple[Glockd, tuple[str, int]], authority: Authority
) -> None:
    daemon, address = secure
    daemon.ws = address
    plain = daemon.web()
    trust = ssl.create_default_context(cafile=str(authority.ca))
    sock = trust.wrap_socket(plain.sock, server_hostname="localhost")
    daemon.sockets.append(sock)
    client = WebSocketClient(sock, plain.address)
    client.sends("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.take_until(b"ok\n")
    client.opens().says("g job").hears("1 Lock Get Success: job").hangs_up()


@pytest.mark.parametrize("settled", [True, False])
def test_half_a_connection_over_tls_gets_its_answers(
    secure: tuple[Glockd, tuple[str, int]], authority: Authority, settled: bool
) -> None:
    daemon, address = secure
    daemon.ws = address
    client = daemon.web()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    trust = ssl.create_default_context(cafile=str(authority.ca))
    tls = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")

    def reads() -> bool:
        client.sends(outgoing.read())
        more = client.read_more()
        incoming.write(client.take(len(client.buffer)))
        return more

    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def hears() -> bytes:
        while True:
            try:
                return tls.read(100_000)
            except ssl.SSLWantReadError:
                if not reads():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""

    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            reads()
    if settled:
        tls.write(request)
        assert hears().endswith(b"ok\n")
    tls.write(request * 20)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.unwrap()  # the requests and the goodbye go in one packet
    heard = b"".join(iter(hears, b""))
    if settled:
        assert heard.count(b"\r\n\r\nok\n") == 20
    # Said within the handshake's last packet, goodbye leaves no time for answers; but it harms nobody.
    assert daemon.client("unix").says("ping").hears_a_line() == b"1 pong\n"


def test_plain_http_where_tls_is_wanted_is_told_so(secure: tuple[Glockd, tuple[str, int]]) -> None:
    answer = ask(secure[1], "/healthz")
    assert (answer.status, answer.body) == (
        400,
        b"Only TLS is understood here: this is an HTTP request to an HTTPS server.\n",
    )


# Real tools


def test_curl_asks_twice_on_one_connection(glockd: Spawner, need: Callable[..., str]) -> None:
    _, (host, port) = with_http_port(glockd)
    url = f"http://{host}:{port}"
    told = "%{stderr}%{json}\n"
    command = [need("curl"), "-sS", "-w", told, f"{url}/healthz", f"{url}/readyz"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert result.stdout == "ok\nready\n"
    assert [json.loads(line)["num_connects"] for line in result.stderr.splitlines()] == [1, 0]


@pytest.mark.parametrize(
    "flags", [["--http2"], ["--http2", "-d", "body"], ["--http1.0"], ["-I"]], ids=" ".join
)
def test_curl_in_its_other_ways(glockd: Spawner, need: Callable[..., str], flags: list[str]) -> None:
    _, (host, port) = with_http_port(glockd)
    command = [need("curl"), "-sS", "-o", "-", "-w", "%{http_code}", *flags, f"http://{host}:{port}/healthz"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert result.stdout.endswith("405" if "-d" in flags else "200")
    assert result.stderr == ""


def test_curl_sends_a_large_body_only_if_it_may(
    glockd: Spawner, need: Callable[..., str], tmp_path: Path
) -> None:
    _, (host, port) = with_http_port(glockd)
    (tmp_path / "large").write_bytes(b"x" * (8 << 20))
    command = [
        need("curl"),
        "-sS",
        "-w",
        "%{http_code} %{size_upload}",
        "--data-binary",
        f"@{tmp_path}/large",
    ]
    result = subprocess.run(
        [*command, "-o", "/dev/null", "-H", "Expect: 100-continue", f"http://{host}:{port}/healthz"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert result.stdout == "413 0"
