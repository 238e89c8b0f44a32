"""LDLM's REST face: sessions kept in a cookie, and three calls on them.

A request is carried out in this order: password, path, session, and only then is its body looked at. Requests of one
session that come at the same time are carried out one after another, as all are; none waits for another's body.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from asyncio import Future
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qs, unquote_to_bytes
from uuid import uuid4

from glockd.core.sessions import Owner
from glockd.doors.ldlm import bodies
from glockd.doors.ldlm.calls import DOOR
from glockd.doors.ldlm.cookies import FORGET, Cookies, session_id
from glockd.doors.ldlm.keeper import Keeper
from glockd.doors.ldlm.outcomes import Code, NotRecorded, Outcome, Problem
from glockd.net.exchange import Answer, Ask

if TYPE_CHECKING:
    from glockd.doors.ldlm.desk import Desk

JSON = ("Content-Type", "application/json")
PLAIN = ("Content-Type", "text/plain; charset=utf-8")

NO_COOKIE = b'{"error": "session cookie not found. create a new session at /session"}'
BAD_COOKIE = b'{"error": "session cookie invalid or expired. create a new session at /session"}'
NO_COOKIE_TO_DELETE = b'{"error":"http: named cookie not present"}'
NO_SESSION_TO_DELETE = b'{"error": "session not found"}'

_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_TIMEOUT = re.compile(r"[0-9]{1,18}[HMSmun]\Z")
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?\Z")
FORM = "application/x-www-form-urlencoded"

Reply: TypeAlias = "Answer | Future[Answer]"


class RestSession(Keeper):
    """A session that lives by its requests.

    Args:
        rest: the face that knows it by its id.
        name: its id; it is shown by its number.
        number: of the session, since the daemon began.
    """

    __slots__ = ("_name", "_owner", "_rest", "_used")

    def __init__(self, rest: Rest, name: str, number: int) -> None:
        now = rest.desk.service.now()
        self._rest = rest
        self._name = name
        self._used = now
        self._owner = Owner(b"rest:%d" % number, DOOR, now)
        super().__init__(rest.desk, self._owner)
        self._has_lapsed()

    def use(self) -> None:
        """Begin its time anew."""
        self._used = self.desk.service.now()

    def depart(self, how: str) -> None:
        """End the session, unless it is only said to have lapsed; what waits is answered."""
        if how == "lapsed" and not self._has_lapsed():
            return
        del self._rest.sessions[self._name]
        waits = list(self.waits.values())
        self.leave(how)
        outcome = Outcome(False, "", Problem(Code.Unknown, f"the session has ended: {how}"))
        for wait in waits:
            if not wait.done():
                wait.resolve(outcome)

    def _has_lapsed(self) -> bool:
        """Whether its time is over; if not, it is asked again when that may be.

        Requests do not put the deadline off: they may be thousands a second.
        """
        service = self.desk.service
        end = (service.now() if self.waits else self._used) + service.policy.config.ldlm_session_seconds
        if end <= service.now():
            return True
        service.state.extend(self._owner, end)
        service.settle()
        return False


class Rest:
    """Answers REST requests.

    Args:
        desk: where calls are made.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._policy = desk.service.policy
        self._numbers = count(1)
        self._cookies = Cookies()
        self.sessions: dict[str, RestSession] = {}

    def answer(self, ask: Ask) -> Reply:
        """Answer a request."""
        if _BAD_ESCAPE.search(ask.path):
            return Answer(400, (PLAIN,), b"400 Bad Request")
        if not self._is_let_in(ask):
            self._policy.refused["auth"] += 1
            return Answer(401, (("WWW-Authenticate", 'Basic realm="Restricted"'),))
        path = unquote_to_bytes(ask.path).decode("utf-8", "surrogateescape") if "%" in ask.path else ask.path
        if path == "/session":
            if ask.method == "POST":
                return self._open()
            if ask.method == "DELETE":
                return self._close(ask)
        return self._with_session(path, ask)

    def end(self, how: str) -> None:
        """End all sessions."""
        for session in list(self.sessions.values()):
            session.end(how)

    # Sessions

    def _is_let_in(self, ask: Ask) -> bool:
        passwords = self._policy.secrets_of["ldlm_password_file"]
        if not passwords:
            return True
        given = next(iter(ask.headers.get_all("Authorization")), "")
        parts = given.split("Basic ")
        if len(parts) != 2:
            return False
        try:
            pair = base64.b64decode(parts[1], validate=True)
        except ValueError:
            return False
        _, colon, password = pair.partition(b":")
        # Every password is compared, in constant time each: the answer's time tells nothing.
        return bool(colon) and bool(sum([hmac.compare_digest(password, one) for one in passwords]))

    def _open(self) -> Answer:
        name = uuid4().hex
        self.sessions[name] = RestSession(self, name, next(self._numbers))
        return Answer(201, (JSON, self._cookie(name)), b'{"session_id": "%b"}' % name.encode())

    def _close(self, ask: Ask) -> Reply:
        name = session_id(ask.headers.get_all("Cookie"))
        if name is None:
            return Answer(500, (PLAIN,), NO_COOKIE_TO_DELETE)
        session = self.sessions.get(name)
        if session is None:
            return Answer(409, (PLAIN,), NO_SESSION_TO_DELETE)
        session.end("closed")
        answer = Answer(200, (JSON, ("Set-Cookie", FORGET)), b'{"session_id": ""}')
        return self.desk.recorded(lambda: answer)

    def _with_session(self, path: str, ask: Ask) -> Reply:
        name = session_id(ask.headers.get_all("Cookie"))
        if name is None:
            return Answer(401, (JSON,), NO_COOKIE)
        session = self.sessions.get(name)
        if session is None:
            return Answer(401, (JSON,), BAD_COOKIE)
        session.use()
        cookie = self._cookie(name)
        call = CALLS.get(path)
        if call is None:
            return Answer(404, (JSON, cookie), bodies.gateway(5, "Not Found"))
        if ask.method != "POST" or _is_overridden(ask):
            return Answer(501, (JSON, cookie), bodies.gateway(12, "Method Not Allowed"))
        try:
            _check_headers(ask)
            return call(self, session, name, ask)
        except NotRecorded as error:
            return Answer(503, (JSON, cookie), bodies.gateway(14, str(error)))
        except ValueError as error:
            return Answer(400, (JSON, cookie), bodies.gateway(3, str(error)))

    def _cookie(self, name: str) -> tuple[str, str]:
        until = time.time() + self._policy.config.ldlm_session_seconds
        return "Set-Cookie", self._cookies.keep(name, until)

    # Calls

    def _lock(self, session: RestSession, cookie: str, ask: Ask) -> Reply:
        fields = bodies.read(ask.body, bodies.LOCK)
        name, size, lease = fields.get("name", ""), fields.get("size"), fields.get("lease", 0)
        wait = _seconds_to_wait(ask.query)

        def render(outcome: Outcome) -> Answer:
            session.use()
            return self._answer(cookie, outcome, bodies.locked(outcome, name))

        if not wait:
            return self.desk.try_lock(session, name.encode(), size, lease, render)
        return self.desk.lock(session, name.encode(), size, lease, wait, render)

    def _unlock(self, session: RestSession, cookie: str, ask: Ask) -> Reply:
        fields = bodies.read(ask.body, bodies.UNLOCK)
        name = fields.get("name", "")

        def render(outcome: Outcome) -> Answer:
            return self._answer(cookie, outcome, bodies.unlocked(outcome, name))

        return self.desk.unlock(name.encode(), fields.get("key", ""), render)

    def _renew(self, session: RestSession, cookie: str, ask: Ask) -> Reply:
        fields = bodies.read(ask.body, bodies.RENEW)
        name = fields.get("name", "")
        outcome = self.desk.renew(name.encode(), fields.get("key", ""), fields.get("lease", 0))
        return self._answer(cookie, outcome, bodies.locked(outcome, name))

    def _answer(self, cookie: str, outcome: Outcome, body: bytes) -> Answer:
        headers = [JSON, self._cookie(cookie)]
        if outcome.done and outcome.hold is not None:
            headers.append(("Glockd-Token", str(outcome.hold.token)))
        elif outcome.why:
            headers.append(("Glockd-Why", outcome.why))
        return Answer(200, headers, body)


