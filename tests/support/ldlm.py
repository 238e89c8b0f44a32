"""LDLM's calls without a process: sessions, keys that can be foretold, and a clock that a test moves."""

from __future__ import annotations

from itertools import count
from typing import Any

from glockd.bounds import in_force
from glockd.config import UNLIMITED, Config
from glockd.core.events import Granted
from glockd.core.holds import Waiter
from glockd.core.sessions import Concurrent
from glockd.core.state import State
from glockd.doors.ldlm.calls import DOOR, Calls
from glockd.doors.ldlm.outcomes import Outcome
from glockd.policy import Policy


class Counter:
    """Where calls are made, one after another."""

    def __init__(self, **options: Any) -> None:
        self.state = State()
        self.policy = Policy(in_force(Config(**options), UNLIMITED))
        self.now = 1000.0
        self._numbers = count(1)
        self.calls = Calls(self.state, self.policy, lambda: f"key-{next(self._numbers)}")
        self.leases: dict[Waiter, int] = {}
        self.turns: list[Outcome] = []  # outcomes of waits, in the order in which they came

    def session(self, name: bytes = b"") -> Concurrent:
        """A new session."""
        one = Concurrent(name or b"127.0.0.1:%d" % next(self._numbers), DOOR)
        self.state.registry.add(one)
        return one

    def try_lock(
        self, session: Concurrent, name: bytes = b"job", size: int | None = None, lease: int = 0
    ) -> Outcome:
        return self.calls.try_lock(session, name, size, lease, self.now)

    def lock(
        self,
        session: Concurrent,
        name: bytes = b"job",
        size: int | None = None,
        lease: int = 0,
        wait: float = 0,
    ) -> Outcome | Waiter:
        found = self.calls.lock(session, name, size, lease, wait, self.now)
        if isinstance(found, Waiter):
            self.leases[found] = lease
        return found

    def waits(self, session: Concurrent, name: bytes = b"job", **how: Any) -> Waiter:
        """A Lock that is not answered at once."""
        found = self.lock(session, name, **how)
        assert isinstance(found, Waiter), found
        return found

    def takes(self, session: Concurrent, name: bytes = b"job", **how: Any) -> str:
        """The key of a TryLock that succeeds."""
        found = self.try_lock(session, name, **how)
        assert found.done, found
        return found.key

    def unlock(self, key: str, name: bytes = b"job") -> Outcome:
        found = self.calls.unlock(name, key, self.now)
        self.tell(found.granted)
        return found

    def renew(self, key: str, lease: int, name: bytes = b"job") -> Outcome:
        return self.calls.renew(name, key, lease, self.now)

    def passes(self, seconds: float) -> None:
        """Let time pass, and what ends by it."""
        self.now += seconds
        self.tell(self.state.expire(self.now, 1000))

    def tell(self, events: Any) -> None:
        """Note whose turn has come."""
        for event in events:
            if isinstance(event, Granted):
                self.turns.append(self.calls.granted(event.hold, self.leases.get(event.waiter, 0)))
