"""Client for glockd, the lock server: named locks that live as long as the connection that holds them.

    from glock import Client

    with Client() as client, client.lock("nightly-report", wait=5) as lock:
        print("mine, with token", lock.token)

`AsyncClient` is the same for asyncio. `glock run NAME -- COMMAND` is the same for a shell.
"""

from glock.aio import AsyncClient, AsyncLock, AsyncLockRequest
from glock.client import Client, Lock, LockRequest
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
from glock.wire.recipes import Holder, Peer

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
