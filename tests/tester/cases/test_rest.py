"""The REST player: what it sends, and that an answer that is not as expected fails the step.

The server here says what the test tells it to, right or wrong.
"""

from __future__ import annotations

import base64
import datetime
import email.utils
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from glockd_tester.cases.ldlm.rest import Rest
from glockd_tester.cases.outcome import Failed

SESSION = "0123456789ab4def8123456789abcdef"


def answer(status: int = 200, body: str = "", **headers: str) -> bytes:
    """An answer as bytes; underscores in the names of headers are dashes."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


class Script(ThreadingHTTPServer):
    """Gives the answers it was told, one a request, and keeps the requests; b"" hangs up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[bytes] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients here hang up as they like."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Script

    def handle_any(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size) + b"|"
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers.items()), body))
        given = self.server.answers.pop(0) if self.server.answers else answer()
        self.wfile.write(given)
        self.close_connection = not given

    do_GET = do_POST = do_DELETE = do_HEAD = handle_any

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def script() -> Iterator[Script]:
    with Script() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def rest(script: Script, tmp_path: Path) -> Iterator[Rest]:
    client = Rest(("127.0.0.1", script.server_port), False, tmp_path, {})
    yield client
    client.close()


def step(**members: Any) -> dict[str, Any]:
    return {"session": None, "method": "POST", "path": "/x", **members}


def fails(rest: Rest, **members: Any) -> str:
    with pytest.raises(Failed) as problem:
        rest.play(step(**members))
    return str(problem.value)


# What is sent


@pytest.mark.parametrize(
    ("members", "body"),
    [
        ({}, b""),
        ({"json": {"name": "ä", "n": 1}}, '{"name": "ä", "n": 1}'.encode()),
        ({"raw_body": "{ä"}, "{ä".encode()),
        ({"raw_hex": "ff00"}, b"\xff\x00"),
        ({"raw_body": "12345678", "chunked": True}, b"123|456|78|"),
        ({"chunked": True}, b""),
    ],
)
def test_the_body_is_the_steps(script: Script, rest: Rest, members: dict[str, Any], body: bytes) -> None:
    rest.play(step(**members))
    method, path, headers, sent = script.requests[0]
    assert (method, path, sent) == ("POST", "/x", body)
    assert headers.get("Content-Type") == ("application/json" if "json" in members else None)
    assert ("Content-Length" in headers) == (bool(members) and "chunked" not in members)
    assert "Accept-Encoding" not in headers


def test_headers_and_credentials_are_the_steps(script: Script, rest: Rest) -> None:
    rest.play(step(headers={"X-One": "1"}, basic=["me", "a:b"], cookie="ldlm-session=x; y"))
    headers = script.requests[0][2]
    assert headers["X-One"] == "1"
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'me:a:b').decode()}"
    assert headers["Cookie"] == "ldlm-session=x; y"


def test_a_jar_keeps_the_cookie_and_its_own_connection(script: Script, rest: Rest) -> None:
    script.answers = [answer(Set_Cookie=f"ldlm-session={SESSION}; Path=/"), answer(), answer(), answer()]
    rest.play(step(session="a"))
    rest.play(step(session="a"))
    rest.play(step(session="b"))
    rest.play(step())
    assert [request[2].get("Cookie") for request in script.requests] == [
        None,
        f"ldlm-session={SESSION}",
        None,
        None,
    ]
    assert len(rest.connections) == 3


def test_an_emptied_cookie_is_sent_empty(script: Script, rest: Rest) -> None:
    script.answers = [answer(Set_Cookie="ldlm-session=; Path=/"), answer()]
    rest.play(step(session="a"))
    rest.play(step(session="a"))
    assert script.requests[1][2]["Cookie"] == "ldlm-session="


def test_a_raw_request_is_sent_as_it_is(script: Script, rest: Rest) -> None:
    raw = "GET /raw HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"
    rest.play({"session": None, "raw_request": raw, "expect": {"status": 200}})
    assert script.requests == [("GET", "/raw", {"Host": "h", "Content-Length": "2"}, b"ok")]


