"""How windows are booked, by verb and over HTTP: each name of the contract is a window that begins at once."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import Any

from tests.doors.windows.site import OPEN, Site
from tests.support.clients import StreamClient
from tests.support.process import Glockd

LONG = 3600  # seconds, of a window that the test ends itself
PATIENCE = 30.0


class LineParty:
    """Somebody who books in the line language."""

    def __init__(self, daemon: Glockd) -> None:
        self.client: StreamClient = daemon.stream("tcp")
        self.mine: dict[bytes, int] = {}

    def takes(self, name: bytes, lease: float | None = None) -> bool:
        length = LONG if lease is None else math.ceil(lease)
        reply = self.client.says(b"book now %d 0 %b" % (length, name)).hears_a_line()
        number = int(reply.split(b" ")[0])
        if not number:
            return False
        self.mine[name] = number
        self.is_on(number)
        return True

    def is_on(self, number: int) -> None:
        """Wait until the window is on: it is a hold from then on."""
        end = time.monotonic() + PATIENCE
        while not any(one["id"] == number and one["state"] == "running" for one in self.bookings()):
            assert time.monotonic() < end

    def bookings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self.client.says("bookings").hears_a_line().partition(b" ")[2]
        )
        return found

    def gives(self, name: bytes) -> bool:
        number = self.mine.pop(name, 0)
        return self.client.says(f"unbook {number}").hears_a_line().startswith(b"1 ")

    def vanishes(self) -> None:
        """A window outlives whoever booked it; these are given back, so that the next test finds nothing."""
        with contextlib.suppress(AssertionError, OSError):
            for name in list(self.mine):
                self.gives(name)
        self.client.vanishes()


class HttpParty:
    """Somebody who posts tasks."""

    def __init__(self, daemon: Glockd) -> None:
        self.site = Site(daemon)
        self.mine: dict[bytes, str] = {}

    def takes(self, name: bytes, lease: float | None = None) -> bool:
        length = LONG if lease is None else math.ceil(lease)
        task = self.site.posts(duration=f"PT{length}S", resource=name.decode("utf-8", "surrogateescape"))
        if self.site.run(task)["state"] == "nonstart":
            self.site.asks(task, "DELETE")
            return False
        self.mine[name] = task
        self.site.becomes(task, "running")
        return True

    def gives(self, name: bytes) -> bool:
        task = self.mine.pop(name, None)
        if task is None or self.site.run(task)["state"] != "running":
            return False
        return self.site.asks(task, "DELETE").status == 200

    def vanishes(self) -> None:
        with contextlib.suppress(AssertionError, OSError):
            for name in list(self.mine):
                self.gives(name)
        self.site.pool.shutdown(wait=False)


class Adapter:
    """One way to book.

    Args:
        name: of the way.
        party: who goes it.
    """

    flags = OPEN
    odd_names: tuple[bytes, ...] = ()  # white space in a resource is that of a line's name
    secrets = ""

    def __init__(self, name: str, party: type[LineParty | HttpParty]) -> None:
        self.name = name
        self.party = party

    def opens(self, daemon: Glockd, secret: str | None = None) -> Any:
        return self.party(daemon)


ADAPTERS = (Adapter("line", LineParty), Adapter("http", HttpParty))
