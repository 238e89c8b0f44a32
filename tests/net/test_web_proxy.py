"""nginx in front of pages and websockets, with the configuration that docs/operations.md gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.blocks import blocks
from tests.support.clients import WebSocketClient
from tests.support.http import ask
from tests.support.places import ROOT
from tests.support.process import Glockd, Spawner, free_port
from tests.support.proxies import Address, Proxy, Start

Need = Callable[..., str]
Behind = Callable[..., tuple[Glockd, Proxy, Address]]

AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{told}
}}
"""
NAME = "locks.example.org"


def told(port: int, server: Address, **instead: str) -> str:
    """The configuration in the documents, for other ports and with other words."""
    (block,) = (one for one in blocks(ROOT / "docs" / "operations.md") if one.language == "nginx")
    changes = {"listen 80": f"listen 127.0.0.1:{port}", "127.0.0.1:9998": "{}:{}".format(*server), **instead}
    text = block.text
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture(params=["-ws", "-http"])
def behind(
    request: pytest.FixtureRequest, glockd: Spawner, start: Start, need: Need, tmp_path: Path
) -> Behind:
    """Starts a daemon with nginx in front of one of its ports."""
    program = need("nginx")

    def begin(*flags: str, **instead: str) -> tuple[Glockd, Proxy, Address]:
        own = ("127.0.0.1", free_port())
        daemon = glockd(
            "-ws-host", NAME, *flags, *(("-http", f"{own[0]}:{own[1]}") if request.param == "-http" else ())
        )
        daemon.wait_until_ready()
        server = own if request.param == "-http" else daemon.ws
        port = free_port()
        config = AROUND.format(folder=tmp_path, told=told(port, server, **instead))
        proxy = start([program, "-e", str(tmp_path / "nginx.log"), "-p", str(tmp_path), "-c"], config)
        return daemon, proxy, ("127.0.0.1", port)

    return begin


def opened(proxy: Proxy, address: Address, host: str = NAME) -> WebSocketClient:
    """A websocket of a page that came from nginx."""
    site = f"{host}:{address[1]}"
    return proxy.web(address).opens(headers={"Host": site, "Origin": f"http://{site}"})


def test_pages_come_through(behind: Behind) -> None:
    _, proxy, address = behind()
    proxy.connect(address)
    host = {"Host": f"{NAME}:{address[1]}"}
    assert "<title>" in ask(address, "/", headers=host).text
    assert "glockd_build_info" in ask(address, "/metrics", headers=host).text
    assert ask(address, "/readyz", headers=host).status == 200
    assert ask(address, "/", headers={"Host": "other.example"}).status == 421


def test_a_page_of_nginx_s_own_site_may_open_a_websocket(behind: Behind) -> None:
    daemon, proxy, address = behind()
    alice = opened(proxy, address)
    alice.says("g job").hears("1 Lock Get Success: job")
    bob = daemon.client("unix")
    bob.says("wait 60 job")
    alice.hangs_up()
    bob.hears("1 Lock Get Success: job")


def test_pages_of_other_sites_may_not(behind: Behind) -> None:
    _, proxy, address = behind()
    headers = {"Host": f"{NAME}:{address[1]}", "Origin": "https://other.example"}
    status, body = proxy.web(address).request(headers=headers)
    assert (status, body[:14]) == (403, b"Pages of https")


def test_without_the_host_the_own_page_is_foreign(behind: Behind) -> None:
    _, proxy, address = behind(**{"proxy_set_header Host $http_host;": ""})
    site = f"{NAME}:{address[1]}"
    assert proxy.web(address).request(headers={"Host": site, "Origin": f"http://{site}"})[0] == 403


def test_a_client_that_is_killed_holds_nothing(behind: Behind) -> None:
    daemon, proxy, address = behind()
    alice = opened(proxy, address)
    alice.says("g job").hears("1 Lock Get Success: job")
    bob = daemon.client("unix")
    bob.says("wait 60 job")
    alice.vanishes()
    bob.hears("1 Lock Get Success: job")


def test_a_secret_comes_through(behind: Behind, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("hunter2\n")
    secrets.chmod(0o600)
    _, proxy, address = behind("-auth-file", str(secrets))
    proxy.connect(address)
    host = {"Host": f"{NAME}:{address[1]}"}
    assert ask(address, "/metrics", headers=host).status == 401
    assert ask(address, "/metrics", headers={**host, "Authorization": "Bearer hunter2"}).status == 200
    opened(proxy, address).says("auth hunter2").hears("1 ok")


def test_who_answers_pings_keeps_its_lock_for_longer_than_nginx_bears_silence(behind: Behind) -> None:
    """Pings come 2 seconds after the last sign of life or, by the sweep, a second later; 5 of them take 10 seconds."""
    daemon, proxy, address = behind(
        "-dead-peer-seconds", "6", **{"proxy_read_timeout 60s": "proxy_read_timeout 8s"}
    )
    alice = opened(proxy, address)
    alice.says("g job").hears("1 Lock Get Success: job")
    for _ in range(5):
        first, payload = alice.receive_frame()
        assert first == 0x80 | alice.PING
        alice.sends_frame(alice.PONG, payload)
    daemon.client("unix").says("i job").hears("1 Lock Is Locked: job")