def test_the_answer_to_a_raw_head_has_no_body(script: Script, rest: Rest) -> None:
    script.answers = [b"HTTP/1.1 501 No\r\nContent-Length: 20\r\n\r\n"]
    raw = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
    rest.play({"session": None, "raw_request": raw, "expect": {"status": 501, "body_text": ""}})


def test_what_is_saved(script: Script, rest: Rest) -> None:
    script.answers = [answer(body='{"key": "k1"}')]
    rest.play(step(save={"k": "key"}))
    assert rest.variables == {"k": "k1"}


# What is expected


@pytest.mark.parametrize(
    ("expect", "right", "wrong", "why"),
    [
        ({"status": 201}, answer(201), answer(200), "status: 200 instead of 201"),
        ({"json": {"a": 1}}, answer(body='{"a": 1, "b": 2}'), answer(body='{"a": true}'), "json.a: true"),
        ({"json": {"a": 1}}, answer(body='{"a":1}'), answer(body="{"), "body is not JSON: {"),
        ({"json_absent": ["error"]}, answer(body="{}"), answer(body='{"error": 1}'), "json.error present"),
        ({"members": ["a", "b"]}, answer(body='{"a":1,"b":2}'), answer(body='{"b":2,"a":1}'), "members"),
        ({"members": ["a"]}, answer(body='{"a":1}'), answer(body='{"a":1,"b":2}'), "members"),
        ({"body_text": "x"}, answer(body="x"), answer(body="x\n"), "body: x\n instead of x"),
        ({"body_text": ""}, answer(), answer(body=" "), "body"),
        ({"headers": {"X-A": "1"}}, answer(x_a="1"), answer(x_a="2"), "header X-A: 2 instead of 1"),
        ({"headers": {"x-a": "1"}}, answer(X_A="1"), answer(), "header x-a: null instead of 1"),
        ({"headers": {"X-A": {"$re": "^a"}}}, answer(X_A="ab"), answer(X_A="b"), "header X-A"),
        ({"headers_absent": ["X-A"]}, answer(), answer(x_a=""), "header X-A present"),
    ],
)
def test_an_answer_is_held_against_what_is_expected(
    script: Script, rest: Rest, expect: Any, right: bytes, wrong: bytes, why: str
) -> None:
    script.answers = [right, wrong]
    rest.play(step(expect=expect))
    assert fails(rest, expect=expect).startswith(why)


def in_seconds(seconds: float) -> str:
    return email.utils.format_datetime(
        datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds), usegmt=True
    )


@pytest.mark.parametrize(
    ("expect", "right", "wrong", "why"),
    [
        ({}, "ldlm-session=x", "other=x", "no cookie ldlm-session set"),
        ({"value": {"$is": "session"}}, f"ldlm-session={SESSION}; Path=/", "ldlm-session=x", "cookie: x"),
        ({"value": ""}, "ldlm-session=; Path=/", "ldlm-session=x", "cookie: x instead of "),
        ({"attrs": {"Path": "/"}}, "ldlm-session=x; path=/", "ldlm-session=x; Path=/x", "cookie Path: /x"),
        ({"attrs": {"Path": "/"}}, "ldlm-session=x; Path=/", "ldlm-session=x", "cookie Path: null"),
        ({"absent": ["Secure"]}, "ldlm-session=x; Path=/", "ldlm-session=x; secure", "cookie has Secure"),
        (
            {"expires_in": 600},
            "ldlm-session=x; Expires=@600",
            "ldlm-session=x; Expires=@30",
            "cookie expires in ",
        ),
        ({"expires_in": 1}, "ldlm-session=x; Expires=@1", "ldlm-session=x", "cookie expires: "),
        (
            {"expires_in": 1},
            "ldlm-session=x; Expires=@1",
            "ldlm-session=x; Expires=soon",
            "cookie",
        ),
    ],
)
def test_the_cookie_is_held_against_what_is_expected(
    script: Script, rest: Rest, expect: Any, right: str, wrong: str, why: str
) -> None:
    def dated(cookie: str) -> str:
        return re.sub(r"@(\d+)", lambda found: in_seconds(int(found[1])), cookie)

    script.answers = [answer(Set_Cookie=dated(right)), answer(Set_Cookie=dated(wrong))]
    rest.play(step(expect={"set_cookie": expect}))
    assert fails(rest, expect={"set_cookie": expect}).startswith(why)


