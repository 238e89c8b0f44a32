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
    from glock.aio_items import AsyncItem, AsyncItemRequest
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
        NotRecorded,
        ProtocolError,
        Unreachable,
        Unsupported,
        WaitTimeout,
    )
    from glock.items import Item, ItemRequest
    from glock.locks import Lock, LockRequest
    from glock.wire.questions import Holder, Peer
    from glock.wire.windows import Booking

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AsyncItem",
    "AsyncItemRequest",
    "AsyncLock",
    "AsyncLockRequest",
    "BadArgument",
    "Booking",
    "Client",
    "ConnectionLost",
    "Deadlock",
    "Disabled",
    "GlockError",
    "Holder",
    "Item",
    "ItemRequest",
    "LimitReached",
    "Lock",
    "LockBusy",
    "LockLost",
    "LockRequest",
    "NotAuthorised",
    "NotRecorded",
    "Peer",
    "ProtocolError",
    "Unreachable",
    "Unsupported",
    "WaitTimeout",
]

_HOMES = {
    "AsyncClient": "glock.aio",
    "AsyncItem": "glock.aio_items",
    "AsyncItemRequest": "glock.aio_items",
    "AsyncLock": "glock.aio_locks",
    "AsyncLockRequest": "glock.aio_locks",
    "Booking": "glock.wire.windows",
    "Client": "glock.client",
    "Holder": "glock.wire.questions",
    "Item": "glock.items",
    "ItemRequest": "glock.items",
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
