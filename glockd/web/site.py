"""Which page is where: on the websocket port, or all on an HTTP port of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from glockd.net.answers import Refused
from glockd.net.exchange import Ask
from glockd.net.guard import Visitors
from glockd.net.http_way import HttpWay
from glockd.net.peer import Peer
from glockd.notices import Stranger
from glockd.policy import Reason
from glockd.service import Service
from glockd.web import app, console
from glockd.web.handshakes import Handshakes
from glockd.web.metrics import Metrics

if TYPE_CHECKING:
    from glockd.store.book import Book


class Sites:
    """What is answered to HTTP requests.

    Args:
        service: the core at work.
        apart: whether all pages are on an HTTP port of its own.
        draining: whether the daemon is about to stop.
        book: the records, if there are any.
    """

    def __init__(
        self, service: Service, *, apart: bool, draining: Callable[[], bool], book: Book | None
    ) -> None:
        self._service = service
        self._draining = draining
        self._book = book
        self._visitors = Visitors.of(service.policy.config, self._tell)
        self._book = book
        pages = self._pages()
        self._site = app.Site(pages, self._secrets)
        on_websocket = app.Site({}, self._secrets) if apart else self._site
        self.on_websocket = Handshakes(self._refuse, on_websocket, self._count)

    def on_http(self, websocket: Callable[[], Peer]) -> HttpWay:
        """What answers on an HTTP port of its own.

        Args:
            websocket: makes what takes a connection over that asks for a websocket, as the console page does.
        """

        def upgrade(_: Ask) -> Peer | None:
            return websocket() if self._service.policy.config.console and not self._draining() else None

        traffic = self._service.state.stats.traffic["websocket"]
        return HttpWay(self._service, self._site, self._refuse, traffic, upgrade=upgrade)

    def _pages(self) -> dict[str, app.Page]:
        service, config = self._service, self._service.policy.config
        pages: dict[str, app.Page] = {}
        if config.console:
            pages["/"] = console.page(console.content())
        if config.health:
            pages["/healthz"] = app.Page(app.health, guarded=False)
            pages["/readyz"] = app.readiness(self._unready)
        if config.metrics:
            metrics = Metrics(service.state, service.policy, service.now, self._unready, self._book)
            pages["/metrics"] = app.Page(metrics.show)
            # Not aside: a thread that opens files while descriptors run out takes the one that libuv keeps to turn
            # clients away with, and from then on the loop is busy with nothing.
            metrics.prepare()
        return pages

    def _unready(self) -> str:
        """Why new clients are not welcome; empty: they are."""
        if self._draining():
            return "draining"
        trouble = self._book.trouble if self._book else ""
        return trouble and f"records cannot be written: {trouble}"

    def _secrets(self) -> tuple[bytes, ...]:
        return self._service.policy.secrets

    def _refuse(self, ask: Ask) -> Refused | None:
        # Health tells nothing that a name must guard, and load balancers know the daemon by any.
        if self._site.is_open(ask.path) and "upgrade" not in ask.headers.get("Connection").lower():
            return None
        return self._visitors.refuse_page(ask)

    def _tell(self, reason: Reason, name: str) -> None:
        self._service.outbox.append(Stranger(reason, name))
        self._service.settle()

    def _count(self, refusal: Refused) -> None:
        self._service.policy.refused[refusal.reason] += 1
