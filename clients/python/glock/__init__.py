"""Client for glockd, the lock server: named locks that live as long as the connection that holds them.

    from glock import Client

    with Client() as client, client.lock("nightly-report", wait=5) as lock:
        print("mine, with token", lock.token)

`AsyncClient` is the same for asyncio. `glock run NAME -- COMMAND` is the same for a shell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glock.aio import AsyncClient
    from glock.aio_locks import AsyncLock, AsyncLockRequest
    from glock.client import Client
    from glock.errors import (
        BadArgument,
        ConnectionLost,
        Deadlock,
        Disabled,
        GlockError,
        LimitReached,
        LockBusy,
        LockLost,
        NotAuthorised,
        ProtocolError,
        Unreachable,
        Unsupported,
        WaitTimeout,
    )
    from glock.locks import Lock, LockRequest
    from glock.wire.questions import Holder, Peer

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AsyncLock",
    "AsyncLockRequest",
    "BadArgument",
    "Client",
    "ConnectionLost",
    "Deadlock",
    "Disabled",
    "GlockError",
    "Holder",
    "LimitReached",
    "Lock",
    "LockBusy",
    "LockLost",
    "LockRequest",
    "NotAuthorised",
    "Peer",
    "ProtocolError",
    "Unreachable",
    "Unsupported",
    "WaitTimeout",
]

_HOMES = {
    "AsyncClient": "glock.aio",
    "AsyncLock": "glock.aio_locks",
    "AsyncLockRequest": "glock.aio_locks",
    "Client": "glock.client",
    "Holder": "glock.wire.questions",
    "Lock": "glock.locks",
    "LockRequest": "glock.locks",
    "Peer": "glock.wire.questions",
}


def __getattr__(name: str) -> Any:
    # PEP 562: `glock run` and blocking programs do not pay for importing asyncio, nor `glock --help` for any.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "glock.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
