"""LDLM's gRPC face: a connection is a session, and a call on it may wait while others go on."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from glockd.core.sessions import Concurrent, Owner
from glockd.doors.ldlm import messages
from glockd.doors.ldlm.calls import DOOR
from glockd.doors.ldlm.keeper import Keeper
from glockd.doors.ldlm.outcomes import NotRecorded, Outcome
from glockd.net.calls import Answer, Code, Handler, Metadata, Reply, Status
from glockd.net.grpc import GrpcConnection, GrpcServer, Manners
from glockd.net.health import HEALTH, check_health

if TYPE_CHECKING:
    from asyncio import Future

    from glockd.config import Config
    from glockd.core.stats import Traffic
    from glockd.doors.ldlm.desk import Desk
    from glockd.policy import Policy

# How far apart a client's pings must be, in seconds.
PING_SECONDS = 10

SERVICE = "ldlm.LDLM"

Call: TypeAlias = "Callable[[Policy, GrpcSession, Metadata, bytes], Answer | Future[Answer]]"


class GrpcSession(Keeper):
    """The session of one connection: both its listener and what the engine calls the caller.

    Args:
        desk: where its calls are made.
        connection: that carries it.
    """

    __slots__ = ("_connection",)

    def __init__(self, desk: Desk, connection: GrpcConnection) -> None:
        self._connection: GrpcConnection | None = connection
        address, now = connection.address, desk.service.now()
        # What may outlive its connection is not counted as one.
        super().__init__(
            desk, Owner(address, DOOR, now) if desk.keeps else Concurrent(address, DOOR, "tcp", now)
        )

    def depart(self, how: str) -> None:
        """End the connection, which then says `leave`."""
        assert self._connection is not None
        self._connection.end(how)

    def leave(self, how: str) -> None:
        """The connection has ended; see `Keeper.leave`."""
        self._connection = None
        super().leave(how)


def server(desk: Desk, traffic: Traffic) -> GrpcServer:
    """Who answers gRPC's connections.

    Args:
        desk: where calls are made.
        traffic: counts bytes and connections.
    """
    policy = desk.service.policy
    calls: dict[str, Handler] = {
        f"/{SERVICE}/{name}": partial(_answer, call, policy) for name, call in CALLS.items()
    }
    calls[HEALTH] = _check_health
    session = partial(GrpcSession, desk)
    return GrpcServer(desk.service, traffic, calls, session, manners(policy.config), health=False)


def manners(config: Config) -> Manners:
    """What is asked of silent clients."""
    return Manners(config.ldlm_keepalive_seconds, config.ldlm_keepalive_timeout_seconds, PING_SECONDS)


def _check(policy: Policy, metadata: Metadata) -> None:
    """See that a password is known, where that is asked for.

    Raises:
        Status: UNAUTHENTICATED.
    """
    passwords = policy.secrets_of["ldlm_password_file"]
    if not passwords:
        return
    given = metadata.get("authorization")
    if given is None:
        problem = "missing credentials"
    # Every password is compared, in constant time each: the answer's time tells nothing.
    elif sum([hmac.compare_digest(given, one) for one in passwords]):
        return
    else:
        problem = "invalid credentials"
    policy.refused["auth"] += 1
    raise Status(Code.UNAUTHENTICATED, problem)


def _answer(
    call: Call, policy: Policy, session: GrpcSession, metadata: Metadata, message: bytes
) -> Answer | Future[Answer]:
    try:
        return call(policy, session, metadata, message)
    except NotRecorded as error:
        return Status(Code.UNAVAILABLE, str(error))


def _check_health(session: GrpcSession, metadata: Metadata, message: bytes) -> Answer:
    """Answer a health check that names this service.

    Of the server as a whole nothing is told: LDLM's has no such service, and its clients are told so.
    """
    if not message:
        return Status(Code.UNIMPLEMENTED, "unknown service grpc.health.v1.Health")
    return check_health(frozenset((SERVICE,)), session, metadata, message)


def _lock(
    policy: Policy, session: GrpcSession, metadata: Metadata, message: bytes
) -> Answer | Future[Answer]:
    fields = messages.read(messages.LOCK_REQUEST, message)
    _check(policy, metadata)
    name, wait = fields["name"], fields["wait_timeout_seconds"] or 0
    return session.desk.lock(
        session, name, fields["size"], fields["lock_timeout_seconds"] or 0, wait, partial(_locked, name)
    )


def _try_lock(
    policy: Policy, session: GrpcSession, metadata: Metadata, message: bytes
) -> Answer | Future[Answer]:
    fields = messages.read(messages.TRY_LOCK_REQUEST, message)
    _check(policy, metadata)
    name, lease = fields["name"], fields["lock_timeout_seconds"] or 0
    return session.desk.try_lock(session, name, fields["size"], lease, partial(_locked, name))


def _unlock(
    policy: Policy, session: GrpcSession, metadata: Metadata, message: bytes
) -> Answer | Future[Answer]:
    fields = messages.read(messages.UNLOCK_REQUEST, message)
    _check(policy, metadata)
    name = fields["name"]
    return session.desk.unlock(name, fields["key"], partial(_unlocked, name))


def _renew(policy: Policy, session: GrpcSession, metadata: Metadata, message: bytes) -> Answer:
    fields = messages.read(messages.RENEW_REQUEST, message)
    _check(policy, metadata)
    name = fields["name"]
    return _locked(name, session.desk.renew(name, fields["key"], fields["lock_timeout_seconds"]))


def _locked(name: bytes, outcome: Outcome) -> Answer:
    answer = messages.locked(outcome, name)
    if outcome.done and outcome.hold is not None:
        return Reply(answer, ((b"glockd-token", b"%d" % outcome.hold.token),))
    return _explained(outcome, answer)


def _unlocked(name: bytes, outcome: Outcome) -> Answer:
    return _explained(outcome, messages.unlocked(outcome, name))


def _explained(outcome: Outcome, answer: bytes) -> Answer:
    return Reply(answer, ((b"glockd-why", outcome.why.encode()),)) if outcome.why else answer


CALLS: Mapping[str, Call] = {
    "Lock": _lock,
    "TryLock": _try_lock,
    "Unlock": _unlock,
    "Renew": _renew,
}
