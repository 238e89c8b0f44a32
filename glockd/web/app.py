"""Routes: which request gets which page."""

from __future__ import annotations

from websockets.datastructures import Headers
from websockets.http11 import Request, Response


def answer(request: Request) -> Response | None:
    """The answer to a request that is no websocket handshake; None if it is one."""
    if request.method != "GET":
        return text(405, "Method Not Allowed", "Only GET is understood here.\n", {"Allow": "GET"})
    if "upgrade" not in request.headers.get("Connection", "").lower():
        return text(400, "Bad Request", "This is a websocket: no upgrade was asked for.\n")
    return None


def text(code: int, reason: str, body: str, headers: dict[str, str] | None = None) -> Response:
    """A short plain text."""
    content = body.encode()
    return Response(
        code,
        reason,
        Headers(
            {
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": str(len(content)),
                "Connection": "close",
            }
            | (headers or {})
        ),
        content,
    )