CALLS: dict[str, Callable[[Rest, RestSession, str, Ask], Reply]] = {
    "/v1/lock": Rest._lock,
    "/v1/unlock": Rest._unlock,
    "/v1/renew": Rest._renew,
}


def _is_overridden(ask: Ask) -> bool:
    """Whether another method is meant than POST, as the gateway understands it."""
    method = ask.headers.get("X-HTTP-Method-Override")
    return method.upper() not in ("", "POST") and ask.headers.get("Content-Type") == FORM


def _check_headers(ask: Ask) -> None:
    """See that what the gateway reads of the headers is well-formed, although it has no effect.

    Raises:
        ValueError: it is not.
    """
    for name, value in ask.headers:
        if not name.startswith("grpc-"):
            continue
        if name == "grpc-timeout" and value and not _TIMEOUT.match(value):
            raise ValueError(f"malformed grpc-timeout: {value}")
        if name.startswith("grpc-metadata-") and name.endswith("-bin"):
            try:
                base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
            except ValueError:
                raise ValueError(f"{name} is not base64") from None


def _seconds_to_wait(query: str) -> float:
    """What `?wait=SECONDS` says: how long to stand in line, `inf` for ever; 0 if it says nothing.

    Raises:
        ValueError: it is no such number.
    """
    if "wait" not in query:
        return 0.0
    given = parse_qs(query, keep_blank_values=True).get("wait", ["0"])[0]
    if given != "inf" and not _SECONDS.match(given):
        raise ValueError("wait must be a number of seconds, or inf")
    return float(given)
