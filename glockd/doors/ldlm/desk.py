"""Where LDLM's calls are made: the core at work, and what decides; the same for all faces and sessions.

The four rules of every call are kept here: the policy is asked, the core is called with `now()`, `settle()` tells whom
it concerns, and then the face writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from glockd.core.history import ORPHANED
from glockd.doors.ldlm.calls import Calls
from glockd.doors.ldlm.keeper import Keeper, Wait
from glockd.doors.ldlm.outcomes import Outcome

if TYPE_CHECKING:
    from glockd.core.holds import Hold, Waiter
    from glockd.service import Service

# How many sizes are looked at before others get their turn: some 1 ms.
SIZES_A_TURN = 1000

T = TypeVar("T")


class Desk:
    """Where calls are made.

    Args:
        service: the core at work.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.calls = Calls(service.state, service.policy)

    @property
    def keeps(self) -> bool:
        """Whether locks outlive the connection or REST session that took them."""
        return self.service.policy.config.ldlm_keep_on_disconnect

    # Calls

    def try_lock(self, keeper: Keeper, name: bytes, size: int | None, lease: int) -> Outcome:
        """See `Calls.try_lock`."""
        return self._settled(self.calls.try_lock(keeper.session, name, size, lease, self.service.now()))

    def lock(
        self,
        keeper: Keeper,
        name: bytes,
        size: int | None,
        lease: int,
        wait: float,
        render: Callable[[Outcome], T],
    ) -> T | Wait[T]:
        """See `Calls.lock`.

        Args:
            render: makes the answer of the outcome.

        Returns:
            The answer, or the future of it.
        """
        found = self.calls.lock(keeper.session, name, size, lease, wait, self.service.now())
        if isinstance(found, Outcome):
            return render(self._settled(found))
        future = keeper.waits[found] = Wait(keeper, found, lease, render)
        self.service.settle()
        return future

    def unlock(self, name: bytes, key: str) -> Outcome:
        """See `Calls.unlock`."""
        outcome = self.calls.unlock(name, key, self.service.now())
        self.service.outbox += outcome.granted
        self._settled(outcome)
        if outcome.hold is not None:
            self._look(outcome.hold)
        return outcome

    def renew(self, name: bytes, key: str, lease: int) -> Outcome:
        """See `Calls.renew`."""
        return self._settled(self.calls.renew(name, key, lease, self.service.now()))

    # What keepers say

    def granted(self, hold: Hold, lease: int) -> Outcome:
        """The outcome of a Lock whose turn has come; who tells of grants settles."""
        return self.calls.granted(hold, lease)

    def ended(self, hold: Hold, why: str) -> None:
        """A hold has ended, or is about to, without a call for it."""
        self.calls.note_end(hold, why)

    def drop(self, hold: Hold, detail: str) -> None:
        """End a hold of which nobody will know, if it has not ended yet; to be settled."""
        if self.calls.is_in_force(hold):
            self.service.outbox += hold.table.drop(hold, self.service.now(), ORPHANED, detail)
            self._look(hold)

    def withdraw(self, waiter: Waiter, why: str, detail: str = "") -> None:
        """Take a waiter out of its line; to be settled."""
        self.service.outbox += waiter.table.withdraw(waiter, self.service.now(), why, detail)

    # By the clock

    def collect(self) -> None:
        """Forget the sizes of locks that nobody has used for a while; in several turns if they are very many."""
        idle = self.service.policy.config.ldlm_gc_idle_seconds
        if self.calls.sizes.collect(self.service.now(), idle, SIZES_A_TURN):
            self.service.loop.call_soon(self.collect)

    # Inside

    def _settled(self, outcome: Outcome) -> Outcome:
        self.service.settle()
        return outcome

    def _look(self, hold: Hold) -> None:
        keeper = self.service.state.registry.listeners.get(hold.session)
        if isinstance(keeper, Keeper):
            keeper.look()
