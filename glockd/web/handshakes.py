"""Pages on a websocket port, whose requests another parser has read: the same handlers, in its words."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from glockd.net.answers import Refused
from glockd.net.exchange import Answer, Ask, Fields, split_target


def ask_of(request: Request) -> Ask:
    """The same request as handlers know it."""
    try:
        path, query = split_target(request.path)
    except ValueError:
        path = query = ""  # what is nowhere
    return Ask(request.method, path, query, Fields(request.headers.raw_items()))


def response_of(answer: Answer, method: str) -> Response:
    """The same answer, to be written by the library, behind which the connection is closed."""
    headers = Headers(answer.headers)
    headers["Content-Length"] = str(len(answer.body))
    headers["Connection"] = "close"
    body = b"" if method == "HEAD" else answer.body
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, body)


class Handshakes:
    """Tells websocket handshakes from requests for pages.

    Args:
        guard: says what is refused, and is told to have been counted by `count`.
        answer: answers what is no handshake.
        count: is told of refusals.
    """

    def __init__(
        self,
        guard: Callable[[Ask], Refused | None],
        answer: Callable[[Ask], Answer],
        count: Callable[[Refused], None],
    ) -> None:
        self._guard = guard
        self._answer = answer
        self._count = count

    def __call__(self, request: Request) -> Response | None:
        """The answer to a request; None lets the handshake go on."""
        ask = ask_of(request)
        refusal = self._guard(ask)
        if refusal is not None:
            self._count(refusal)
            return response_of(refusal.answer, request.method)
        if ask.method == "GET" and "upgrade" in ask.headers.words("Connection"):
            return None
        return response_of(self._answer(ask), request.method)
