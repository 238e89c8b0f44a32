"""Who answers in Data Dispatcher's language, on sockets of the kind `dispatch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from glockd.config import StartError
from glockd.core.stats import Traffic
from glockd.doors.dispatch.bridge import Bridge
from glockd.doors.dispatch.desk import Desk
from glockd.doors.dispatch.elements import Elements
from glockd.doors.dispatch.project import DOOR
from glockd.doors.dispatch.routes import Routes
from glockd.doors.dispatch.users import Users, read_proximity, read_users
from glockd.net.exchange import Ask
from glockd.net.guard import Visitors
from glockd.net.http import HttpProtocol
from glockd.net.http_way import HttpWay
from glockd.net.reader import Limits
from glockd.notices import Unread

if TYPE_CHECKING:
    from glockd.config import Config
    from glockd.doors import Answers
    from glockd.doors.dispatch.records import Records
    from glockd.net.answers import Refused
    from glockd.service import Handler, Service
    from glockd.store.book import Book

# The names of files are in the body of a new project; a filter of attributes is in the head.
LIMITS = Limits(head=1 << 18, body=64 << 20)


class DispatchDoor:
    """Data Dispatcher's language.

    Args:
        service: the core at work.
        book: the records, if there are any.

    Raises:
        StartError: a file that an option names cannot be used.
    """

    name = DOOR

    def __init__(self, service: Service, book: Book | None) -> None:
        self._service = service
        config = service.policy.config
        self._visitors = Visitors.of(config)
        self._records = _records(book)
        self._desk = Desk(service, _elements(config), self._records)
        self.verbs: Mapping[bytes, Handler] = Bridge(self._desk).verbs
        self._routes = Routes(self._desk, _users(config))
        self._traffic = service.state.stats.traffic.setdefault(DOOR, Traffic())
        self._way = HttpWay(service, self._routes.answer, self._refuse, self._traffic, LIMITS)
        self.answers: Answers = {DOOR: self._visit}

    def _refuse(self, ask: Ask) -> Refused | None:
        is_open = not self._service.policy.secrets_of["dispatch_secret_file"]
        return self._visitors.refuse_call(ask, is_open=is_open)

    async def start(self) -> None:
        """Put back what outlived the last run.

        Raises:
            StartError: it cannot be read, or does not fit.
        """
        if self._records is not None:
            try:
                self._records.restore(self._desk)
            except ValueError as error:
                raise StartError(f"-records: a project cannot be restored: {error}") from error

    def reload(self, config: Config) -> None:
        """Take over who is known; what the policy holds is in force already.

        A file that cannot be used leaves those known who were, and the log says so.
        """
        try:
            self._routes.users = _users(config)
        except StartError as error:
            self._service.outbox.append(Unread(str(error)))
            self._service.settle()

    async def drain(self, deadline: float) -> None:
        """Answer what has arrived, those who wait with 503, and close every connection.

        What workers have reserved stays theirs, on record.

        Args:
            deadline: monotonic seconds; what is not closed by then is cut off.
        """
        self._desk.drain()
        await self._way.drain(deadline)
        await self._desk.stop()

    def _visit(self) -> HttpProtocol:
        self._traffic.connections += 1
        return self._way.protocol()


def _users(config: Config) -> Users:
    return read_users(config.dispatch_users_file, config.dispatch_password_file)


def _elements(config: Config) -> Elements:
    path = config.dispatch_proximity_file
    return Elements(read_proximity(path)) if path else Elements()


def _records(book: Book | None) -> Records | None:
    if book is None:
        return None
    # Not before they are wanted: without records nobody has to load SQLite.
    from glockd.doors.dispatch.records import Records

    return Records(book)
