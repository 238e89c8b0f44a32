"""Which pages may talk to the daemon through a browser, and by which names a browser may call it."""

from __future__ import annotations

import pytest

from tests.support.daemons import Views
from tests.support.process import Glockd, Spawner


@pytest.fixture
def daemon(shared_daemon: Views) -> Glockd:
    flags = "-ws-origin", "https://admin.example.org,null", "-ws-host", "locks.example.org"
    return shared_daemon("websocket", *flags).process


def handshake(daemon: Glockd, origin: str | None, host: str | None) -> tuple[int, bytes]:
    client = daemon.web()
    answer = client.request(headers={"Origin": origin, "Host": host})
    if answer[0] == 101:
        client.says("ping").hears("1 pong").hangs_up()
    else:
        client.is_hung_up_on()
    return answer


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost"),
        (None, "any.name.at.all:9998"),  # no browser: nobody is led astray
        ("http://localhost", "127.0.0.1:9998"),
        ("http://localhost:8000", "localhost:9998"),
        ("http://127.0.0.1:8000", "[::1]:9998"),
        ("http://app.localhost", "127.0.0.1"),
        ("http://10.1.2.3:9998", "10.1.2.3:9998"),
        ("http://[2001:db8::1]:9998", "[2001:db8::1]:9998"),
        ("HTTP://Locks.Example.ORG:9998", "locks.example.org:9998"),
        ("https://admin.example.org", "10.1.2.3:9998"),
        ("null", "localhost:9998"),
    ],
)
def test_a_page_that_is_welcome(daemon: Glockd, origin: str | None, host: str) -> None:
    assert handshake(daemon, origin, host)[0] == 101


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "localhost:9998"),
        ("http://10.1.2.3:8000", "10.1.2.3:9998"),  # another port is another site
        ("http://localhost", "10.1.2.3:9998"),
        ("http://localhost.evil.example", "127.0.0.1:9998"),
        ("http://evil.example#localhost", "localhost:9998"),
        ("http://127.0.0.1.evil.example", "localhost:9998"),
        ("https://admin.example.org.evil.example", "localhost:9998"),
        ("file://localhost", "localhost:9998"),
        ("localhost", "localhost"),
        ("", "localhost"),
    ],
)
def test_a_page_of_another_site_is_refused(daemon: Glockd, origin: str, host: str) -> None:
    status, body = handshake(daemon, origin, host)
    assert status == 403
    assert body.endswith(b"may not talk to this daemon: see -ws-origin.\n")
    daemon.logs("refused", "origin=")


@pytest.mark.parametrize("origin", ["null", "not a url", "https://admin.example.org"])
def test_pages_without_a_site_are_refused_by_default(shared_daemon: Views, origin: str) -> None:
    assert handshake(shared_daemon("websocket").process, origin, "localhost")[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example:9998", "localhost.evil.example", "127.0.0.1.evil.example", "a b"]
)
def test_a_name_that_is_not_the_daemons_is_refused(daemon: Glockd, host: str) -> None:
    """DNS rebinding: the page and the daemon have the same name, which is the attacker's."""
    status, body = handshake(daemon, f"http://{host}", host)
    assert status == 421
    assert b"see -ws-host" in body
    client = daemon.web()
    assert client.request(headers={"Host": host, "Upgrade": None, "Connection": None})[0] == 421
    client.is_hung_up_on()
    daemon.logs("refused", "host=")


def test_everybody_may_be_welcome(glockd: Spawner) -> None:
    daemon = glockd("-ws-origin", "*", "-ws-host", "*")
    assert handshake(daemon, "https://evil.example", "evil.example")[0] == 101


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost\r\nOrigin: https://evil.example"}, 403),
        ({"Origin": "http://localhost", "Host": "localhost\r\nHost: evil.example"}, 421),
    ],
)
def test_headers_that_come_twice_are_refused(
    daemon: Glockd, headers: dict[str, str | None], status: int
) -> None:
    client = daemon.web()
    assert client.request(headers=headers)[0] == status
    client.is_hung_up_on()
