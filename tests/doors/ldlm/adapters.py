"""How LDLM's clients come in, by gRPC and by REST."""

from __future__ import annotations

import base64
import http.client
import json
import re
from dataclasses import dataclass
from typing import Any

from glockd.net.protobuf import Field, Message
from tests.doors.contract import ODD_NAMES, Refused
from tests.support.clients import PATIENCE, wait_until
from tests.support.grpc_client import Called, GrpcClient
from tests.support.process import Glockd

UNAUTHENTICATED = 16

LOCK = Message(
    Field("name", 1, "string"),
    Field("wait_timeout_seconds", 3, "int32", presence=True),
    Field("size", 4, "int32", presence=True),
    Field("lock_timeout_seconds", 100, "int32", presence=True),
)
HELD = Message(
    Field("name", 1, "string"), Field("key", 2, "string"), Field("lock_timeout_seconds", 100, "int32")
)
ERROR = Message(Field("code", 1, "int32"), Field("message", 2, "string"))
LOCKED = Message(
    Field("locked", 1, "bool"),
    Field("name", 2, "string"),
    Field("key", 3, "string"),
    Field("error", 4, ERROR, presence=True),
)
UNLOCKED = Message(
    Field("unlocked", 1, "bool"), Field("name", 2, "string"), Field("error", 3, ERROR, presence=True)
)
KINDS = {
    "Lock": (LOCK, LOCKED),
    "TryLock": (LOCK, LOCKED),
    "Unlock": (HELD, UNLOCKED),
    "Renew": (HELD, LOCKED),
}


def address(daemon: Glockd, kind: str) -> tuple[str, int]:
    """Where a daemon listens that has chosen the port itself."""
    pattern = re.compile(rf"[ ,\"']{kind}[\"']?[=:]\W*([\d.]+):(\d+)")
    wait_until(lambda: pattern.search(daemon.stderr), about=lambda: daemon.stderr)
    found = pattern.search(daemon.stderr)
    assert found is not None
    return found[1], int(found[2])


class GrpcParty:
    """One connection.

    Args:
        daemon: to call.
        secret: the password, if there is one.
    """

    def __init__(self, daemon: Glockd, secret: str | None = None) -> None:
        self.client = GrpcClient(address(daemon, "ldlm"))
        daemon.sockets.append(self.client.socket)
        self.metadata = [("authorization", secret)] if secret is not None else []
        self.keys: dict[str, str] = {}
        self.waiting: list[tuple[str, int]] = []

    def begins(self, call: str, **fields: Any) -> int:
        """Send a call; the number of its stream."""
        return self.client.begins(f"/ldlm.LDLM/{call}", KINDS[call][0].encode(fields), *self.metadata)

    def hears_of(self, call: str, stream: int) -> tuple[dict[str, Any], Called]:
        """The answer to a call, and all about it."""
        called = self.client.hears(stream)
        if called.status == UNAUTHENTICATED:
            raise Refused(called.details)
        assert called.status == 0, called
        return KINDS[call][1].decode(called.message), called

    def asks(self, call: str, **fields: Any) -> dict[str, Any]:
        """Make a call; its answer."""
        return self.hears_of(call, self.begins(call, **fields))[0]

    def takes(self, name: bytes, lease: float | None = None, size: int | None = None) -> bool:
        answer = self.asks(
            "TryLock",
            name=name.decode(),
            size=size,
            lock_timeout_seconds=None if lease is None else int(lease),
        )
        if answer["locked"]:
            self.keys[name.decode()] = answer["key"]
        return bool(answer["locked"])

    def waits(self, name: bytes, seconds: float | None = None) -> None:
        wait = None if seconds is None else int(seconds)
        self.waiting.append(
            (name.decode(), self.begins("Lock", name=name.decode(), wait_timeout_seconds=wait))
        )

    def hears(self) -> bool:
        name, stream = self.waiting.pop(0)
        answer, _ = self.hears_of("Lock", stream)
        if answer["locked"]:
            self.keys[name] = answer["key"]
        return bool(answer["locked"])

    def gives(self, name: bytes) -> bool:
        key = self.keys.get(name.decode(), "")
        return bool(self.asks("Unlock", name=name.decode(), key=key)["unlocked"])

    def vanishes(self) -> None:
        self.client.resets()


class RestParty:
    """One session.

    Args:
        daemon: to call.
        secret: the password, if there is one.
    """

    def __init__(self, daemon: Glockd, secret: str | None = None) -> None:
        self.daemon = daemon
        self.headers: dict[str, str] = {}
        if secret is not None:
            self.headers["Authorization"] = "Basic " + base64.b64encode(f":{secret}".encode()).decode()
        self.connection = self.connects()
        self.keys: dict[str, str] = {}
        self.waiting: list[tuple[str, http.client.HTTPConnection]] = []
        status, _, answer = self.sends("POST", "/session")
        if status == 401:
            raise Refused("session")
        assert status == 201, answer
        self.headers["Cookie"] = f"ldlm-session={json.loads(answer)['session_id']}"

    def connects(self) -> http.client.HTTPConnection:
        """A new connection."""
        connection = http.client.HTTPConnection(*address(self.daemon, "ldlm-rest"), timeout=PATIENCE)
        connection.connect()
        self.daemon.sockets.append(connection.sock)
        return connection

    def sends(self, method: str, path: str, body: bytes = b"") -> tuple[int, http.client.HTTPMessage, bytes]:
        """Make a request; status, headers and body of the answer."""
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def asks(self, call: str, **fields: Any) -> dict[str, Any]:
        """Make a call; its answer."""
        status, _, body = self.sends("POST", f"/v1/{call}", json.dumps(fields).encode())
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        return answer

    def takes(self, name: bytes, lease: float | None = None, size: int | None = None) -> bool:
        fields = {"size": size, "lock_timeout_seconds": lease if lease is None else int(lease)}
        answer = self.asks("lock", name=name.decode(), **fields)
        if answer["locked"]:
            self.keys[name.decode()] = answer["key"]
        return bool(answer["locked"])

    def waits(self, name: bytes, seconds: float | None = None) -> None:
        connection = self.connects()
        path = f"/v1/lock?wait={'inf' if seconds is None else seconds}"
        connection.request("POST", path, json.dumps({"name": name.decode()}), self.headers)
        self.waiting.append((name.decode(), connection))

    def hears(self) -> bool:
        name, connection = self.waiting.pop(0)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if answer["locked"]:
            self.keys[name] = answer["key"]
        return bool(answer["locked"])

    def gives(self, name: bytes) -> bool:
        key = self.keys.get(name.decode(), "")
        return bool(self.asks("unlock", name=name.decode(), key=key)["unlocked"])

    def vanishes(self) -> None:
        """As a killed client that has somebody to tidy up: else its session lives on for its idle time."""
        for _, connection in self.waiting:
            connection.close()
        try:
            self.sends("DELETE", "/session")
        finally:
            self.connection.close()


@dataclass(frozen=True)
class LdlmAdapter:
    """LDLM's language, by one of its faces."""

    name: str
    party: type[GrpcParty | RestParty]
    flags: tuple[str, ...] = ("-ldlm=127.0.0.1:0", "-ldlm-rest=127.0.0.1:0")
    odd_names: tuple[bytes, ...] = ODD_NAMES
    secrets: str = "-ldlm-password-file"

    def opens(self, daemon: Glockd, secret: str | None = None) -> GrpcParty | RestParty:
        return self.party(daemon, secret)


ADAPTERS = (LdlmAdapter("ldlm-grpc", GrpcParty), LdlmAdapter("ldlm-rest", RestParty))
