"""Who answers in pScheduler's language, on sockets of the kind `windows`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from glockd.config import StartError
from glockd.core.stats import Traffic
from glockd.doors.windows.desk import Desk
from glockd.doors.windows.routes import RouteTable
from glockd.doors.windows.states import PENDING
from glockd.doors.windows.task import DOOR
from glockd.doors.windows.verbs import Verbs
from glockd.net.exchange import Ask
from glockd.net.guard import Visitors
from glockd.net.http import HttpProtocol
from glockd.net.http_way import HttpWay
from glockd.net.reader import Limits

if TYPE_CHECKING:
    from glockd.config import Config
    from glockd.doors import Answers
    from glockd.doors.windows.records import Records
    from glockd.net.answers import Refused
    from glockd.service import Handler, Service
    from glockd.store.book import Book

# A spec is in the head of a request that looks whether it is valid, encoded.
LIMITS = Limits(head=1 << 18, body=1 << 20)


class WindowsDoor:
    """Booked windows.

    Args:
        service: the core at work.
        book: the records, if there are any.
    """

    name = DOOR

    def __init__(self, service: Service, book: Book | None) -> None:
        self._service = service
        config = service.policy.config
        self._visitors = Visitors.of(config)
        self._records = _records(book)
        self._desk = Desk(service, self._records)
        self.verbs: Mapping[bytes, Handler] = Verbs(self._desk).verbs
        bookings = self._desk.book
        service.state.stats.windows = lambda: (bookings.states[PENDING], bookings.missed)
        scheme = "https" if config.tls_cert and DOOR in config.tls_sockets else "http"
        self._traffic = service.state.stats.traffic.setdefault(DOOR, Traffic())
        routes = RouteTable(self._desk, scheme)
        self._way = HttpWay(service, routes.answer, self._refuse, self._traffic, LIMITS)
        self.answers: Answers = {DOOR: self._visit}

    def _refuse(self, ask: Ask) -> Refused | None:
        return self._visitors.refuse_call(ask, is_open=True)

    async def start(self) -> None:
        """Put back what outlived the last run.

        Raises:
            StartError: it cannot be read, or does not fit.
        """
        try:
            self._desk.start()
        except (ValueError, KeyError) as error:
            raise StartError(f"-records: a window cannot be restored: {error}") from error

    def reload(self, config: Config) -> None:
        """Take over how far ahead runs are made, and how long they are kept."""
        self._desk.book.horizon = config.windows_horizon_seconds
        self._desk.book.keep = config.windows_keep_seconds

    async def drain(self, deadline: float) -> None:
        """Answer what has arrived, and whoever waits as if the time were up, and close every connection.

        Windows stay what they are, on record.

        Args:
            deadline: monotonic seconds; what is not closed by then is cut off.
        """
        self._desk.drain()
        await self._way.drain(deadline)

    def _visit(self) -> HttpProtocol:
        self._traffic.connections += 1
        return self._way.protocol()


def _records(book: Book | None) -> Records | None:
    if book is None:
        return None
    # Not before they are wanted: without records nobody has to load SQLite.
    from glockd.doors.windows.records import Records

    return Records(book)
