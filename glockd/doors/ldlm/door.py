"""Who answers in LDLM's language: gRPC on sockets of the kind `ldlm`, REST on those of the kind `ldlm-rest`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from glockd.core.stats import Traffic
from glockd.doors.ldlm import grpc
from glockd.doors.ldlm.calls import DOOR
from glockd.doors.ldlm.desk import Desk
from glockd.doors.ldlm.rest import Rest
from glockd.net.exchange import Ask
from glockd.net.guard import Visitors
from glockd.net.http import HttpProtocol
from glockd.net.http_way import HttpWay
from glockd.net.reader import LARGEST_HEAD, Limits

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from glockd.config import Config
    from glockd.doors import Answers
    from glockd.doors.ldlm.records import Records
    from glockd.net.answers import Refused
    from glockd.service import Handler, Service
    from glockd.store.book import Book

# LDLM's server sets no limit to a body; 6 MB have been seen to work there.
LIMITS = Limits(head=LARGEST_HEAD, body=8 << 20)


class LdlmDoor:
    """LDLM's language.

    Args:
        service: the core at work.
        book: the records, if there are any.
    """

    name = DOOR
    verbs: Mapping[bytes, Handler] = MappingProxyType({})

    def __init__(self, service: Service, book: Book | None) -> None:
        self._service = service
        self._visitors = Visitors.of(service.policy.config)
        self._desk = Desk(service, _records(service.policy.config, book))
        traffic = service.state.stats.traffic
        self._grpc = grpc.server(self._desk, traffic.setdefault("ldlm", Traffic()))
        self._rest = Rest(self._desk)
        self._traffic = traffic.setdefault("ldlm-rest", Traffic())
        self._way = HttpWay(service, self._rest.answer, self._refuse, self._traffic, LIMITS)
        self.answers: Answers = {"ldlm": self._grpc, "ldlm-rest": self._visit}
        self._timer: TimerHandle | None = None

    def _refuse(self, ask: Ask) -> Refused | None:
        is_open = not self._service.policy.secrets_of["ldlm_password_file"]
        return self._visitors.refuse_call(ask, is_open=is_open)

    async def start(self) -> None:
        """Put back what outlived the last run, and begin to forget, now and then, the sizes of unused locks.

        Raises:
            StartError: it cannot be read.
        """
        self._desk.restore()
        self._wait_to_collect()

    def reload(self, config: Config) -> None:
        """Take over how silent clients are treated; the policy holds the rest."""
        self._grpc.manners = grpc.manners(config)

    async def drain(self, deadline: float) -> None:
        """Answer what has arrived, end every session and close every connection.

        Args:
            deadline: monotonic seconds; what is not closed by then is cut off.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._desk.freeze()
        self._rest.end("shutdown")
        await self._grpc.drain(deadline)
        await self._way.drain(deadline)

    def _visit(self) -> HttpProtocol:
        self._traffic.connections += 1
        return self._way.protocol()

    def _collect(self) -> None:
        self._desk.collect()
        self._wait_to_collect()

    def _wait_to_collect(self) -> None:
        seconds = self._service.policy.config.ldlm_gc_seconds
        self._timer = self._service.loop.call_later(seconds, self._collect)


def _records(config: Config, book: Book | None) -> Records | None:
    if book is None or not config.ldlm_keep_over_restart:
        return None
    # Not before it is wanted: without records nobody has to load SQLite.
    from glockd.doors.ldlm.records import Records

    return Records(book)
