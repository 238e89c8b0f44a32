"""Behind real proxies: who the client is, and connections that are silent for longer than the proxy bears."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.clients import SocketClient, wait_until
from tests.support.process import Spawner, free_port
from tests.support.proxies import Address, Proxy, Start

Need = Callable[[str, str | None], str]

TIMEOUT = 3  # seconds for which these proxies bear silence
ON = ("-proxy-protocol", "127.0.0.1")

HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client {timeout}s
    timeout server {timeout}s
listen glockd
    bind 127.0.0.1:{port}
    server glockd {server[0]}:{server[1]} {options}
"""
NGINX = """
load_module {module};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
stream {{
    proxy_timeout {timeout}s;
    server {{
        listen 127.0.0.1:{port};
        proxy_pass {server[0]}:{server[1]};
        proxy_protocol {protocol};
    }}
}}
"""


def haproxy(
    start: Start, need: Need, folder: Path, server: Address, options: str = ""
) -> tuple[Proxy, Address]:
    port = free_port()
    config = HAPROXY.format(timeout=TIMEOUT, port=port, server=server, options=options)
    return start([need("haproxy", None), "-db", "-f"], config), ("127.0.0.1", port)


def nginx(
    start: Start, need: Need, folder: Path, server: Address, protocol: str = "off"
) -> tuple[Proxy, Address]:
    program, port = need("nginx", None), free_port()
    module = next(Path("/usr/lib/nginx/modules").glob("ngx_stream_module.so"), None)
    need("nginx" if module else "ngx_stream_module.so", "libnginx-mod-stream")
    config = NGINX.format(
        module=module, folder=folder, timeout=TIMEOUT, port=port, server=server, protocol=protocol
    )
    return start([program, "-e", str(folder / "nginx.log"), "-p", str(folder), "-c"], config), (
        "127.0.0.1",
        port,
    )


# Who the client is


@pytest.mark.parametrize(
    "options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"]
)
@pytest.mark.transports("tcp", "websocket")
def test_haproxy_tells_who_the_client_is(
    glockd: Spawner, start: Start, need: Need, tmp_path: Path, transport: str, options: str
) -> None:
    daemon = glockd(*ON, "-verbose")
    proxy, address = haproxy(
        start, need, tmp_path, daemon.ws if transport == "websocket" else daemon.tcp, options
    )
    alice: SocketClient = proxy.web(address).opens() if transport == "websocket" else proxy.stream(address)
    alice.says("me").hears(f"1 {alice.address} {alice.address}")
    daemon.logs("connected", alice.address)
    alice.hangs_up()


def test_health_checks_of_haproxy_pass(glockd: Spawner, start: Start, need: Need, tmp_path: Path) -> None:
    """They come with the command LOCAL, and end without a word."""
    daemon = glockd(*ON, "-verbose")
    haproxy(start, need, tmp_path, daemon.tcp, "send-proxy-v2 check inter 100ms")
    wait_until(lambda: daemon.stderr.count("disconnected") >= 3)
    assert "refused" not in daemon.stderr


def test_nginx_tells_who_the_client_is(glockd: Spawner, start: Start, need: Need, tmp_path: Path) -> None:
    daemon = glockd(*ON)
    proxy, address = nginx(start, need, tmp_path, daemon.tcp, "on")
    alice = proxy.stream(address)
    alice.says("me").hears(f"1 {alice.address} {alice.address}")
    alice.hangs_up()


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2"])
@pytest.mark.transports("tcp", "websocket")
def test_a_client_hears_why_its_proxy_is_refused(
    glockd: Spawner, start: Start, need: Need, tmp_path: Path, transport: str, options: str
) -> None:
    daemon = glockd()
    proxy, address = haproxy(
        start, need, tmp_path, daemon.ws if transport == "websocket" else daemon.tcp, options
    )
    if transport == "websocket":
        assert proxy.web(address).request() == (400, b"0 No PROXY Protocol Here\n")
    else:
        assert proxy.stream(address).take_until(b"\n") == b"0 No PROXY Protocol Here\n"


# Silence


def hears_unless_alive(client: SocketClient) -> bytes:
    while (line := client.hears_a_line()) == b"! alive\n":
        pass
    return line


@pytest.mark.parametrize("through", [haproxy, nginx])
def test_who_says_nothing_keeps_lock_and_place_behind_a_proxy(
    glockd: Spawner, start: Start, need: Need, tmp_path: Path, through: Callable[..., tuple[Proxy, Address]]
) -> None:
    daemon = glockd()
    proxy, address = through(start, need, tmp_path, daemon.tcp)
    silent, holder, waiter = (proxy.stream(address) for _ in range(3))
    silent.says("g other").hears("1 Lock Get Success: other")
    holder.says("alive 1").hears("1 ok")
    holder.says("g job").hears("1 Lock Get Success: job")
    waiter.says("alive 1").hears("1 ok")
    waiter.says("wait 600 job")
    # The proxy has ended who did not ask; for as long again the others stay.
    silent.is_hung_up_on()
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        assert holder.hears_a_line() == waiter.hears_a_line() == b"! alive\n"
    holder.says("i job")
    assert hears_unless_alive(holder) == b"1 Lock Is Locked: job\n"
    holder.says("r job")
    assert hears_unless_alive(holder) == b"1 Lock Release Success: job\n"
    assert hears_unless_alive(waiter) == b"1 Lock Get Success: job\n"
    waiter.says("i other")
    assert hears_unless_alive(waiter) == b"0 Lock Not Locked: other\r\n"
