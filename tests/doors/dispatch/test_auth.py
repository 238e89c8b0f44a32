"""Tokens, and how they are come by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.doors.dispatch import tokens
from glockd.doors.dispatch.auth import FAILED, NONCE_SECONDS, Auth
from glockd.doors.dispatch.refusal import Refusal
from glockd.doors.dispatch.tokens import BadToken
from glockd.doors.dispatch.users import User, Users, identify
from glockd.net.exchange import Answer, Ask, Fields
from glockd_tester.cases.dispatch import tokens as clients
from glockd_tester.cases.dispatch.tokens import md5

NOW = 1_700_000_000.0
SECRETS = (b"new", b"old")
USERS = Users(
    {"alice": User("alice")}, "site", {"alice": md5("alice:site:pw"), "ghost": md5("ghost:site:pw")}
)


def test_a_token_is_good_whichever_secret_signed_it() -> None:
    for secret in SECRETS:
        token = tokens.sign(secret, {"sub": "alice", "exp": NOW + 1})
        assert tokens.verify(token, SECRETS, NOW)["sub"] == "alice"


def test_tokens_are_those_of_the_original() -> None:
    token = clients.mint("old", sub="alice", exp=NOW + 1, nbf=NOW)
    assert tokens.verify(token, SECRETS, NOW)["sub"] == "alice"
    assert clients.claims_of(tokens.sign(b"new", {"sub": "bob"})) == {"sub": "bob"}


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (clients.mint("other", sub="a", exp=NOW + 1), "Token verification failed"),
        (clients.mint("old", sub="a", exp=NOW), "Token expired"),
        (clients.mint("old", sub="a", exp=NOW + 9, nbf=NOW + 6), "Token immature"),
        (clients.mint("old", sub="a"), "Token verification failed"),
        (clients.mint("old", sub="a", exp="soon"), "Token verification failed"),
        (clients.mint("old", sub="a", exp=True), "Token verification failed"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "Invalid token algorithm"),
        ("W10.W10.", "Invalid token algorithm"),
        ("a.b", "Token verification failed"),
        ("é.é.é", "Token verification failed"),
        ("x" * 9000, "Token verification failed"),
    ],
)
def test_what_is_no_good_token(token: str, why: str) -> None:
    with pytest.raises(BadToken, match=f"^{why}$"):
        tokens.verify(token, SECRETS, NOW)


@given(st.text())
def test_garbage_is_no_token(token: str) -> None:
    with pytest.raises(BadToken):
        tokens.verify(token, SECRETS, NOW)


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Authentication-Token", "{}")],
        [("Authorization", "Bearer {}"), ("Cookie", "other=1")],
        [("Cookie", "x=1; auth_token={}"), ("X-Authentication-Token", "garbage")],
        [("X-Authentication-Token", "{}"), ("Authorization", "Bearer garbage")],
    ],
)
def test_where_a_token_may_stand(headers: list[tuple[str, str]]) -> None:
    token = tokens.sign(b"new", {"sub": "alice", "exp": NOW + 1})
    ask = Ask("GET", "/", headers=Fields((name, value.format(token)) for name, value in headers))
    assert identify(ask, USERS, SECRETS, NOW).name == "alice"


def test_without_a_secret_a_token_is_believed_unread() -> None:
    token = clients.mint("whatever", sub="zoe")
    ask = Ask("GET", "/", headers=Fields([("X-Authentication-Token", token)]))
    assert identify(ask, USERS, (), NOW) == User("zoe", is_admin=True)
    assert identify(Ask("GET", "/"), USERS, (), NOW) == User("anonymous", is_admin=True)


# Passwords


def login(auth: Auth, query: str, authorization: str = "", now: float = NOW) -> Answer:
    fields = Fields([("Authorization", authorization)] if authorization else ())
    given = dict(part.split("=") for part in query.split("&"))
    ask = Ask("GET", "/auth/auth", query, fields)
    return auth.answer(ask, "/auth", given, USERS, SECRETS, now)


def challenge(auth: Auth) -> str:
    answer = login(auth, "method=digest")
    assert answer.status == 401
    return dict(answer.headers)["WWW-Authenticate"]


URI = "/auth/auth?method=digest"


def test_a_password_makes_a_token() -> None:
    auth = Auth()
    given = clients.digest(challenge(auth), "GET", URI, "alice", "pw")
    token = dict(login(auth, "method=digest", given).headers)["X-Authentication-Token"]
    claims = tokens.verify(token, SECRETS, NOW)
    assert (claims["sub"], claims["exp"]) == ("alice", NOW + 7 * 86400)


@pytest.mark.parametrize(
    ("user", "password", "uri", "seconds"),
    [
        ("alice", "wrong", URI, 0),
        ("zed", "pw", URI, 0),
        ("ghost", "pw", URI, 0),  # has a password, and is no user
        ("alice", "pw", "/auth/auth?method=other", 0),
        ("alice", "pw", URI, NONCE_SECONDS),
    ],
)
def test_what_proves_nothing(user: str, password: str, uri: str, seconds: float) -> None:
    auth = Auth()
    given = clients.digest(challenge(auth), "GET", uri, user, password)
    with pytest.raises(Refusal, match=f"^{FAILED}$"):
        login(auth, "method=digest", given, NOW + seconds)


def test_a_challenge_of_another_server_proves_nothing() -> None:
    given = clients.digest(challenge(Auth()), "GET", URI, "alice", "pw")
    with pytest.raises(Refusal, match=f"^{FAILED}$"):
        login(Auth(), "method=digest", given)


@given(st.text(st.characters(codec="utf-8")))
def test_a_garbled_proof_proves_nothing(given: str) -> None:
    with pytest.raises(Refusal, match=f"^{FAILED}$"):
        login(Auth(), "method=digest", f"Digest {given}")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("method=ldap", "LDAP is not configured"),
        ("method=x509", "HTTPS scheme required"),
        ("method=magic", "Unknown authentication method"),
        ("method=token&username=alice", FAILED),
    ],
)
def test_other_ways_are_refused(query: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        login(Auth(), query)


def test_an_old_token_makes_a_new_one_with_the_same_end_for_the_same_user() -> None:
    old = tokens.sign(b"old", {"sub": "alice", "exp": NOW + 5})
    answer = login(Auth(), "method=token&username=alice", f"bearer {old}")
    assert tokens.verify(dict(answer.headers)["X-Authentication-Token"], (b"new",), NOW)["exp"] == NOW + 5
    with pytest.raises(Refusal, match=FAILED):
        login(Auth(), "method=token&username=bob", f"bearer {old}")
