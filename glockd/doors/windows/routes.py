"""Requests and what they are answered: which path is whose."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from glockd.doors.windows.call import ROOT, Call, Routes, check_api, query_of, words_of
from glockd.doors.windows.catalogue import Catalogue
from glockd.doors.windows.hosts import host_header
from glockd.doors.windows.plans import Plans
from glockd.doors.windows.refusal import Refusal, not_found
from glockd.doors.windows.run_routes import RunRoutes
from glockd.doors.windows.shown import View
from glockd.doors.windows.task_routes import TaskRoutes
from glockd.net.answers import text
from glockd.net.exchange import Answer, Ask

if TYPE_CHECKING:
    from asyncio import Future

    from glockd.doors.windows.desk import Desk


class RouteTable:
    """Answers requests.

    Args:
        desk: where they become calls.
        scheme: http or https.
    """

    def __init__(self, desk: Desk, scheme: str) -> None:
        self._desk = desk
        self._scheme = scheme
        self._parts = Catalogue(desk), TaskRoutes(desk), RunRoutes(desk), Plans(desk)

    def answer(self, ask: Ask) -> Answer | Future[Answer]:
        """Answer a request."""
        try:
            reply = self._answer(ask)
        except Refusal as refusal:
            return text(refusal.line, refusal.status)
        if isinstance(reply, Coroutine):
            return self._desk.service.loop.create_task(_refusing(reply))
        return reply

    def _answer(self, ask: Ask) -> Answer | Future[Answer] | Coroutine[Any, Any, Answer]:
        if ask.path == ROOT:
            return text("Permanent Redirect", 308, ("Location", f"{ROOT}/"))
        words = words_of(ask.path)
        given = query_of(ask.query)
        check_api(given)
        routes = self._find(words)
        method = "GET" if ask.method == "HEAD" else ask.method
        if method not in routes:
            allowed = ", ".join((*routes, "HEAD") if "GET" in routes else routes)
            return text(f"{ask.method} not allowed on this resource", 405, ("Allow", allowed))
        return routes[method](Call(ask, words, given, self._view(ask)))

    def _find(self, words: tuple[str, ...]) -> Routes:
        for part in self._parts:
            found = part.find(words)
            if found is not None:
                return found
        raise not_found()

    def _view(self, ask: Ask) -> View:
        host = host_header(ask)
        scheme = self._scheme
        # Only where whoever connects is a proxy of the operator's.
        if self._desk.service.policy.config.proxies and ask.headers.words("X-Forwarded-Proto")[:1] == [
            "https"
        ]:
            scheme = "https"
        return View(f"{scheme}://{host}{ROOT}", host)


async def _refusing(reply: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        return await reply
    except Refusal as refusal:
        return text(refusal.line, refusal.status)
