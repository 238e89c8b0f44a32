"""Which page is where: on the websocket port, or all on an HTTP port of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from websockets.http11 import Request, Response

from glockd.config import words
from glockd.net.guard import Visitors
from glockd.service import Service
from glockd.web import app, console
from glockd.web.metrics import Metrics


class Sites:
    """What is answered to HTTP requests.

    Args:
        service: the core at work.
        apart: whether all pages are on an HTTP port of its own.
        draining: whether the daemon is about to stop.
    """

    def __init__(self, service: Service, *, apart: bool, draining: Callable[[], bool]) -> None:
        self._service = service
        self._draining = draining
        config = service.policy.config
        # One's own name is no foreign site's.
        self._visitors = Visitors(words(config.ws_origin), [*words(config.ws_host), socket.gethostname()])
        pages = self._pages()
        self.on_websocket = partial(self._answer, app.Site({} if apart else pages, self._secrets))
        self.on_http = partial(self._answer, app.Site(pages, self._secrets, self._is_heard))

    def _pages(self) -> dict[str, app.Page]:
        service, config = self._service, self._service.policy.config
        pages: dict[str, app.Page] = {}
        if config.console:
            pages["/"] = console.page(console.FILE.read_bytes())
        if config.health:
            pages["/healthz"] = app.Page(app.health, guarded=False)
            pages["/readyz"] = app.readiness(self._draining)
        if config.metrics:
            metrics = Metrics(service.state, service.policy, service.now, self._draining)
            pages["/metrics"] = app.Page(metrics.show)
            # Not aside: a thread that opens files while descriptors run out takes the one that libuv keeps to turn
            # clients away with, and from then on the loop is busy with nothing.
            metrics.prepare()
        return pages

    def _secrets(self) -> tuple[bytes, ...]:
        return self._service.policy.secrets

    def _is_heard(self) -> bool:
        """Whether the console page may talk to where it came from."""
        return self._service.policy.config.console and not self._draining()

    def _answer(self, site: app.Site, request: Request) -> Response | None:
        """The answer to an HTTP request; None lets a websocket handshake go on."""
        refusal = self._visitors.refuse(request)
        if refusal is None:
            return site(request)
        what, page = refusal
        self._service.policy.refused[what] += 1
        return page
