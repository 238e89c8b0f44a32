"""Languages on the core, side by side.

A door imports core, policy, service, net and store; never another door. It never listens: it says who answers on which
kind of socket, and listening.py does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from glockd.config import StartError, flag

if TYPE_CHECKING:
    from glockd.config import Config
    from glockd.service import Handler, Service
    from glockd.store.book import Book

# Who answers on each kind of socket: makes what moves the bytes of one connection.
Answers: TypeAlias = Mapping[str, Callable[[], asyncio.Protocol]]


class Door(Protocol):
    """A language on the core."""

    name: str  # in options, metrics, logs and Session.door
    answers: Answers
    verbs: Mapping[
        bytes, Handler
    ]  # what verbs of the line language do for what is its own: `take #` for its work lists

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


class Optional(NamedTuple):
    """A door that is built, and imported, only if an option names its address, or a socket for it is handed over."""

    name: str
    switches: tuple[str, ...]  # those options, which are kinds of sockets too
    module: str  # that has its class
    kind: str  # that class
    extra: str  # what it needs beyond the base, as pip knows it
    secrets: str  # the option that names the file of its secrets; empty: it has none
    only_at_home: bool = False  # whether it is refused to listen beyond loopback without any

    def is_wanted(self, config: Config, kinds: Iterable[str]) -> bool:
        """Whether it is to be built.

        Args:
            kinds: of the sockets that were handed over.
        """
        return not set(self.switches).isdisjoint(kinds) or any(
            config.addresses(switch) for switch in self.switches
        )

    def build(self, service: Service, book: Book | None) -> Door:
        """Make the door.

        Args:
            service: the core at work.
            book: the records, if there are any.

        Raises:
            StartError: what it needs is not installed.
        """
        try:
            found = import_module(self.module)
        except ModuleNotFoundError as error:
            what = f"{error.name} is not installed: pip install 'glockd[{self.extra}]'"
            raise StartError(f"-{flag(self.switches[0])}: {what}") from error
        door: Door = getattr(found, self.kind)(service, book)
        return door


# The line language, which daemon.py builds, is always there.
OPTIONAL = (
    Optional(
        "ldlm", ("ldlm", "ldlm-rest"), "glockd.doors.ldlm.door", "LdlmDoor", "ldlm", "ldlm_password_file"
    ),
    Optional(
        "dispatch",
        ("dispatch",),
        "glockd.doors.dispatch.door",
        "DispatchDoor",
        "dispatch",
        "dispatch_secret_file",
        only_at_home=True,
    ),
    Optional("windows", ("windows",), "glockd.doors.windows.door", "WindowsDoor", "windows", ""),
)
