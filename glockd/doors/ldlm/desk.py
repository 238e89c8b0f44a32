"""Where LDLM's calls are made: the core at work, and what decides; the same for all faces and sessions.

The four rules of every call are kept here: the policy is asked, the core is called with `now()`, `settle()` tells whom
it concerns, and then the face writes; where holds are records, behind their commit.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from glockd.config import StartError
from glockd.core.sessions import Owner
from glockd.doors.ldlm.calls import DOOR, Calls, key_of
from glockd.doors.ldlm.keeper import Keeper, Wait
from glockd.doors.ldlm.outcomes import Outcome

if TYPE_CHECKING:
    from glockd.core.holds import Hold, Waiter
    from glockd.doors.ldlm.records import Records
    from glockd.service import Service

# How many sizes are looked at before others get their turn: some 1 ms.
SIZES_A_TURN = 1000

T = TypeVar("T")
Render: TypeAlias = Callable[[Outcome], T]  # makes an answer of an outcome


class Desk:
    """Where calls are made.

    Args:
        service: the core at work.
        records: where holds are kept; None if they end with the daemon.
    """

    def __init__(self, service: Service, records: Records | None = None) -> None:
        self.service = service
        self.records = records
        self.calls = Calls(service.state, service.policy)

    @property
    def keeps(self) -> bool:
        """Whether locks outlive the connection or REST session that took them."""
        return self.service.policy.config.ldlm_keep_on_disconnect

    # Calls. Each gives the answer, or the future of it. Where holds are records, NotRecorded is raised if these cannot
    # be written; nothing has changed then.

    def try_lock(
        self, keeper: Keeper, name: bytes, size: int | None, lease: int, render: Render[T]
    ) -> T | Future[T]:
        """See `Calls.try_lock`."""
        self._demand()
        outcome = self.calls.try_lock(keeper.session, name, size, lease, self.service.now())
        return self._taken(keeper, outcome, render)

    def lock(
        self, keeper: Keeper, name: bytes, size: int | None, lease: int, wait: float, render: Render[T]
    ) -> T | Future[T]:
        """See `Calls.lock`."""
        self._demand()
        found = self.calls.lock(keeper.session, name, size, lease, wait, self.service.now())
        if isinstance(found, Outcome):
            return self._taken(keeper, found, render)
        future = keeper.waits[found] = Wait(keeper, render, found, lease)
        self.service.settle()
        return future

    def unlock(self, name: bytes, key: str, render: Render[T]) -> T | Future[T]:
        """See `Calls.unlock`."""
        self._demand()
        outcome = self.calls.unlock(name, key, self.service.now())
        self.service.outbox += outcome.granted
        self.service.settle()
        if outcome.hold is None:
            return render(outcome)
        self._look(outcome.hold)
        if self.records is None:
            return render(outcome)
        self.records.erase(key)
        return self.recorded(lambda: render(outcome))

    def renew(self, name: bytes, key: str, lease: int) -> Outcome:
        """See `Calls.renew`; leases are no records."""
        outcome = self.calls.renew(name, key, lease, self.service.now())
        self.service.settle()
        return outcome

    def recorded(self, render: Callable[[], T]) -> T | Future[T]:
        """An answer, behind the commit of what it tells."""
        if self.records is None:
            return render()
        future: Future[T] = self.service.loop.create_future()
        self.records.then(lambda: None if future.done() else future.set_result(render()))
        return future

    # What keepers say

    def granted(self, hold: Hold, lease: int) -> Outcome:
        """The outcome of a Lock whose turn has come; who tells of grants settles."""
        if self.records is not None:
            self.records.keep(hold, self.calls.size_of(hold))
        return self.calls.granted(hold, lease)

    def ended(self, hold: Hold, why: str) -> None:
        """A hold has ended, or is about to, without a call for it."""
        self.calls.note_end(hold, why)
        self.calls.keep_size(hold, self.service.now())
        if self.records is not None:
            self.records.erase(key_of(hold))

    def drop(self, hold: Hold, why: str, detail: str) -> None:
        """End a hold, if it has not ended yet; to be settled."""
        if self.calls.is_in_force(hold):
            self.calls.keep_size(hold, self.service.now())
            self.service.outbox += hold.table.drop(hold, self.service.now(), why, detail)
            if self.records is not None:
                self.records.erase(key_of(hold))
            self._look(hold)

    def withdraw(self, waiter: Waiter, why: str, detail: str = "") -> None:
        """Take a waiter out of its line; to be settled."""
        self.service.outbox += waiter.table.withdraw(waiter, self.service.now(), why, detail)

    # By itself

    def collect(self) -> None:
        """Forget the sizes of locks that nobody has used for a while; in several turns if they are very many."""
        idle = self.service.policy.config.ldlm_gc_idle_seconds
        if self.calls.sizes.collect(self.service.now(), idle, SIZES_A_TURN):
            self.service.loop.call_soon(self.collect)

    def restore(self) -> None:
        """Put back what was held when the last daemon ended, with the default lease, each for an owner of its own.

        Raises:
            StartError: it cannot be read, or does not fit.
        """
        if self.records is None:
            return
        self.records.open()
        lease = self.service.policy.config.ldlm_default_lease_seconds
        if not lease:
            self.records.erase_all()
            return
        now = self.service.now()
        for number, kept in enumerate(self.records.read(), 1):
            owner = Owner(b"restored:%d" % number, DOOR, now)
            try:
                self.calls.restore(owner, kept.name, kept.key, kept.size, kept.token, now, now + lease)
            except ValueError as error:
                raise StartError(f"-records: a lock of LDLM's cannot be restored: {error}") from error
            Keeper(self, owner).outlive("restart")
        self.service.settle()

    def freeze(self) -> None:
        """Leave the records as they are: what is held now is held again when the daemon has started anew."""
        self.records = None

    # Inside

    def _demand(self) -> None:
        if self.records is not None:
            self.records.demand()

    def _taken(self, keeper: Keeper, outcome: Outcome, render: Render[T]) -> T | Future[T]:
        self.service.settle()
        if self.records is None or outcome.hold is None:
            return render(outcome)
        self.records.keep(outcome.hold, self.calls.size_of(outcome.hold))
        answer: Wait[T] = Wait(keeper, render)
        answer.resolve_later(outcome)
        return answer

    def _look(self, hold: Hold) -> None:
        keeper = self.service.state.registry.listeners.get(hold.session)
        if isinstance(keeper, Keeper):
            keeper.look()
