"""What the blocking and the asyncio client have in common beyond the wire."""

from __future__ import annotations

from typing import Generic, TypeVar

from glock.errors import GlockError
from glock.wire.language import decode
from glock.wire.recipes import Want

Owner = TypeVar("Owner")
Taken = TypeVar("Taken")


class Scope:
    """A lock that somebody may want: the part of a request that is known before it is made."""

    def __init__(self, want: Want) -> None:
        self.want = want
        _ = want.verb  # a name that the daemon would cut is refused here

    @property
    def name(self) -> str:
        return decode(self.want.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.want.mode} {self.name!r}>"


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
