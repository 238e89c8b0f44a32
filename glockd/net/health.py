"""gRPC's health service (grpc.health.v1): whether a service is there."""

from __future__ import annotations

from glockd.net.calls import Code, Metadata, Status
from glockd.net.protobuf import Field, Message

HEALTH = "/grpc.health.v1.Health/Check"
HEALTH_REQUEST = Message(Field("service", 1, "string"))
SERVING = Message(Field("status", 1, "int32")).encode({"status": 1})


def check_health(names: frozenset[str], caller: object, metadata: Metadata, message: bytes) -> bytes:
    """Answer a health check.

    Args:
        names: the services that are there; empty is the server as a whole.

    Raises:
        Status: the message is none, or there is no such service.
    """
    try:
        name = HEALTH_REQUEST.decode(message)["service"]
    except ValueError as error:
        raise Status(Code.INTERNAL, f"cannot unmarshal the request: {error}") from None
    if name not in names:
        raise Status(Code.NOT_FOUND, f"unknown service {name}")
    return SERVING
