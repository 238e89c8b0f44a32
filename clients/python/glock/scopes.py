"""What the blocking and the asyncio client have in common beyond the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, get_args

from glock.address import Address
from glock.errors import GlockError
from glock.sharding import choose
from glock.wire.arguments import whole
from glock.wire.conversation import Hold
from glock.wire.language import Name, decode, encode
from glock.wire.questions import Listing

Owner = TypeVar("Owner")
Taken = TypeVar("Taken")


class Wanted(Protocol):
    """What somebody may want: a lock, or an item of a work list."""

    @property
    def name(self) -> bytes: ...

    @property
    def mode(self) -> str: ...

    @property
    def verb(self) -> bytes: ...


SomeWanted = TypeVar("SomeWanted", bound=Wanted)


class Scope(Generic[SomeWanted]):
    """The part of a request that is known before it is made."""

    def __init__(self, want: SomeWanted) -> None:
        self.want = want
        _ = want.verb  # a name that the daemon would cut is refused here

    @property
    def name(self) -> str:
        return decode(self.want.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.want.mode} {self.name!r}>"


class Held:
    """A lock that was got: what is known of it without asking anybody.

    Attributes:
        token: fencing token, larger than that of every earlier grant of any lock; None for a shared lock, and
            from the original glockd, which has none.
        holders: how many held it when it was got, this holder included.
    """

    def __init__(self, hold: Hold) -> None:
        self.token = hold.token
        self.holders = hold.holders
        self._hold = hold
        self._released = False

    @property
    def name(self) -> str:
        """As the daemon knows it: white space at the ends is gone, each run inside is one space."""
        return decode(self._hold.name)

    @property
    def reason(self) -> str | None:
        """Why it was lost; None as long as nothing is known of that."""
        return self._hold.lost.reason if self._hold.lost is not None else None

    def _releasing(self) -> None:
        """It is about to be released, once and for all.

        Raises:
            RuntimeError: it was released before.
        """
        if self._released:
            raise RuntimeError(f"the lock {self.name!r} was released before")
        self._released = True

    def __repr__(self) -> str:
        state = "lost" if self._hold.lost is not None else "released" if self._released else "held"
        return f"<{type(self).__name__} {self.name!r} {state}, token {self.token}>"


def listing(what: Listing, text: Name | None, most: int | None) -> bytes | None:
    """The TEXT of a `find` whose arguments make sense.

    Raises:
        TypeError, ValueError: they make none.
    """
    if what not in get_args(Listing):
        raise ValueError(f"there is no listing {what!r}: it is one of {', '.join(get_args(Listing))}")
    raw = None if text is None else encode(text, "text")
    if what == "held" and not raw:
        raise ValueError("what is held is listed of a session: its address or name is the text")
    if most is not None:
        whole(most, "most", 1)
    return raw


class Server(Protocol):
    address: Address


SomeServer = TypeVar("SomeServer", bound=Server)


class Servers(Generic[SomeServer]):
    """One server or several, which share the names among them.

    Attributes:
        urls: their addresses, as names are hashed with them.
    """

    def __init__(self, servers: Sequence[SomeServer]) -> None:
        self._servers = servers
        self.urls = [server.address.url for server in servers]

    def _server(self, name: bytes) -> SomeServer:
        """The one that has `name`."""
        if len(self._servers) == 1:
            return self._servers[0]
        return self._servers[choose(self.urls, name)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.urls)}>"


class Entered(Generic[Owner, Taken]):
    """Which lock belongs to which `with`, when one request is used by several threads or tasks at once."""

    def __init__(self) -> None:
        self._taken: list[tuple[Owner, Taken]] = []

    def push(self, owner: Owner, lock: Taken) -> None:
        self._taken.append((owner, lock))

    def pop(self, owner: Owner) -> Taken:
        """The owner's latest, or else anybody's: an exit stack may be unwound by another thread or task."""
        for index in range(len(self._taken) - 1, -1, -1):
            if self._taken[index][0] == owner:
                return self._taken.pop(index)[1]
        return self._taken.pop()[1]


def spoil(error: BaseException | None, loss: GlockError) -> None:
    """A lock's loss came out at the end of its `with`: raise it, unless an error is on its way already."""
    if error is None:
        raise loss
    if error is not loss:
        error.add_note(f"glock: {loss}")
