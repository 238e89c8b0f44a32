"""One client of pScheduler's API, as cases script it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit

from ..files import Case, know
from ..outcome import Failed
from ..values import Json, shown
from .patterns import match, moment

STEP = (
    *("method", "path", "query", "json", "body", "headers", "wait", "until", "timeout", "expect", "save"),
    "real",  # what the original answers instead; ours is not it
)
EXPECT = ("status", "text", "json", "json_absent", "headers", "min_seconds", "max_seconds")

ROOT = "/pscheduler"
PATIENCE = 60.0  # seconds for an answer, unless the step says otherwise
POLL = 0.2  # seconds between two attempts of a step that may take its time
# Each case has its own minutes of the coming day: from so long ahead, and so long.
AHEAD = timedelta(hours=2)
EACH = timedelta(minutes=5)

VARIABLE = re.compile(r"\$\{([a-z0-9_]+)([+-]\d+)?\}")


@dataclass(frozen=True)
class Answer:
    """What was answered, and in how many seconds."""

    status: int
    headers: Mapping[str, str]
    text: str
    seconds: float


def connect(scheme: str, address: tuple[str, int], seconds: float) -> http.client.HTTPConnection:
    """A connection that does not ask whose certificate it is shown: pScheduler's own clients do not either."""
    if scheme == "http":
        return http.client.HTTPConnection(*address, timeout=seconds)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(*address, timeout=seconds, context=context)


class Conversation:
    """A client, and what it has saved.

    Args:
        scheme: http or https.
        address: the server's.
        slot: which minutes are its own.
    """

    def __init__(self, scheme: str, address: tuple[str, int], slot: int) -> None:
        self.scheme = scheme
        self.address = address
        now = datetime.now(UTC).replace(microsecond=0)
        self.variables: dict[str, Json] = {"now": _written(now), "slot": _written(now + AHEAD + slot * EACH)}

    def play(self, step: Mapping[str, Json]) -> None:
        """Play a step, again and again if it may take its time.

        Raises:
            Failed: it did not go as written.
        """
        know(step, STEP)
        time.sleep(step.get("wait", 0))
        patience = time.monotonic() + step.get("until", 0)
        while True:
            answer = self.send(step)
            try:
                self._judge(step, answer)
                return
            except Failed:
                if time.monotonic() >= patience:
                    raise
            time.sleep(POLL)

    def send(self, step: Mapping[str, Json]) -> Answer:
        """Send what a step says."""
        path = ROOT + self.fill(step["path"])
        if "query" in step:
            query = self.fill(step["query"]).items()
            path += "?" + urlencode(
                {name: one if isinstance(one, str) else json.dumps(one) for name, one in query}
            )
        body = json.dumps(self.fill(step["json"])) if "json" in step else self.fill(step.get("body"))
        begun = time.monotonic()
        connection = connect(self.scheme, self.address, step.get("timeout", PATIENCE))
        try:
            connection.request(step.get("method", "GET"), path, body, self.fill(step.get("headers", {})))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, content.decode("utf-8", "replace"), time.monotonic() - begun)

    def fill(self, value: Json) -> Json:
        """A value with its `${variables}` filled in; one that is nothing else keeps its type."""
        if isinstance(value, str):
            lone = VARIABLE.fullmatch(value)
            if lone is not None and not lone[2]:
                return self.variables[lone[1]]
            return VARIABLE.sub(self._variable, value)
        if isinstance(value, list):
            return [self.fill(one) for one in value]
        if isinstance(value, dict):
            return {self.fill(name): self.fill(one) for name, one in value.items()}
        return value

    def _variable(self, found: re.Match[str]) -> str:
        value = str(self.variables[found[1]])
        return _written(moment(value) + timedelta(seconds=int(found[2]))) if found[2] else value

    def _judge(self, step: Mapping[str, Json], answer: Answer) -> None:
        expect = self.fill(step.get("expect", {}))
        know(expect, EXPECT, "expect")
        wanted = expect.get("status", 200)
        if answer.status not in (wanted if isinstance(wanted, list) else [wanted]):
            raise Failed(f"status {wanted} expected, got {answer.status}: {shown(answer.text)}")
        for name, value in expect.get("headers", {}).items():
            match(value, answer.headers.get(name.lower()), name)
        if "text" in expect:
            match(expect["text"], answer.text, "text")
        if not expect.get("min_seconds", 0) <= answer.seconds <= expect.get("max_seconds", PATIENCE * 2):
            raise Failed(f"answered after {answer.seconds:.1f} s")
        if "json" in expect or "json_absent" in expect or "save" in step:
            self._look_into(step, expect, answer)

    def _look_into(self, step: Mapping[str, Json], expect: Mapping[str, Json], answer: Answer) -> None:
        try:
            value = json.loads(answer.text)
        except ValueError as problem:
            raise Failed(f"no JSON: {shown(answer.text)}") from problem
        if "json" in expect:
            match(expect["json"], value, "json")
        for name in expect.get("json_absent", ()):
            if name in value:
                raise Failed(f"json/{name} is not expected")
        for name, route in step.get("save", {}).items():
            self.variables[name] = _at(route, value, answer.headers)

    def clean(self) -> None:
        """Cancel every task of this case, so that its minutes are free again."""
        for name, value in self.variables.items():
            if name.startswith("task"):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.send({"method": "DELETE", "path": f"/tasks/{value}"})


def _at(route: str, value: Json, headers: Mapping[str, str]) -> Json:
    """What lies at a route: members and places, then perhaps `$last`, the last segment of the URL that is there."""
    for part in route.split("/"):
        if part == "$location":
            value = headers.get("location", "")
        elif part == "$last":
            value = urlsplit(str(value)).path.rpartition("/")[2]
        elif part:
            try:
                value = value[int(part)] if isinstance(value, list) else value[part]
            except (LookupError, TypeError) as problem:
                raise Failed(f"nothing at {route} to save") from problem
    return value


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def play(case: Case, scheme: str, address: tuple[str, int]) -> None:
    """Play a case.

    Raises:
        Failed: a step did not go as written; the text begins with its number.
    """
    conversation = Conversation(scheme, address, case.slot)
    try:
        for number, step in enumerate(case.steps, 1):
            try:
                conversation.play(step)
            except Failed as why:
                raise Failed(f"step {number}: {why}") from why
            except (OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as problem:
                raise Failed(f"step {number}: {type(problem).__name__}: {problem}") from problem
    finally:
        conversation.clean()
