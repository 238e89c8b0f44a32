"""How a client connects."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glock.wire.arguments import INFINITE, period
from glock.wire.language import Name, encode, secret_of

if TYPE_CHECKING:
    import ssl

MISSED = 2.5  # intervals without a sign of life after which nobody is believed to be there
LONGEST = 2e6  # seconds, 23 days: whoever asks for more means no limit


@dataclass(frozen=True, slots=True)
class Options:
    """How a client connects.

    `timeout` (seconds): for connecting, and for any answer beyond the wait asked for. `alive` (seconds): how
    often the daemon is to say that it is there; None: never.
    """

    secret: bytes | None = None
    name: bytes | None = None
    timeout: float = 30.0
    tls: ssl.SSLContext | None = None
    alive: int | None = None

    @classmethod
    def checked(
        cls,
        *,
        secret: Name | None = None,
        name: Name | None = None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
        alive: float | None = None,
    ) -> Options:
        """
        Raises:
            TypeError, ValueError: an argument makes no sense.
        """
        if tls is not None and not hasattr(tls, "wrap_socket"):
            raise TypeError(f"tls is an ssl.SSLContext or None, not {type(tls).__name__}")
        return cls(
            secret_of(os.environ.get("GLOCK_SECRET") if secret is None else secret),
            None if name is None else encode(name, "client's name"),
            min(period(timeout, "timeout", finite=True), LONGEST),
            tls,
            None if alive is None else math.ceil(min(period(alive, "alive", finite=True), LONGEST)),
        )

    @property
    def silence(self) -> float:
        """Seconds without any word after which the connection counts as lost."""
        return INFINITE if self.alive is None else MISSED * self.alive

    @property
    def silent(self) -> str:
        """The reason for that."""
        return f"no sign of life within {self.silence:g} s"