def test_the_cookie_may_have_to_stay_the_same(script: Script, rest: Rest) -> None:
    script.answers = [answer(Set_Cookie=f"ldlm-session={value}") for value in ("one", "one", "two")]
    rest.play(step(session="a"))
    rest.play(step(session="a", expect={"set_cookie": {"value": "$session"}}))
    said = fails(rest, session="a", expect={"set_cookie": {"value": "$session"}})
    assert said == "cookie: two instead of one"


def test_refused_means_no_answer(script: Script, rest: Rest) -> None:
    script.answers = [b"", answer(200), answer(200)]
    rest.play(step(expect={"refused": True}))
    rest.play(step(expect={"status": 200}))
    assert fails(rest, expect={"refused": True}) == "answered 200 instead of refusing"


@pytest.mark.parametrize(
    "given", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"]
)
def test_no_whole_answer_fails_a_step_that_wants_one(script: Script, rest: Rest, given: bytes) -> None:
    script.answers = [given]
    if given:
        rest.connections[None, ""] = rest._connect("")
        rest.connections[None, ""].timeout = 1
    assert fails(rest, expect={"status": 200}).startswith("no answer: ")


@pytest.mark.parametrize(
    "members",
    [{"expcet": {}}, {"expect": {"stauts": 200}}, {"expect": {"set_cookie": {"atrs": {}}}}],
)
def test_a_misspelt_member_fails(script: Script, rest: Rest, members: Any) -> None:
    script.answers = [answer(Set_Cookie="ldlm-session=x")]
    assert fails(rest, **members).endswith("is not known")


# TLS


def test_each_certificate_is_shown_where_the_step_says(script: Script, certificates_folder: Path) -> None:
    """A server that demands certificates of its own authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates_folder / "ca.pem"))
    context.load_cert_chain(certificates_folder / "server.pem", certificates_folder / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    # The handshake is done by the connection's own thread, when it first reads.
    script.socket = context.wrap_socket(script.socket, server_side=True, do_handshake_on_connect=False)
    rest = Rest(("127.0.0.1", script.server_port), True, certificates_folder, {})
    rest.play(step(tls="client", expect={"status": 200}))
    for other in ({}, {"tls": "stranger"}, {"tls": "plain"}):
        assert fails(rest, **other, expect={"status": 200}).startswith("no answer: ")
        rest.play(step(**other, expect={"refused": True}))
    rest.play(step(tls="client", expect={"status": 200}))
    rest.close()
    assert len(script.requests) == 2


def test_a_server_with_another_authoritys_certificate_is_not_believed(
    script: Script, certificates_folder: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates_folder / "stranger.pem", certificates_folder / "stranger.key")
    script.socket = context.wrap_socket(script.socket, server_side=True, do_handshake_on_connect=False)
    rest = Rest(("127.0.0.1", script.server_port), True, certificates_folder, {})
    assert "CERTIFICATE_VERIFY_FAILED" in fails(rest, expect={"status": 200})
    rest.close()


def test_nobody_there_is_no_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
    rest = Rest(address, False, tmp_path, {})
    assert "Connection refused" in fails(rest)
    rest.play(step(expect={"refused": True}))
    rest.close()


def test_a_saved_member_must_be_there(script: Script, rest: Rest) -> None:
    script.answers = [answer(body=json.dumps({"a": 1}))]
    assert fails(rest, save={"k": "key"}) == 'json.key: missing in {"a": 1}'
