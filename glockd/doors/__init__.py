"""Languages on the core, side by side.

A door imports core, policy, service, net and store; never another door. It never listens: it says who answers on which
kind of socket, and listening.py does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from glockd.config import Config
    from glockd.service import Handler

# Who answers on each kind of socket: makes what moves the bytes of one connection.
Answers: TypeAlias = Mapping[str, Callable[[], asyncio.Protocol]]


class Door(Protocol):
    """A language on the core."""

    name: str  # in options, metrics, logs and Session.door
    answers: Answers
    verbs: Mapping[
        bytes, Handler
    ]  # what it adds to the line language, with the names that its own options enable

    async def start(self) -> None:
        """Bring back what outlived the last run; no listener is read before this has ended.

        Raises:
            StartError: it cannot be brought back.
        """

    def reload(self, config: Config) -> None:
        """Take over what can be taken over of a changed configuration; it is right."""

    async def drain(self, deadline: float) -> None:
        """Answer what has arrived, end every session and close every connection.

        Args:
            deadline: monotonic seconds; what is not closed by then is cut off.
        """
