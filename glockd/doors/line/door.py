"""Who answers in the line language, on which kind of socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from glockd.config import UNLIMITED, Config
from glockd.doors import Answers
from glockd.doors.line.connection import Connection, Way
from glockd.doors.line.stream import StreamProtocol, WatchedStreamProtocol
from glockd.doors.line.websocket import Pages, WebSocketProtocol
from glockd.doors.line.wire.handlers import Vocabulary
from glockd.net.addresses import UnixAddresses
from glockd.service import Handler, Service

if TYPE_CHECKING:
    from glockd.store.book import Book


class LineDoor:
    """The line language.

    Args:
        service: the core at work.
        vocabulary: the verbs that are understood, those of other doors among them.
        pages: answers on the websocket port what is no handshake.
        book: the records, if there are any.
    """

    name = "line"
    verbs: Mapping[bytes, Handler] = MappingProxyType({})

    def __init__(self, service: Service, vocabulary: Vocabulary, pages: Pages, book: Book | None) -> None:
        self._service = service
        if book is not None:
            # Without records nobody has to load SQLite.
            from glockd.doors.line.records import Records

            vocabulary.records = Records(book)
        self._records = vocabulary.records
        traffic = service.state.stats.traffic
        config = service.policy.config
        watched = min(config.first_command_seconds, config.idle_seconds) < UNLIMITED
        stream = WatchedStreamProtocol if watched else StreamProtocol
        self._websocket = Way("websocket", traffic["websocket"], _address, vocabulary)
        self.answers: Answers = {
            "tcp": partial(stream, service, Way("tcp", traffic["tcp"], _address, vocabulary)),
            "unix": partial(stream, service, Way("unix", traffic["unix"], UnixAddresses(), vocabulary)),
            "ws": self.websocket(pages),
        }

    def websocket(self, pages: Pages) -> Callable[[], WebSocketProtocol]:
        """Makes what answers on a websocket port.

        Args:
            pages: answers there what is no handshake.
        """
        return partial(WebSocketProtocol, self._service, self._websocket, pages)

    async def start(self) -> None:
        """Bring back the items of work lists, all free: what connections hold ends with them."""
        if self._records is not None:
            self._records.open()
            items, now = self._service.state.items, self._service.now()
            for pool, item, attempts in self._records.read():
                items.offer(pool, item, attempts, now)

    def reload(self, config: Config) -> None:
        """There is nothing to take over that the policy does not hold."""

    async def drain(self, deadline: float) -> None:
        """Answer what has arrived, end every session and close every connection.

        Args:
            deadline: monotonic seconds; what is not closed by then is cut off.
        """
        listeners = self._service.state.registry.listeners.values()
        connections = [one for one in listeners if isinstance(one, Connection)]
        await self._until(lambda: not any(_is_busy(one) for one in connections), deadline)
        for one in connections:
            one.end("shutdown")
        await self._until(lambda: all(_is_closed(one) for one in connections), deadline)
        for one in connections:
            one.transport.abort()

    async def _until(self, so: Callable[[], bool], deadline: float) -> None:
        """Wait for what no event tells."""
        while not so() and self._service.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def _address(connection: Connection) -> bytes:
    return connection.address


def _is_busy(connection: Connection) -> bool:
    return connection.talk is not None and connection.talk.more


def _is_closed(connection: Connection) -> bool:
    return connection.transport.is_closing() and not connection.transport.get_write_buffer_size()
