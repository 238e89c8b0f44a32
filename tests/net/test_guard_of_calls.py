"""Who may call at a door: pages of other sites may not, and with secrets only who knows one."""

from __future__ import annotations

import base64

import pytest

from glockd.config import Config
from glockd.net.answers import unauthorised
from glockd.net.exchange import Ask, Fields
from glockd.net.guard import NOBODY, Principal, Visitors, identify

VISITORS = Visitors(["https://admin.example.org"], ["locks.example.org"])


def refuses(headers: dict[str, str], *, is_open: bool = False, visitors: Visitors = VISITORS) -> str:
    """The reason of a refusal, or nothing."""
    ask = Ask("GET", "/next_file", headers=Fields({"Host": "localhost", **headers}.items()))
    refusal = visitors.refuse_call(ask, is_open=is_open)
    return refusal.reason if refusal is not None else ""


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, ""),
        ({"Origin": "http://localhost:8000"}, ""),
        ({"Origin": "https://admin.example.org"}, ""),
        ({"Origin": "https://admin.example.org", "Sec-Fetch-Site": "cross-site"}, ""),
        ({"Origin": "https://evil.example"}, "origin"),
        ({"Origin": "null"}, "origin"),
        ({"Origin": ""}, "origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "cross_site"),  # a picture, a link, a form
        ({"Sec-Fetch-Site": "Cross-Site"}, "cross_site"),
        ({"Sec-Fetch-Site": "same-origin"}, ""),
        ({"Sec-Fetch-Site": "same-site"}, ""),
        ({"Sec-Fetch-Site": "none"}, ""),  # typed by a person
        ({"Sec-Fetch-Site": "none, cross-site"}, "cross_site"),
    ],
)
def test_where_a_call_comes_from(headers: dict[str, str], reason: str) -> None:
    assert refuses(headers) == reason


@pytest.mark.parametrize(
    ("host", "reason"),
    [("localhost:1", ""), ("10.1.2.3", ""), ("locks.example.org", ""), ("", ""), ("evil.example", "host")],
)
def test_a_foreign_name_matters_where_no_secret_is_asked_for(host: str, reason: str) -> None:
    assert refuses({"Host": host}, is_open=True) == reason
    assert refuses({"Host": host}, is_open=False) == ""


def test_everybody_may_be_welcome() -> None:
    visitors = Visitors.of(Config(ws_origin="*", ws_host="*"))
    headers = {"Origin": "https://evil.example", "Host": "evil.example", "Sec-Fetch-Site": "cross-site"}
    assert refuses(headers, is_open=True, visitors=visitors) == ""
    assert refuses({"Sec-Fetch-Site": "cross-site"}, visitors=visitors) == ""


def test_the_answer_names_the_option() -> None:
    ask = Ask("GET", "/", headers=Fields([("Host", "x"), ("Origin", "https://evil.example")]))
    refusal = VISITORS.refuse_call(ask, is_open=False)
    assert refusal is not None
    assert refusal.answer.status == 403
    assert (
        refusal.answer.body == b"Pages of https://evil.example may not talk to this daemon: see -ws-origin.\n"
    )


def with_authorization(value: str) -> Ask:
    return Ask("GET", "/", headers=Fields([("Authorization", value)]))


def test_who_asks_is_known_by_name_and_secret() -> None:
    secrets = (b"one", "zwö".encode())
    basic = base64.b64encode("jörg:zwö".encode()).decode()
    assert identify(with_authorization(f"Basic {basic}"), secrets) == Principal("jörg", "zwö".encode())
    assert identify(with_authorization("Bearer one"), secrets) == Principal("", b"one")
    raw = "Bearer " + "zwö".encode().decode("ascii", "surrogateescape")
    assert identify(with_authorization(raw), secrets) == Principal("", "zwö".encode())
    assert identify(with_authorization("Bearer two"), secrets) is None
    assert identify(with_authorization("Bearer two"), ()) == NOBODY


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("said", ["öffne dich", "  öffne   dich ", "öffne\u00a0dich"])
def test_a_secret_is_the_same_as_for_auth(said: str, encoding: str) -> None:
    """`auth` takes runs of white space for one blank; some programs send Latin-1."""
    secrets = (b"one", "öffne dich".encode())
    sent = said.encode(encoding)
    basic = base64.b64encode(b"user:" + sent).decode()
    assert identify(with_authorization(f"Basic {basic}"), secrets) == Principal("user", secrets[1])
    raw = "Bearer " + sent.decode("ascii", "surrogateescape")
    assert identify(with_authorization(raw), secrets) == Principal("", secrets[1])


def test_who_is_not_known_is_asked_for_a_secret() -> None:
    answer = unauthorised()
    assert answer.status == 401
    schemes = [value.partition(" ")[0] for name, value in answer.headers if name == "WWW-Authenticate"]
    assert schemes == ["Bearer", "Basic"]
