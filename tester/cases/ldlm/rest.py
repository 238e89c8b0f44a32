"""Steps that speak LDLM's REST: one request each, in cookie jars that live as long as the case."""

from __future__ import annotations

import base64
import contextlib
import datetime
import email.utils
import http.client
import json
import ssl
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from ..files import know
from ..outcome import Failed
from ..values import Json, absent, match, shown

REQUEST = (
    "method",
    "path",
    "json",
    "raw_body",
    "raw_hex",
    "raw_request",
    "chunked",
    "headers",
    "cookie",
    "basic",
)
KEYS = ("session", *REQUEST, "tls", "wait", "save", "expect")
BODY = ("json", "json_absent", "members", "body_text")
EXPECT = ("status", *BODY, "headers", "headers_absent", "refused", "set_cookie")
COOKIE = "ldlm-session"
PATIENCE = 20.0  # seconds for an answer
EXPIRY_SLACK = 5.0  # seconds by which a cookie's end may be off
CHUNK = 3  # bytes; small, so that a chunked body comes in several


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, in whatever case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Json:
        """The body's value. Raises Failed."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed(f"body is not JSON: {shown(self.body.decode(errors='replace'))}") from None

    def cookie(self) -> str | None:
        """The session cookie that it sets, with its attributes."""
        for name, value in self.headers:
            if name.lower() == "set-cookie" and value.startswith(f"{COOKIE}="):
                return value
        return None


@dataclass
class Rest:
    """The REST side of one case.

    Attributes:
        folder: has the certificates, if `tls`.
        variables: what steps save goes there.
    """

    address: tuple[str, int]
    tls: bool
    folder: Path
    variables: MutableMapping[str, str]
    jars: dict[str, str] = field(default_factory=dict)
    connections: dict[tuple[str | None, str], http.client.HTTPConnection] = field(default_factory=dict)

    def play(self, step: Mapping[str, Json]) -> None:
        """Send the step's request, and hold the answer against what it expects. Raises Failed."""
        know(step, KEYS)
        expect = step.get("expect", {})
        know(expect, EXPECT, "expect")
        jar = step.get("session")
        before = "" if jar is None else self.jars.get(jar, "")
        try:
            answer = self._send(step)
        except (OSError, http.client.HTTPException) as problem:
            self._forget(jar, step.get("tls", ""))
            if expect.get("refused"):
                return
            raise Failed(f"no answer: {problem!r}") from None
        if expect.get("refused"):
            raise Failed(f"answered {answer.status} instead of refusing")
        if jar is not None and (cookie := answer.cookie()):
            self.jars[jar] = _value(cookie)
        check(answer, expect, before)
        for variable, member in step.get("save", {}).items():
            match({member: {"$any": True}}, answer.json(), "json")
            self.variables[variable] = answer.json()[member]

    def close(self) -> None:
        """Hang up everywhere. The jars stay."""
        for connection in self.connections.values():
            connection.close()
        self.connections.clear()

    def end_sessions(self) -> None:
        """End the session in every jar, as far as the server lets it."""
        for cookie in self.jars.values():
            connection = self._connect("")
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("DELETE", "/session", headers={"Cookie": f"{COOKIE}={cookie}"})
                connection.getresponse().read()
            connection.close()

    def _send(self, step: Mapping[str, Json]) -> Answer:
        if "raw_request" in step:
            return self._send_raw(step)
        connection = self._connection(step.get("session"), step.get("tls", ""))
        body = _body(step)
        connection.putrequest(step["method"], step["path"], skip_accept_encoding=True)
        for name, value in self._headers(step):
            connection.putheader(name, value)
        if step.get("chunked"):
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(_pieces(body or b""), encode_chunked=True)
        else:
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
        return _read(connection.getresponse())

    def _send_raw(self, step: Mapping[str, Json]) -> Answer:
        """The whole request as it is written, on a connection of its own."""
        connection = self._connect(step.get("tls", ""))
        try:
            connection.connect()
            connection.sock.sendall(step["raw_request"].encode())
            response = http.client.HTTPResponse(connection.sock, method=step["raw_request"].partition(" ")[0])
            response.begin()
            return _read(response)
        finally:
            connection.close()

    def _headers(self, step: Mapping[str, Json]) -> Iterable[tuple[str, str]]:
        if "json" in step:
            yield "Content-Type", "application/json"
        yield from step.get("headers", {}).items()
        if "basic" in step:
            credentials = ":".join(step["basic"]).encode()
            yield "Authorization", f"Basic {base64.b64encode(credentials).decode()}"
        if "cookie" in step:
            yield "Cookie", step["cookie"]
        elif (jar := step.get("session")) in self.jars:
            yield "Cookie", f"{COOKIE}={self.jars[jar]}"

    def _connection(self, jar: str | None, tls: str) -> http.client.HTTPConnection:
        if (jar, tls) not in self.connections:
            self.connections[jar, tls] = self._connect(tls)
        return self.connections[jar, tls]

    def _forget(self, jar: str | None, tls: str) -> None:
        """Hang up where an answer is still due: no other request can be sent there."""
        if connection := self.connections.pop((jar, tls), None):
            connection.close()

    def _connect(self, tls: str) -> http.client.HTTPConnection:
        host, port = self.address
        if not self.tls or tls == "plain":
            return http.client.HTTPConnection(host, port, timeout=PATIENCE)
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if tls:
            context.load_cert_chain(self.folder / f"{tls}.pem", self.folder / f"{tls}.key")
        return http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=context)


