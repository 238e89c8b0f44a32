"""Word to the service manager."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notifier:
    """Word to the service manager, if there is one (sd_notify(3))."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        # sd_watchdog_enabled(3)
        usec = os.environ.pop("WATCHDOG_USEC", "")
        mine = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(usec) / 1_000_000 if usec.isdigit() and mine and self._address else 0.0

    @property
    def is_heard(self) -> bool:
        """Whether there is a service manager."""
        return bool(self._address)

    def reloading(self) -> None:
        """Announce a reload; READY=1 ends it."""
        # sd_notify(3), RELOADING=1: the time tells it from the READY=1 of an earlier one.
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def tell(self, *states: str) -> None:
        """Send assignments such as READY=1; that nobody listens is no error, and nothing to wait for."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(states).encode(), socket.MSG_DONTWAIT, address)
