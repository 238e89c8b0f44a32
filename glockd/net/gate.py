"""How many connections may come in, and from where."""

from __future__ import annotations

from collections import Counter

from glockd.policy import Policy


class Gate:
    """Counts connections, all and by where they come from.

    Args:
        policy: says how many there may be, and counts who was not let in.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._inside: Counter[str] = Counter()
        self.connections = 0

    @property
    def is_full(self) -> bool:
        """Whether nobody else may come in, from wherever."""
        return self.connections >= self._policy.config.max_connections

    def enter(self, host: str) -> bool:
        """Count a connection from `host`; False if it may not come in.

        Then it has been counted as refused, and as nothing else.

        Args:
            host: its neighbourhood; empty for a Unix socket, and while it is not known.
        """
        config, refused = self._policy.config, self._policy.refused
        if self.is_full:
            refused["connections"] += 1
            return False
        if host and self._inside[host] >= config.max_address_connections:
            refused["address_connections"] += 1
            return False
        self.connections += 1
        if host:
            self._inside[host] += 1
        return True

    def leave(self, host: str) -> None:
        """Count a connection from `host` no more."""
        self.connections -= 1
        if host:
            self._inside[host] -= 1
            if not self._inside[host]:
                del self._inside[host]
