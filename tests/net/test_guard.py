"""Which pages may talk to the daemon through a browser, and by which names a browser may call it."""

from __future__ import annotations

import json

import pytest

from glockd.net.exchange import Ask, Fields
from glockd.net.guard import MOST_KNOWN, Visitors, is_own_page
from tests.support.daemons import Views
from tests.support.http import ask
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


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("flags", [(), ("-http", "127.0.0.1:0")], ids=["websocket port", "HTTP port"])
def test_health_is_told_under_any_name(glockd: Spawner, path: str, flags: tuple[str, ...]) -> None:
    """A load balancer, a scraper or another container knows the daemon by whatever name it has there."""
    daemon = glockd(*flags, "-log-format", "json")
    address = web(daemon)
    for host in ("glockd:9998", "evil.example", "upstream"):
        assert ask(address, path, headers={"Host": host}).status == 200
        assert ask(address, "/metrics", headers={"Host": host}).status == 421
        # What is no page but a websocket is none the less another site's.
        shake = {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": f"http://{host}", "Host": host}
        assert ask(address, path, headers=shake).status == 421


def web(daemon: Glockd) -> tuple[str, int]:
    """Where pages are."""
    ready = json.loads(daemon.logs('"ready"'))
    found: list[str] = ready.get("http") or ready["ws"]
    host, _, port = found[0].rpartition(":")
    return host, int(port)


@pytest.mark.parametrize(
    "host", ["locks.example.org.", "Locks.Example.Org.:9998", "localhost.", "locks.example.org"]
)
def test_a_dot_at_the_end_makes_no_other_name(daemon: Glockd, host: str) -> None:
    assert ask(daemon.ws, "/metrics", headers={"Host": host}).status == 200


def test_who_is_refused_is_named_once(glockd: Spawner) -> None:
    daemon = glockd("-log-format", "json")
    for _ in range(3):
        handshake(daemon, "https://app.example.org", "localhost")
        handshake(daemon, None, "localhost")
        assert ask(daemon.ws, "/", headers={"Host": "x" * 200}).status == 421
        assert ask(daemon.ws, "/", headers={"Host": "upstream"}).status == 421
    daemon.logs("refused", "host")
    lines = [json.loads(line) for line in daemon.stderr.splitlines()]
    origins = [line["origin"] for line in lines if line["event"] == "refused origin"]
    hosts = [line["host"] for line in lines if line["event"] == "refused host"]
    assert origins == ["https://app.example.org"]
    assert hosts == ["x" * 100, "upstream"]


def test_not_everything_that_strangers_say_is_kept() -> None:
    told: list[str] = []
    visitors = Visitors([], [], lambda reason, name: told.append(name))
    for number in range(1000):
        assert visitors.refuse_page(Ask("GET", "/", "", Fields([("Host", f"name-{number}.example")])))
    assert len(told) == MOST_KNOWN


@pytest.mark.parametrize(
    ("origins", "hosts", "own"),
    [
        ([], [], True),
        ([], ["locks.example.org"], True),
        (["http://locks.example.org:9998"], ["locks.example.org:9998"], True),
        (["HTTPS://Locks.Example.ORG"], ["locks.example.org"], True),
        (["http://locks.example.org"], ["locks.example.org:9998"], False),
        (["http://localhost:8000"], ["localhost:9998"], False),
        (["http://localhost"], ["127.0.0.1"], False),
        (["https://admin.example.org"], ["locks.example.org"], False),
        (["ftp://locks.example.org"], ["locks.example.org"], False),
        (["locks.example.org"], ["locks.example.org"], False),
        (["null"], ["null"], False),
        (["null"], [""], False),
        (["http://"], [""], False),
        (["http://one", "http://one"], ["one"], False),
        (["http://one"], ["one", "one"], False),
        (["http://one"], [], False),
    ],
)
def test_a_page_of_ones_own_is_told_from_all_others(origins: list[str], hosts: list[str], own: bool) -> None:
    assert is_own_page(origins, hosts) is own
