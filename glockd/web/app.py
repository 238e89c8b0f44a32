"""Routes: which request gets which page."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from glockd.net.answers import not_allowed, text, unauthorised
from glockd.net.exchange import Answer, Ask
from glockd.net.guard import identify


class Page(NamedTuple):
    """What a path shows."""

    show: Callable[[Ask], Answer]
    guarded: bool = True  # only for those who know a secret, if there are secrets
    asks: bool = False  # who knows none is answered with the page all the same: it asks for one itself


class Site:
    """The pages of one port.

    Args:
        pages: by path; without any, only websocket handshakes are welcome.
        secrets: gives those in force now; with none, everybody may see everything.
    """

    def __init__(self, pages: dict[str, Page], secrets: Callable[[], tuple[bytes, ...]]) -> None:
        self._pages = pages
        self._secrets = secrets

    def __call__(self, ask: Ask) -> Answer:
        """The answer to a request that is no websocket handshake."""
        methods = ("GET", "HEAD") if self._pages else ("GET",)
        if ask.method not in methods:
            return not_allowed(*methods)
        if not self._pages:
            return text("This is a websocket: no upgrade was asked for.", 400)
        page = self._pages.get(ask.path)
        if page is None:
            return text(f"There is: {' '.join(self._pages)}, and websockets.", 404)
        if page.guarded and identify(ask, self._secrets()) is None:
            return unauthorised(page.show(ask) if page.asks else None)
        return page.show(ask)

    def is_open(self, path: str) -> bool:
        """Whether everybody may see the page at a path, whoever they are and whatever they call the daemon."""
        page = self._pages.get(path)
        return page is not None and not page.guarded


def health(_: Ask) -> Answer:
    """`/healthz`: the event loop turns."""
    return text("ok")


def readiness(unready: Callable[[], str]) -> Page:
    """`/readyz`: whether new clients are welcome.

    Args:
        unready: why they are not; empty: they are.
    """

    def show(_: Ask) -> Answer:
        why = unready()
        return text(why, 503) if why else text("ready")

    return Page(show, guarded=False)