def _body(step: Mapping[str, Json]) -> bytes | None:
    if "json" in step:
        return json.dumps(step["json"], ensure_ascii=False).encode()
    if "raw_hex" in step:
        return bytes.fromhex(step["raw_hex"])
    if "raw_body" in step:
        return str(step["raw_body"]).encode()
    return None


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]


def _read(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, response.getheaders(), response.read())


def check(answer: Answer, expect: Mapping[str, Json], before: str) -> None:
    """Hold an answer against what a step expects.

    Args:
        before: the session that the step's jar held when it was sent.

    Raises:
        Failed
    """
    if "status" in expect:
        match(expect["status"], answer.status, "status")
    for name, value in expect.get("headers", {}).items():
        match(value, answer.header(name), f"header {name}")
    for name in expect.get("headers_absent", []):
        if (found := answer.header(name)) is not None:
            raise Failed(f"header {name} present: {shown(found)}")
    if "body_text" in expect:
        match(expect["body_text"], answer.body.decode(errors="surrogateescape"), "body")
    if expect.keys() & {"json", "json_absent", "members"}:
        _check_json(answer.json(), expect)
    if "set_cookie" in expect:
        if (cookie := answer.cookie()) is None:
            raise Failed(f"no cookie {COOKIE} set")
        _check_cookie(cookie, expect["set_cookie"], before)


def _check_json(got: Json, expect: Mapping[str, Json]) -> None:
    match(expect.get("json", {"$any": True}), got, "json")
    absent(expect.get("json_absent", []), got, "json")
    if "members" in expect:
        match(expect["members"], list(got), "members")


def _check_cookie(cookie: str, expect: Mapping[str, Json], before: str) -> None:
    know(expect, ("value", "attrs", "expires_in", "absent"), "set_cookie")
    if "value" in expect:
        match(before if expect["value"] == "$session" else expect["value"], _value(cookie), "cookie")
    pairs = (part.strip().partition("=") for part in cookie.split(";")[1:])
    attributes = {name.lower(): value for name, _, value in pairs}
    for name, value in expect.get("attrs", {}).items():
        match(value, attributes.get(name.lower()), f"cookie {name}")
    for name in expect.get("absent", []):
        if name.lower() in attributes:
            raise Failed(f"cookie has {name}")
    if "expires_in" in expect:
        _check_expiry(attributes.get("expires", ""), expect["expires_in"])


def _check_expiry(text: str, wanted: float) -> None:
    try:
        end = email.utils.parsedate_to_datetime(text)
        left = (end - datetime.datetime.now(datetime.UTC)).total_seconds()
    except (TypeError, ValueError):  # no date; a date without a zone
        raise Failed(f"cookie expires: {shown(text)} is no time in GMT") from None
    if abs(left - wanted) > EXPIRY_SLACK:
        raise Failed(f"cookie expires in {left:.0f} s instead of {wanted}")


def _value(cookie: str) -> str:
    return cookie.split(";")[0].partition("=")[2]
