"""Routes: which request gets which page."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

# On every answer: it is what it says it is, nobody may keep it, frame it or learn where it was linked from.
COMMON_HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Page(NamedTuple):
    """What a path shows."""

    show: Callable[[Request], Response]
    guarded: bool = True  # only for those who know a secret, if there are secrets
    asks: bool = False  # who knows none is answered with the page all the same: it asks for one itself


class Site:
    """The pages of one port.

    Args:
        pages: by path; without any, only websocket handshakes are welcome.
        secrets: gives those in force now; with none, everybody may see everything.
        upgrades: whether websocket handshakes are welcome now.
    """

    def __init__(
        self,
        pages: dict[str, Page],
        secrets: Callable[[], tuple[bytes, ...]],
        upgrades: Callable[[], bool] = lambda: True,
    ) -> None:
        self._pages = pages
        self._secrets = secrets
        self._upgrades = upgrades

    def __call__(self, request: Request) -> Response | None:
        """The answer to a request that is no websocket handshake; None if it is one."""
        methods = ("GET", "HEAD") if self._pages else ("GET",)
        if request.method not in methods:
            return _refusal(
                405, "Method Not Allowed", f"Use {' or '.join(methods)}.", Allow=", ".join(methods)
            )
        if request.method == "GET" and _wants_upgrade(request) and self._upgrades():
            return None
        if not self._pages:
            return _refusal(400, "Bad Request", "This is a websocket: no upgrade was asked for.")
        response = self._find(request)
        if request.method == "HEAD":
            response.body = b""
        return response

    def _find(self, request: Request) -> Response:
        page = self._pages.get(_path(request))
        if page is None:
            return _refusal(404, "Not Found", f"There is: {' '.join(self._pages)}, and websockets.")
        if page.guarded and not knows_secret(request, self._secrets()):
            return _unauthorised(page.show(request) if page.asks else None)
        return page.show(request)


def knows_secret(request: Request, secrets: tuple[bytes, ...]) -> bool:
    """Whether the request may see guarded pages: its bearer token, or its password, is a secret."""
    if not secrets:
        return True
    given = request.headers.get_all("Authorization")
    scheme, _, credentials = (given[0] if len(given) == 1 else "").strip().partition(" ")
    secret = credentials.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            secret = base64.b64decode(secret, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    # Every secret is compared, in constant time each: the answer's time tells nothing.
    return bool(sum([hmac.compare_digest(secret, one) for one in secrets]))


def respond(
    content: bytes, kind: str, code: int = 200, reason: str = "OK", policy: str = NOTHING_ALLOWED
) -> Response:
    """An answer with all its headers.

    Args:
        content: its body.
        kind: what that is, as Content-Type.
        policy: its Content-Security-Policy.
    """
    headers = {"Content-Type": kind, "Content-Length": str(len(content)), "Content-Security-Policy": policy}
    return Response(code, reason, Headers(COMMON_HEADERS | headers), content)


def text(line: str, code: int = 200, reason: str = "OK") -> Response:
    """A line of plain text."""
    return respond(line.encode() + b"\n", "text/plain; charset=utf-8", code, reason)


def health(_: Request) -> Response:
    """`/healthz`: the event loop turns."""
    return text("ok")


def readiness(draining: Callable[[], bool]) -> Page:
    """`/readyz`: whether new clients are welcome."""

    def show(_: Request) -> Response:
        return text("draining", 503, "Service Unavailable") if draining() else text("ready")

    return Page(show, guarded=False)


def _refusal(code: int, reason: str, line: str, **headers: str) -> Response:
    response = text(line, code, reason)
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


def _unauthorised(page: Response | None) -> Response:
    """401, with a page that asks for the secret itself, or else with a challenge to the browser to do so."""
    refusal = _refusal(401, "Unauthorized", "A secret is needed.")
    if page is not None:
        refusal = Response(401, "Unauthorized", page.headers, page.body)
    # RFC 9110, 11.6.1: several challenges are a choice. In fields of their own, because Chromium
    # reads only the first of those in one field, and knows no Bearer.
    refusal.headers["WWW-Authenticate"] = 'Bearer realm="glockd"'
    if page is None:
        refusal.headers["WWW-Authenticate"] = 'Basic realm="glockd", charset="UTF-8"'
    return refusal


def _wants_upgrade(request: Request) -> bool:
    values = ",".join(request.headers.get_all("Connection"))
    return "upgrade" in (token.strip().lower() for token in values.split(","))


def _path(request: Request) -> str:
    # RFC 9112, 3.2.2: a request may name the whole URL.
    try:
        return urlsplit(request.path).path
    except ValueError:
        return ""
