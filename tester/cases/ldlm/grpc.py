"""Steps that call LDLM's gRPC methods, with an unmodified gRPC library: a connection for each client of a case."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from ..files import know
from ..outcome import Failed
from ..values import Json, absent, match
from .messages import decode, encode

EXPECT = ("status", "details", "response", "absent")
PATIENCE = 10.0  # seconds until a call that should be answered counts as hanging
DEADLINE = 60.0  # seconds; of a call that sets none
INSIDE = 0.001  # seconds that a contender stays inside, so that another who should not be there meets it
# Each client is a connection of its own, and a call is made once: both can be seen in what the server answers.
CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)


class Call:
    """A call on its way, or answered."""

    def __init__(self, method: str, future: Any) -> None:
        self.method, self.future = method, future
        self.began = time.monotonic()
        self.ended: float | None = None
        future.add_done_callback(self._end)

    def _end(self, _: object) -> None:
        self.ended = time.monotonic()

    def check(self, step: Mapping[str, Json], patience: float = PATIENCE) -> dict[str, Json]:
        """Wait for the answer, and hold it against what the step expects.

        Args:
            patience: seconds until the call counts as hanging.

        Returns:
            The response's fields; none unless the status is OK.

        Raises:
            Failed: it does not fit, or no answer came.
        """
        expect = step.get("expect", {})
        know(expect, EXPECT, "expect")
        status, details = self._outcome(patience)
        try:
            match(expect.get("status", "OK"), status, "status")
        except Failed as why:
            raise Failed(f"{why} ({details})") from None
        if "details" in expect:
            match(expect["details"], details, "details")
        if "after" in step:
            self._check_time(*step["after"])
        if status != "OK":
            return {}
        response = decode(self.method, self.future.result())
        check_response(response, expect)
        return response

    def _outcome(self, patience: float) -> tuple[str, str]:
        try:
            self.future.exception(patience)
        except grpc.FutureTimeoutError:
            raise Failed(f"{self.method} is not answered") from None
        except grpc.FutureCancelledError:
            pass
        return self.future.code().name, self.future.details() or ""

    def _check_time(self, least: float, most: float) -> None:
        # The library wakes whoever waits for a call just before it runs the callbacks.
        limit = time.monotonic() + 1
        while self.ended is None and time.monotonic() < limit:
            time.sleep(0.001)
        took = (self.ended or time.monotonic()) - self.began
        if not least <= took <= most:
            raise Failed(f"answered after {took:.3f} s, not {least} to {most}")


def check_response(response: Mapping[str, Json], expect: Mapping[str, Json]) -> None:
    """Hold a response's fields against what a step expects. Raises Failed."""
    if "response" in expect:
        match(expect["response"], response, "response")
    absent(expect.get("absent", []), response, "response")


@dataclass
class Grpc:
    """The gRPC side of one case.

    Attributes:
        folder: has the certificates, if `tls`.
    """

    address: tuple[str, int]
    tls: bool
    folder: Path
    channels: dict[str, grpc.Channel] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)

    def call(self, step: Mapping[str, Json]) -> Call:
        """Send a step's call, and do not wait for its answer. Raises Failed."""
        method = step["call"]
        path = method if method.startswith("/") else f"/ldlm.LDLM/{method}"
        stub: Any = self._channel(step["client"], step.get("tls", "")).unary_unary(path)
        future = stub.future(
            encode(method, step),
            timeout=step.get("timeout", DEADLINE),
            metadata=tuple((name, value) for name, value in step.get("metadata", [])),
            compression=grpc.Compression.Gzip if step.get("gzip") else None,
        )
        return Call(method, future)

    def hang_up(self, client: str) -> None:
        """Close a client's connection. Raises Failed if it has none."""
        if client not in self.channels:
            raise Failed(f"{client} has no connection")
        self.channels.pop(client).close()

    def started(self, name: str) -> Call:
        """The call that an earlier step gave this name. Raises Failed."""
        if name not in self.calls:
            raise Failed(f"no call is named {name}")
        return self.calls[name]

    def contend(self, plan: Mapping[str, Json]) -> None:
        """Clients that lock and unlock one name as fast as they can, in rounds.

        Raises:
            Failed: more than `size` were inside at once, or somebody did not get through.
        """
        know(plan, ("name", "clients", "rounds", "size"), "contend")
        inside: list[int] = []
        most = [0]

        def work(number: int) -> None:
            for _ in range(plan["rounds"]):
                key = self._ask(number, "Lock", {"name": plan["name"], "size": plan["size"]}, "locked")["key"]
                inside.append(number)  # one step for all threads, and so is len()
                most.append(len(inside))
                time.sleep(INSIDE)
                inside.remove(number)
                self._ask(number, "Unlock", {"name": plan["name"], "key": key}, "unlocked")

        clients = range(plan["clients"])
        for number in clients:  # connected first, so that they meet
            self._channel(f"contender {number}", "")
        with ThreadPoolExecutor(plan["clients"]) as pool:
            list(pool.map(work, clients))
        if max(most) > plan["size"]:
            raise Failed(f"{max(most)} were inside at once, and {plan['size']} may be")

    def _ask(self, number: int, method: str, request: Json, good: str) -> dict[str, Json]:
        call = self.call({"client": f"contender {number}", "call": method, "request": request})
        return call.check({"expect": {"response": {good: True}}}, 3 * PATIENCE)

    def _channel(self, client: str, tls: str) -> grpc.Channel:
        if client not in self.channels:
            target = "{}:{}".format(*self.address)
            if self.tls and tls != "plain":
                self.channels[client] = grpc.secure_channel(target, self._credentials(tls), CHANNEL_OPTIONS)
            else:
                self.channels[client] = grpc.insecure_channel(target, CHANNEL_OPTIONS)
        return self.channels[client]

    def _credentials(self, tls: str) -> grpc.ChannelCredentials:
        def read(name: str) -> bytes:
            return (self.folder / name).read_bytes()

        pair = (read(f"{tls}.key"), read(f"{tls}.pem")) if tls else (None, None)
        return grpc.ssl_channel_credentials(read("ca.pem"), *pair)

    def close(self) -> None:
        """Give up all calls, and hang up everywhere."""
        for call in self.calls.values():
            call.future.cancel()
        for channel in self.channels.values():
            channel.close()
