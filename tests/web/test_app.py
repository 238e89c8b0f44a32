"""HTTP on the websocket port: which request gets which page."""

from __future__ import annotations

import base64
import hashlib
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from glockd.net.exchange import Ask, Fields
from glockd.net.guard import identify
from glockd.web import console
from glockd.web.app import Site
from tests.support.clients import PATIENCE, SocketClient, wait_until
from tests.support.http import ask
from tests.support.process import Glockd, Spawner, free_port, run_glockd

PAGES = ("/", "/healthz", "/readyz", "/metrics")


def with_http_port(glockd: Spawner, *flags: str) -> tuple[Glockd, tuple[str, int]]:
    """A daemon whose pages have a port of their own, and that port."""
    port = free_port()
    daemon = glockd("-http", f"127.0.0.1:{port}", *flags)
    daemon.wait_until_ready()
    return daemon, ("127.0.0.1", port)


@pytest.fixture
def daemon(glockd: Spawner) -> Glockd:
    return glockd()


def test_health_and_readiness(daemon: Glockd) -> None:
    assert ask(daemon.ws, "/healthz")[::2] == (200, b"ok\n")
    assert ask(daemon.ws, "/readyz")[::2] == (200, b"ready\n")


@pytest.mark.parametrize("path", PAGES)
def test_head_is_get_without_the_body(daemon: Glockd, path: str) -> None:
    whole, head = ask(daemon.ws, path), ask(daemon.ws, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    if path != "/metrics":  # whose length changes
        assert head.headers == whole.headers


@pytest.mark.parametrize("path", PAGES)
def test_a_query_or_a_whole_url_makes_no_difference(daemon: Glockd, path: str) -> None:
    assert ask(daemon.ws, path + "?x=1").status == 200
    assert ask(daemon.ws, "http://localhost" + path).status == 200


@pytest.mark.parametrize("path", ["/nothing", "//", "/healthz/", "*", "/%2e"])
def test_what_is_no_page_is_not_found(daemon: Glockd, path: str) -> None:
    answer = ask(daemon.ws, path)
    assert answer.status == 404
    assert "/healthz" in answer.text


def test_a_target_that_is_no_url_is_not_found(daemon: Glockd) -> None:
    client = daemon.web()
    client.sends("GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.take_until(b"\r\n") == b"HTTP/1.1 404 Not Found\r\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_other_methods_are_not_allowed(daemon: Glockd, method: str) -> None:
    answer = ask(daemon.ws, "/healthz", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_websocket_may_begin_on_any_path(daemon: Glockd) -> None:
    for path in (*PAGES, "/nothing"):
        client = daemon.web()
        assert client.request(path=path)[0] == 101
        client.says("me").hears(f"1 {client.address} {client.address}").hangs_up()


def test_two_connection_headers_are_one_list(daemon: Glockd) -> None:
    client = daemon.web()
    client.sends("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nConnection: te\r\n\r\n")
    assert client.take_until(b"\r\n") == b"HTTP/1.1 200 OK\r\n"


def test_every_answer_says_how_it_may_be_used(daemon: Glockd) -> None:
    for path in (*PAGES, "/nothing"):
        headers = ask(daemon.ws, path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        for rule in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert rule in policy


def test_the_console_page_may_run_just_what_is_in_it(daemon: Glockd) -> None:
    answer = ask(daemon.ws, "/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body == console.content()
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        for body in re.findall(rf"<{kind}>(.*?)</{kind}>", answer.text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy


def test_a_page_without_scripts_may_run_none() -> None:
    policy = console.content_policy(b"<html><body onload='x()'>hello</body></html>")
    assert "script-src 'none'; style-src 'none'" in policy


@pytest.mark.parametrize(
    ("flag", "paths"),
    [("-console", ["/"]), ("-metrics", ["/metrics"]), ("-health", ["/healthz", "/readyz"])],
)
def test_each_page_can_be_switched_off(glockd: Spawner, flag: str, paths: list[str]) -> None:
    daemon = glockd(f"{flag}=false")
    assert {path for path in PAGES if ask(daemon.ws, path).status == 404} == set(paths)


def test_without_any_page_the_port_is_for_websockets_alone(glockd: Spawner) -> None:
    daemon = glockd("-console=false", "-metrics=false", "-health=false")
    assert {ask(daemon.ws, path).status for path in PAGES} == {400}
    assert ask(daemon.ws, "/", "POST").status == ask(daemon.ws, "/", "HEAD").status == 405
    client = daemon.web().sends("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.take_until(b"\r\n\r\n")
    client.is_hung_up_on()
    daemon.client("websocket").says("g job").hears("1 Lock Get Success: job").hangs_up()


# A port of their own


def test_pages_can_have_a_port_of_their_own(glockd: Spawner) -> None:
    daemon, port = with_http_port(glockd)
    assert {ask(daemon.ws, path).status for path in PAGES} == {400}
    assert {ask(port, path).status for path in PAGES} == {200}
    daemon.client("websocket").says("g job").hears("1 Lock Get Success: job").hangs_up()


def test_a_port_alone_is_opened_where_the_others_are(glockd: Spawner) -> None:
    port = free_port()
    daemon = glockd("-http", f":{port}", "-bind", "127.0.0.1")
    daemon.wait_until_ready()
    assert ask(("127.0.0.1", port), "/healthz").status == 200
    assert f"127.0.0.1:{port}" in daemon.logs("ready")


def test_the_console_page_is_heard_where_it_came_from(glockd: Spawner) -> None:
    daemon, address = with_http_port(glockd)
    daemon.ws = address
    daemon.client("websocket").says("ping").hears("1 pong").hangs_up()


def test_without_the_console_page_the_http_port_is_for_http_alone(glockd: Spawner) -> None:
    daemon, address = with_http_port(glockd, "-console=false")
    daemon.ws = address
    client = daemon.web()
    assert client.request(path="/healthz") == (200, b"ok\n")
    assert client.request(path="/readyz") == (200, b"ready\n")


@pytest.mark.parametrize("where", ["9100", "localhost", "localhost:", "localhost:65536", ":x"])
def test_a_senseless_http_address_is_refused(where: str) -> None:
    result = run_glockd("-http", where)
    assert result.returncode == 2
    assert f"-http: '{where}' is not HOST:PORT" in result.stderr


def test_port_0_lets_the_system_choose_and_the_ready_line_tells(glockd: Spawner) -> None:
    daemon = glockd("-http", "127.0.0.1:0")
    wait_until(lambda: "ready" in daemon.stderr, about=lambda: daemon.stderr)
    (port,) = re.findall(r"http=\['127\.0\.0\.1:(\d+)'\]", daemon.stderr)
    assert ask(("127.0.0.1", int(port)), "/healthz").text == "ok\n"


# Secrets


def with_secrets(*authorization: str) -> Ask:
    return Ask("GET", "/", headers=Fields([("Authorization", value) for value in authorization]))


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    "value", ["Bearer two", "bearer one", "Bearer  two ", basic("any:one"), basic(":two")]
)
def test_any_secret_opens_a_page(value: str) -> None:
    assert identify(with_secrets(value), (b"one", b"two")) is not None


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer three"],
        ["Bearer on"],
        ["Digest one"],
        ["one"],
        ["Basic one"],
        ["Basic b25l"],
        [basic("one")],
        ["Basic \xe9"],
        ["Bearer one", "Bearer one"],
    ],
)
def test_nothing_else_opens_it(values: list[str]) -> None:
    assert identify(with_secrets(*values), (b"one", b"two")) is None


def test_with_an_auth_file_pages_want_a_secret_but_health_does_not(glockd: Spawner, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("hunter2\nswordfish\n")
    daemon = glockd("-auth-file", str(secrets))
    refused = {path: ask(daemon.ws, path) for path in PAGES}
    assert {path for path in PAGES if refused[path].status == 401} == {"/", "/metrics"}
    assert refused["/metrics"].headers["www-authenticate"].startswith("Bearer ")
    assert ", Basic " in refused["/metrics"].headers["www-authenticate"]
    assert ask(daemon.ws, "/metrics", headers={"Authorization": "Bearer wrong"}).status == 401
    for path in ("/", "/metrics"):
        assert ask(daemon.ws, path, headers={"Authorization": "Bearer swordfish"}).status == 200
        assert ask(daemon.ws, path, headers={"Authorization": basic("me:hunter2")}).status == 200
    assert "hunter2" not in daemon.stderr


def test_the_console_asks_for_the_secret_itself_and_the_browser_does_not(
    glockd: Spawner, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("hunter2\n")
    daemon = glockd("-auth-file", str(secrets))
    refused = ask(daemon.ws, "/")
    shown = ask(daemon.ws, "/", headers={"Authorization": "Bearer hunter2"})
    assert (refused.status, shown.status) == (401, 200)
    # RFC 6750, 3: no browser knows what to ask for then.
    assert refused.headers["www-authenticate"] == 'Bearer realm="glockd"'
    assert refused.body == shown.body
    assert refused.headers["content-security-policy"] == shown.headers["content-security-policy"]
    assert ask(daemon.ws, "/", method="HEAD").body == b""


def test_a_site_asks_for_the_secrets_of_now() -> None:
    secrets: list[bytes] = []
    site = Site({"/": console.page(b"")}, lambda: tuple(secrets))
    assert site(Ask("GET", "/")).status == 200
    secrets.append(b"new")
    assert site(Ask("GET", "/")).status == 401


# Draining


def stuff(client: SocketClient) -> None:
    """Ask for more than the sockets between hold, and read nothing of it."""
    client.sends("g " + "x" * 4000 + "\n")
    client.sock.setblocking(False)
    line = b"d\n" * 4000
    try:
        while True:
            client.sock.send(line)
    except BlockingIOError:
        client.sock.settimeout(PATIENCE)


def test_a_draining_daemon_is_not_ready(glockd: Spawner) -> None:
    """A client that does not read its replies keeps the daemon draining for a while."""
    daemon, port = with_http_port(glockd)
    stuff(daemon.client())
    assert ask(port, "/readyz").status == 200
    daemon.gets(signal.SIGTERM)
    daemon.logs("stopping")
    answer = ask(port, "/readyz")
    assert answer[::2] == (503, b"draining\n")
    assert ask(port, "/healthz").status == 200
    assert daemon.ends() == 0


# Real tools


def test_curl(daemon: Glockd, need: Callable[..., str]) -> None:
    url = f"http://127.0.0.1:{daemon.ws[1]}"
    command = [need("curl"), "-sS", "--fail-with-body", f"{url}/healthz", f"{url}/readyz"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert (result.stdout, result.stderr) == ("ok\nready\n", "")
