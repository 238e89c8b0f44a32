"""One case, step by step.

A step is a request; it may have

| member | meaning |
|---|---|
| `wait` | seconds to sleep before it; a step may have nothing else |
| `start`, `finish` | send it now, judge its answer in the step that finishes it |
| `until` | repeat it until it fits, for so many seconds |
| `within`, `not_before` | seconds that the answer may or must take |
| `save` | `{variable: path into the answer, or 'header NAME'}` |
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote

from ..files import Case, know
from ..outcome import Failed
from ..values import Json, shown
from .patterns import match
from .tokens import claims_of, digest, mint

KEYS = (
    *(
        "as",
        "token",
        "carrier",
        "server",
        "method",
        "path",
        "query",
        "safe",
        "headers",
        "json",
        "raw",
        "digest",
    ),
    *("wait", "until", "within", "not_before", "start", "finish", "save", "expect", "upstream"),
)
EXPECT = ("status", "json", "text", "headers", "claims")
PATIENCE = 60.0  # seconds for an answer
POLL = 0.1  # seconds between the tries of a step with `until`
VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode("utf-8", "replace")


@dataclass
class Conversation:
    """Plays the steps of one case.

    Attributes:
        address: of the daemon.
        secret: that tokens are signed with.
    """

    address: tuple[str, int]
    secret: str
    variables: dict[str, Json] = field(default_factory=lambda: {"run": secrets.token_hex(4)})
    started: dict[str, Future[Answer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(16)

    def close(self) -> None:
        """Wait for no answer any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def play(self, step: Mapping[str, Json]) -> None:
        """Play a step. Raises Failed."""
        know(step, KEYS)
        time.sleep(step.get("wait", 0))
        if "finish" in step:
            self._finish(step)
        elif "start" in step:
            self.started[step["start"]] = self._pool.submit(self.send, step)
        elif "method" in step:
            self._ask(step)

    def _ask(self, step: Mapping[str, Json]) -> None:
        deadline = time.monotonic() + step.get("until", 0)
        while True:
            answer = self.send(step)
            try:
                self._judge(step, answer)
                break
            except Failed:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(POLL)
        least, most = step.get("not_before", 0), step.get("within", PATIENCE)
        if not least <= answer.seconds <= most:
            raise Failed(f"answered after {answer.seconds:.2f} s, not {least} to {most}")

    def _finish(self, step: Mapping[str, Json]) -> None:
        patience = step.get("within", PATIENCE)
        try:
            answer = self.started.pop(step["finish"]).result(patience)
        except TimeoutError:
            raise Failed(f"no answer within {patience} s") from None
        self._judge(step, answer)

    def send(self, step: Mapping[str, Json]) -> Answer:
        """Send a request, and wait for its answer. Raises OSError, http.client.HTTPException."""
        path = self._path(step)
        headers, body = dict(self.fill(step.get("headers") or {})), None
        if "json" in step:
            body = json.dumps(self.fill(step["json"])).encode()
        elif "raw" in step:
            body = str(self.fill(step["raw"])).encode()
        if (token := self._token(step)) is not None:
            name, _, value = step.get("carrier", "X-Authentication-Token: {}").partition(": ")
            headers[name] = value.format(token)
        if "digest" in step:
            headers["Authorization"] = digest(
                self.variables["challenge"], step["method"], path, *step["digest"]
            )
        begun = time.monotonic()
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            connection.request(step["method"], path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, content, time.monotonic() - begun)

    def fill(self, value: Json) -> Json:
        """A value with its `${variables}` filled in; one that is nothing else keeps its type."""
        if isinstance(value, str):
            lone = VARIABLE.fullmatch(value)
            if lone is not None:
                return self.variables[lone[1]]
            return VARIABLE.sub(lambda found: str(self.variables[found[1]]), value)
        if isinstance(value, list):
            return [self.fill(one) for one in value]
        if isinstance(value, dict):
            return {name: self.fill(one) for name, one in value.items()}
        return value

    def _path(self, step: Mapping[str, Json]) -> str:
        pairs = []
        for name, value in (step.get("query") or {}).items():
            value = self.fill(value)
            plain = value if isinstance(value, str) else json.dumps(value)
            pairs.append(f"{name}={quote(plain, safe=step.get('safe', ':'))}")
        base = "/auth" if step.get("server") == "auth" else "/data"
        path: str = step["path"]
        return base + path + ("?" + "&".join(pairs) if pairs else "")

    def _token(self, step: Mapping[str, Json]) -> str | None:
        now = time.time()
        if "token" not in step:
            name = step.get("as")
            return None if name is None else mint(self.secret, sub=name, iat=now, nbf=now, exp=now + 3600)
        wanted = step["token"]
        if "raw" in wanted:
            return str(self.fill(wanted["raw"]))
        secret = self.secret if wanted["sign"] == "right" else f"another {self.secret}"
        times = {"nbf": now + wanted.get("nbf", 0), "exp": now + wanted.get("exp", 600)}
        return mint(secret, sub=wanted.get("sub", "alice"), iat=now, **times)

    def _judge(self, step: Mapping[str, Json], answer: Answer) -> None:
        """Hold an answer against what a step expects, and save what it is to save. Raises Failed."""
        expect = self.fill(step["expect"])
        know(expect, EXPECT, "expect")
        if answer.status != expect["status"]:
            raise Failed(f"status {expect['status']} expected, got {answer.status}: {shown(answer.text)}")
        is_json = answer.headers.get("content-type", "").startswith("text/json")
        if is_json != ("json" in expect) and expect.keys() & {"json", "text"}:
            raise Failed(f"Content-Type: {answer.headers.get('content-type')}")
        if "json" in expect:
            match(expect["json"], json.loads(answer.body), "json")
        elif "text" in expect:
            match(expect["text"], answer.text.rstrip("\n"), "text")
        for name, wanted in expect.get("headers", {}).items():
            match(wanted, answer.headers.get(name.lower(), ""), name)
        if "claims" in expect:
            match(expect["claims"], claims_of(answer.headers["x-authentication-token"]), "token")
        self._save(step, answer)

    def _save(self, step: Mapping[str, Json], answer: Answer) -> None:
        for name, route in step.get("save", {}).items():
            if route.startswith("header "):
                self.variables[name] = answer.headers[route.removeprefix("header ").lower()]
                continue
            value = json.loads(answer.body)
            for part in route.split("."):
                value = value[int(part)] if part.isdigit() else value[part]
            self.variables[name] = value


def play(case: Case, address: tuple[str, int], secret: str) -> None:
    """Play a case.

    Raises:
        Failed: a step did not go as written; the text begins with its number.
    """
    conversation = Conversation(address, secret)
    try:
        for number, step in enumerate(case.steps, 1):
            try:
                conversation.play(step)
            except Failed as why:
                raise Failed(f"step {number}: {why}") from why
            except (OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as problem:
                raise Failed(f"step {number}: {type(problem).__name__}: {problem}") from problem
    finally:
        conversation.close()
