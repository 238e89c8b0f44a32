"""One case, step by step: who plays which step, and what steps leave for later ones.

What a step is, the first of these members that it has decides:

| member | the step |
|---|---|
| `method`, `raw_request` | a REST request |
| `rest` | the REST step in it |
| `raw` | HTTP/2 by hand, on the connection of that name |
| `server` | `kill`, `stop` or `start` the daemon |
| `call` | a gRPC call of `client`; with `start`, its answer is for later |
| `answered` | the answer of a call that was started |
| `pending` | these calls are not answered yet |
| `cancel` | gives up a call that was started |
| `close` | closes a client's connection |
| `contend` | clients that fight for a lock |

Any step may have `wait`, seconds to sleep before it, and may have nothing else; any but a REST step may have `times`.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import CannotTest
from ..files import Case, know
from ..language import Stage
from ..outcome import Failed, Skipped
from ..values import Json, fill, match
from . import rest
from .mended import mended

if TYPE_CHECKING:
    from .grpc import Grpc
    from .http2 import Http2

GRPC, REST = "-ldlm", "-ldlm-rest"  # the daemon's options for where it speaks them
ANY = ("wait", "times")
CALL = ("call", "client", "request", "hex", "metadata", "timeout", "gzip", "tls")
RAW = ("raw", "open", "call", "request", "hex", "ping", "pongs", "goaway", "closed", "open_still", "drop")
PATIENCE = 10.0  # seconds for an answer on a connection by hand
PONG_PATIENCE = 2.0  # seconds for the answer to a ping
PING_GAP = 0.02  # seconds between pings, so that each is a frame that the server sees alone


@dataclass
class Conversation:
    """The players of one case, and its variables."""

    stage: Stage
    variables: dict[str, str] = field(default_factory=dict)
    raw: dict[str, Http2] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tls = "tls_cert" in self.stage.profile
        self.variables["run"] = secrets.token_hex(4)
        if REST in self.stage.addresses:
            self.variables["host"] = "{}:{}".format(*self.stage.addresses[REST])
        self._rest: rest.Rest | None = None
        self._grpc: Grpc | None = None

    @property
    def rest(self) -> rest.Rest:
        """The REST side. Raises Skipped if the server has none."""
        if self._rest is None:
            self._rest = rest.Rest(self.stage.address(REST), self.tls, self.stage.folder, self.variables)
        return self._rest

    @property
    def grpc(self) -> Grpc:
        """The gRPC side; loaded when it is first needed. Raises Skipped if there is none, here or there."""
        if self._grpc is None:
            address = self.stage.address(GRPC)
            try:
                from .grpc import Grpc
            except ImportError as problem:
                raise Skipped(f"needs {problem.name}: pip install 'glockd[cases]'") from problem
            self._grpc = Grpc(address, self.tls, self.stage.folder)
        return self._grpc

    def play(self, step: Mapping[str, Json]) -> None:
        """Play a step, as often as it says. Raises Failed or Skipped."""
        for number in range(step.get("times", 1)):
            filled = fill(dict(step), self.variables | {"i": str(number)})
            time.sleep(filled.get("wait", 0))
            self._play_once(filled)

    def _play_once(self, step: Mapping[str, Json]) -> None:
        for member, player in PLAYERS.items():
            if member in step:
                player(self, step)
                return
        know(step, ANY)

    def play_rest(self, step: Mapping[str, Json]) -> None:
        """A request as REST clients make it."""
        self.rest.play(step)

    def play_inner_rest(self, step: Mapping[str, Json]) -> None:
        """The same within another step."""
        know(step, ("rest", *ANY))
        time.sleep(step["rest"].get("wait", 0))
        self.rest.play(step["rest"])

    def play_server(self, step: Mapping[str, Json]) -> None:
        """Kill, stop or start the daemon; no connection of ours outlives it."""
        know(step, ("server", *ANY))
        daemon = self.stage.daemon
        if daemon is None:
            raise Skipped("ends the server, which is not ours")
        match({"$in": ["start", "stop", "kill"]}, step["server"], "server")
        if step["server"] == "start":
            daemon.start()
            return
        self._hang_up_rest()
        if step["server"] == "kill":
            daemon.kill()
        elif (code := daemon.stop()) == -signal.SIGKILL:
            raise Failed("server still runs 10 s after SIGTERM")
        elif code:
            raise Failed(f"server ended with {code} after SIGTERM")

    def play_call(self, step: Mapping[str, Json]) -> None:
        """A gRPC call."""
        know(step, (*CALL, "start", "after", "expect", "save", *ANY))
        call = self.grpc.call(step)
        if "start" in step:
            self.grpc.calls[step["start"]] = call
        else:
            self._save(step, call.check(step))

    def play_answered(self, step: Mapping[str, Json]) -> None:
        """The answer of a call that was started."""
        know(step, ("answered", "after", "expect", "save", *ANY))
        self._save(step, self.grpc.started(step["answered"]).check(step))

    def play_pending(self, step: Mapping[str, Json]) -> None:
        """Calls that must not be answered yet."""
        know(step, ("pending", *ANY))
        for name in step["pending"]:
            if self.grpc.started(name).future.done():
                raise Failed(f"{name} was answered")

    def play_cancel(self, step: Mapping[str, Json]) -> None:
        """A call that its client gives up."""
        know(step, ("cancel", *ANY))
        self.grpc.started(step["cancel"]).future.cancel()

    def play_close(self, step: Mapping[str, Json]) -> None:
        """A client that hangs up."""
        know(step, ("close", *ANY))
        self.grpc.hang_up(step["close"])

    def play_contend(self, step: Mapping[str, Json]) -> None:
        """Clients that fight for a lock."""
        know(step, ("contend", *ANY))
        self.grpc.contend(step["contend"])

    def play_raw(self, step: Mapping[str, Json]) -> None:
        """HTTP/2 by hand; what the step holds is done in the order of `RAW`."""
        know(step, (*RAW, "after", "expect", "save", *ANY))
        if "open" in step:
            self._open(step)
        if step["raw"] not in self.raw:
            raise Failed(f"no connection is named {step['raw']}")
        client = self.raw[step["raw"]]
        if "call" in step:
            self._call_raw(client, step)
        for _ in range(step.get("ping", 0)):
            client.ping()
            time.sleep(PING_GAP)
        for _ in range(step.get("pongs", 0)):
            client.expect("pong", PONG_PATIENCE)
        self._end_of_raw(client, step)
        if "drop" in step:
            client.close(reset=step["drop"] == "reset")

    def _open(self, step: Mapping[str, Json]) -> None:
        if self.tls:
            raise Skipped("HTTP/2 by hand speaks no TLS")
        try:
            from .http2 import Http2
        except ImportError as problem:
            raise Skipped(f"needs {problem.name}: pip install 'glockd[cases]'") from problem
        know(step["open"], ("settings", "answer_pings"), "open")
        client = Http2(self.stage.address(GRPC), answer_pings=step["open"].get("answer_pings", True))
        self.raw[step["raw"]] = client
        settings = client.expect("settings", PATIENCE)
        match(step["open"].get("settings", {}), settings, "settings")

    def _call_raw(self, client: Http2, step: Mapping[str, Json]) -> None:
        from . import grpc, messages

        stream = client.call(step["call"], messages.encode(step["call"], step))
        if "expect" in step:
            expect = step["expect"]
            know(expect, ("response", "absent"), "expect")
            response = messages.decode(step["call"], client.answer(stream, PATIENCE))
            grpc.check_response(response, expect)
            self._save(step, response)

    def _end_of_raw(self, client: Http2, step: Mapping[str, Json]) -> None:
        least, most = step.get("after", (0, PATIENCE))
        for kind in ("goaway", "closed"):
            if kind in step:
                value = client.expect(kind, most + 1)
                if isinstance(step[kind], dict):
                    match(step[kind], value, kind)
        since = time.monotonic() - client.began
        if "after" in step and not least <= since <= most:
            raise Failed(f"after {since:.3f} s, not {least} to {most}")
        if step.get("open_still") and client.closed():
            raise Failed("connection closed")

    def _save(self, step: Mapping[str, Json], response: Mapping[str, Json]) -> None:
        for variable, name in step.get("save", {}).items():
            match({name: {"$any": True}}, response, "response")
            self.variables[variable] = response[name]

    def _hang_up_rest(self) -> None:
        if self._rest is not None:
            self._rest.close()

    def close(self) -> None:
        """Hang up everywhere, and leave no session in a server that goes on."""
        self._hang_up_rest()
        if self._rest is not None and self.stage.daemon is None:
            self._rest.end_sessions()
        if self._grpc is not None:
            self._grpc.close()
        for client in self.raw.values():
            client.close()


PLAYERS: Mapping[str, Callable[[Conversation, Mapping[str, Json]], None]] = {
    "method": Conversation.play_rest,
    "raw_request": Conversation.play_rest,
    "rest": Conversation.play_inner_rest,
    "raw": Conversation.play_raw,
    "server": Conversation.play_server,
    "call": Conversation.play_call,
    "answered": Conversation.play_answered,
    "pending": Conversation.play_pending,
    "cancel": Conversation.play_cancel,
    "close": Conversation.play_close,
    "contend": Conversation.play_contend,
}


def play(case: Case, stage: Stage) -> None:
    """Play a case; of one that records a defect, what is right instead.

    Raises:
        Failed: a step did not go as written; the text begins with its number.
        Skipped: it cannot be played here, or what is right is said in prose only.
    """
    steps = mended(case) if case.kind == "defect" else case.steps
    conversation = Conversation(stage)
    try:
        for number, step in enumerate(steps, 1):
            try:
                conversation.play(step)
            except (Failed, CannotTest) as why:
                raise Failed(f"step {number}: {why}") from why
            except (OSError, LookupError, TypeError, ValueError) as problem:
                # The server hung up on a connection by hand, or the step lacks something.
                raise Failed(f"step {number}: {type(problem).__name__}: {problem}") from problem
    finally:
        conversation.close()
