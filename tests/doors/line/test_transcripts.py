"""The recordings of the original, replayed against the real daemon (format: transcripts/README.md).

Where the recordings let time pass, the replay waits for the fact that was waited for: a connection counted or
gone, a counter reached. That nothing comes is seen by what comes next: replies are in order, so an unexpected
one stands before the next expected one, or is left over when the client hangs up.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from tests.support.clients import SocketClient, StreamClient, WebSocketClient
from tests.support.daemons import ALWAYS_COUNTED, ProcessDaemon, Views
from tests.support.places import ROOT

ADDRESS = re.compile(r"\{(\w+)\.addr\}")
TRANSCRIPTS = {
    transcript["name"]: transcript
    for path in sorted((ROOT / "tester" / "transcripts").glob("*.json"))
    for transcript in [json.loads(path.read_text("ascii"))]
}

Step = dict[str, Any]


def flags(transcript: dict[str, Any]) -> list[str]:
    return [f"-{name}={str(value).lower()}" for name, value in sorted(transcript["flags"].items())]


class Replay:
    """One transcript in progress."""

    def __init__(self, daemon: ProcessDaemon, steps: list[Step]) -> None:
        self.daemon, self.steps = daemon, steps
        self.clients: dict[str, SocketClient] = {}
        self.transports: dict[str, str] = {}
        self.finished: set[str] = set()  # clients that have shut down their sending side
        self.unfinished: set[str] = set()  # clients that have sent a part of a line
        self.questions = 0  # how many clients' `q` have been sent

    def run(self) -> None:
        for number, step in enumerate(self.steps, 1):
            if "client" in step:
                try:
                    self.do(step)
                except AssertionError as error:
                    error.add_note(f"in step {number}: {step}")
                    raise
        for name in list(self.clients):
            self.close(name)

    def do(self, step: Step) -> None:
        name = step["client"]
        if "close" in step:
            self.close(name, abort=step["close"] == "abort")
            return
        if name not in self.clients:
            self.connect(name, step.get("transport"))
        if "send" in step:
            if "stats" in step:
                self.questions += 1
                # The counters of what others have sent without waiting for a reply.
                asked = step["stats"] | {"command_q": self.questions - 1}
                self.daemon.counts(**asked)
            self.send(name, self.filled(step["send"]), binary=step.get("binary", False))
        if "shutdown" in step:
            client = self.clients[name]
            assert isinstance(client, StreamClient)
            client.finishes()
            self.finished.add(name)
        if "stats" in step:
            self.clients[name].hears_bytes(self.statistics(step["stats"]))
        elif "expect" in step:
            self.hear(self.clients[name], self.filled(step["expect"]), unordered=step.get("unordered", False))
        if "shutdown" in step:
            self.daemon.counts(connections=len(self.clients.keys() - self.finished))

    def connect(self, name: str, transport: str | None) -> None:
        self.transports[name] = transport or self.transports[name]
        where = {"ws": "websocket"}.get(self.transports[name], self.transports[name])
        client = self.clients[name] = self.daemon.process.connect(where)
        if isinstance(client, WebSocketClient):
            client.opens(headers={"Origin": "http://localhost"})
        self.daemon.clients.append(client)
        self.finished.discard(name)
        self.unfinished.discard(name)
        self.daemon.counts(connections=len(self.clients.keys() - self.finished))

    def close(self, name: str, *, abort: bool = False) -> None:
        client = self.clients.pop(name)
        if abort:
            client.vanishes()
        elif name in self.finished:
            client.is_hung_up_on()
        elif name in self.unfinished:
            client.sock.close()  # the line is carried out, and answered to nobody
        else:
            client.hangs_up()
        self.finished.discard(name)
        self.daemon.counts(connections=len(self.clients.keys() - self.finished))

    def send(self, name: str, data: bytes, *, binary: bool) -> None:
        client = self.clients[name]
        if isinstance(client, WebSocketClient):
            client.sends_frame(client.BINARY if binary else client.TEXT, data)
            return
        client.sends(data)
        if data.endswith(b"\n"):
            self.unfinished.discard(name)
        else:
            self.unfinished.add(name)

    @staticmethod
    def hear(client: SocketClient, wanted: bytes, *, unordered: bool) -> None:
        if unordered:
            got = client.receive(len(wanted))
            assert sorted(got.splitlines(keepends=True)) == sorted(wanted.splitlines(keepends=True))
        else:
            client.hears_bytes(wanted)

    def filled(self, text: str) -> bytes:
        """The bytes that a recorded string stands for."""

        def address(found: re.Match[str]) -> str:
            client = self.clients.get(found[1])
            return client.address if client else found[0]

        return ADDRESS.sub(address, text).encode("latin-1")

    def statistics(self, changes: dict[str, int]) -> bytes:
        """The whole reply to `q`: what was there before, the changes recorded, and the observer's own part.

        The recordings allow `command_q` to be one off, for the original's sake. Here it must be exact.
        """
        values = Counter(self.daemon.before) + Counter(changes)
        values["command_q"] = self.daemon.before["command_q"] + self.questions
        values["command_q"] += self.daemon.observer.asked - self.daemon.asked_before
        shown = {key for key, value in values.items() if value} | set(ALWAYS_COUNTED)
        return "".join(f"{key}: {values[key]}\n" for key in sorted(shown)).encode()


@pytest.mark.parametrize("name", [name for name, it in TRANSCRIPTS.items() if "deviation" not in it])
def test_the_daemon_says_what_the_original_said(name: str, shared_daemon: Views, has_ipv6: bool) -> None:
    transcript = TRANSCRIPTS[name]
    if not has_ipv6 and any(step.get("transport") == "tcp6" for step in transcript["steps"]):
        pytest.skip("no IPv6 on the loopback interface")
    Replay(shared_daemon("tcp", *flags(transcript)), transcript["steps"]).run()


# What the original does wrong is recorded too. Each such recording has its counterpart here, named alike: the
# same conversation as it ought to go.


def test_every_recorded_deviation_has_its_counterpart() -> None:
    deviations = {name.replace("-", "_") for name, it in TRANSCRIPTS.items() if "deviation" in it}
    assert {f"test_{name}" for name in deviations} == {
        name for name in globals() if name.startswith("test_deviation")
    }


def test_deviation_pipelining(shared_daemon: Views) -> None:
    daemon = shared_daemon("tcp")
    alice = daemon.client()
    alice.says("g p1", "g p2", "g p3")
    for name in ("p1", "p2", "p3"):
        alice.hears(f"1 Lock Get Success: {name}")
    for name in ("p1", "p2", "p3"):
        alice.says(f"i {name}").hears(f"1 Lock Is Locked: {name}")
    daemon.counts(command_g=3, command_i=3, connections=1, locks=3)


def test_deviation_pipelining_unix(shared_daemon: Views) -> None:
    daemon = shared_daemon("unix")
    alice = daemon.client()
    alice.says("sg p1", "sg p2")
    alice.hears("1 Shared Lock Get Success: p1").hears("1 Shared Lock Get Success: p2")
    alice.says("si p2").hears("1 Shared Lock Is Locked: p2")
    daemon.counts(command_sg=2, command_si=1, connections=1, shared_locks=2)


def test_deviation_noregistry_me(shared_daemon: Views) -> None:
    daemon = shared_daemon("tcp", "-registry=false")
    alice, bob = daemon.client(), daemon.client()
    alice.says("i x").hears("0 Lock Not Locked: x")
    alice.says("me").hears(f"1 {alice.address} {alice.address}")
    alice.says("i x").hears("0 Lock Not Locked: x")
    bob.says("me").hears(f"1 {bob.address} {bob.address}")
    daemon.counts(command_i=2, command_me=2, connections=2)
    alice.hangs_up()
    daemon.counts(connections=1)


def test_deviation_noregistry_d(shared_daemon: Views) -> None:
    daemon = shared_daemon("tcp", "-registry=false")
    holder, alice = daemon.client(), daemon.client()
    holder.says("g x").hears("1 Lock Get Success: x")
    holder.says("sg y").hears("1 Shared Lock Get Success: y")
    alice.says("d x").hears(f"x: {holder.address}")
    alice.says("d").hears(f"x: {holder.address}")
    alice.says("sd").hears(f"y: {holder.address}")
    alice.says("sd y").hears(f"y: {holder.address}")
    alice.says("i x").hears("1 Lock Is Locked: x")
    holder.hangs_up()
    daemon.counts(command_d=2, command_sd=2, orphans=1, shared_orphans=1, connections=1)


def test_deviation_registryless_nodump_me(shared_daemon: Views) -> None:
    daemon = shared_daemon("tcp", "-dump=false", "-registry=false")
    alice = daemon.client()
    alice.says("me").hears(f"1 {alice.address} {alice.address}")
    alice.says("i x").hears("0 Lock Not Locked: x")
    daemon.counts(command_me=1, command_i=1, connections=1)
