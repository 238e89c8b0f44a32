"""The messages of LDLM's gRPC service, package `ldlm`.

Names are bytes here: what is echoed need not be decoded. `name_of` sees that they are UTF-8, as strings must be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glockd.doors.ldlm.outcomes import Outcome
from glockd.net.calls import Code, Status
from glockd.net.protobuf import Field, Message

_SIZE = Field("size", 4, "int32", presence=True)
_LEASE = Field("lock_timeout_seconds", 100, "int32", presence=True)

LOCK_REQUEST = Message(
    Field("name", 1, "bytes"), Field("wait_timeout_seconds", 3, "int32", presence=True), _SIZE, _LEASE
)
TRY_LOCK_REQUEST = Message(Field("name", 1, "bytes"), _SIZE, _LEASE)
UNLOCK_REQUEST = Message(Field("name", 1, "bytes"), Field("key", 2, "string"))
RENEW_REQUEST = Message(
    Field("name", 1, "bytes"), Field("key", 2, "string"), Field("lock_timeout_seconds", 100, "int32")
)

_ERROR = Message(Field("code", 1, "int32"), Field("message", 2, "string"))
_LOCK_RESPONSE = Message(
    Field("locked", 1, "bool"),
    Field("name", 2, "bytes"),
    Field("key", 3, "string"),
    Field("error", 4, _ERROR, presence=True),
)
_UNLOCK_RESPONSE = Message(
    Field("unlocked", 1, "bool"), Field("name", 2, "bytes"), Field("error", 3, _ERROR, presence=True)
)


def read(kind: Message, message: bytes) -> dict[str, Any]:
    """The fields of a request.

    Raises:
        Status: INTERNAL, as LDLM's server says it: it is no such message.
    """
    try:
        fields = kind.decode(message)
        name = fields["name"]
        if not name.isascii():
            str(name, "utf-8")
    except ValueError as error:
        raise Status(Code.INTERNAL, f"grpc: error unmarshalling request: {error}") from None
    return fields


def locked(outcome: Outcome, name: bytes) -> bytes:
    """The answer to Lock, TryLock and Renew."""
    return _LOCK_RESPONSE.encode(
        {"locked": outcome.done, "name": name, "key": outcome.key, "error": _error(outcome)}
    )


def unlocked(outcome: Outcome, name: bytes) -> bytes:
    """The answer to Unlock."""
    return _UNLOCK_RESPONSE.encode({"unlocked": outcome.done, "name": name, "error": _error(outcome)})


def _error(outcome: Outcome) -> Mapping[str, Any] | None:
    return None if outcome.problem is None else outcome.problem._asdict()
