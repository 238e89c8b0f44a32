"""Plays transcripts to a server and compares every reply, byte for byte.

The server must have no other client meanwhile. It need not be fresh: counters are compared with what they
were when the transcript began, and the numbering of unix connections is asked for.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .addresses import Address
from .errors import CannotTest
from .peers import Ended, Peer, connect
from .transcript import DEFAULT_FLAGS, Step, Transcript

ALWAYS_COUNTED = (
    *(f"command_{verb}" for verb in ("d", "dump", "g", "i", "q", "r", "sd", "sg", "si", "sr")),
    *("connections", "invalid_commands", "locks", "orphans", "shared_locks", "shared_orphans"),
)
PLACEHOLDER = re.compile(r"\{([\w.]+)\}")


class Failed(CannotTest):
    """A step did not go as written; the text says how."""


@dataclass(frozen=True)
class Features:
    """What the server under test is, as far as its replies tell.

    Attributes:
        flags: `registry` and `dump`, as it was started. names: what transcripts may need: `fixes` (the
        faults of the original are mended), `extensions` (the new
            verbs), `history`, `admin` (`kick` over the Unix socket), and so on.
    """

    flags: Mapping[str, bool]
    names: frozenset[str]


@dataclass
class Doors:
    """The addresses of the server under test, and how patient to be with it.

    Attributes:
        timeout: seconds to wait for a reply that must come.
        settle: seconds for the server to notice a connect or a hang-up, which it does not answer.
        quiet: silence of so many seconds counts as "no reply".
    """

    tcp: Address | None = None
    unix: Address | None = None
    ws: Address | None = None
    timeout: float = 2.0
    settle: float = 0.05
    quiet: float = 0.05
    unix_count: int = 0  # the number of the latest unix connection; the server counts on from there

    def offers(self, transport: str) -> bool:
        return bool({"tcp": self.tcp, "tcp6": self.tcp, "unix": self.unix, "ws": self.ws}[transport])

    def first(self) -> Address:
        """Any of the addresses. Raises ValueError if there is none."""
        for address in (self.tcp, self.unix, self.ws):
            if address:
                return address
        raise ValueError("no address of a server is given")

    def open(self, transport: str) -> Peer:
        """A new client; its `name` is what the server calls it. Raises OSError or Ended."""
        address = {"tcp": self.tcp, "tcp6": self.tcp, "unix": self.unix, "ws": self.ws}[transport]
        if address is None:
            raise ValueError(f"no address for {transport}")
        if transport == "tcp6":
            address = replace(address, host="::1")
        peer = connect(address, self.timeout)
        if transport == "unix":
            self.unix_count += 1
            peer.name = f"unix:{self.unix_count}"
        return peer

    def any(self) -> Peer:
        """A client over whichever transport there is."""
        return self.open(self.first().transport)

    def learn_unix_count(self, flags: Mapping[str, bool]) -> None:
        """Ask for the number of a new unix connection, in a way that `flags` allow. Raises Failed."""
        with self.open("unix") as peer:
            if flags["registry"]:
                found = re.match(rb"1 unix:(\d+) ", peer.ask(b"me"))
            elif flags["dump"]:
                peer.ask(b"g conformance probe")
                found = re.search(rb"conformance probe:unix:(\d+)", peer.ask(b"dump"))
            else:
                return  # nothing that this server says can show the number
        if not found:
            raise Failed("the server does not tell the number of a unix connection")
        self.unix_count = int(found[1])

    def counters(self) -> dict[str, int]:
        """What `q` tells, without the connection that asks."""
        with self.any() as peer:
            time.sleep(self.settle)  # until the connection is counted
            values = ask_counters(peer)
        values["connections"] -= 1
        return values


def ask_counters(peer: Peer) -> dict[str, int]:
    """The counters that `q` tells. Raises Failed if it answers something else, and as `Peer.receive`."""
    peer.send(b"q" if peer.framed else b"q\n")
    data = b""
    deadline = time.monotonic() + peer.timeout
    while not re.search(rb"shared_orphans: -?\d+\n$", data):
        part = peer.receive(deadline - time.monotonic())
        if part is None:
            raise Failed(f"no counters in the answer to q: {data!r}")
        data += part
    return {key.decode(): int(value) for key, value in re.findall(rb"(\w+): (-?\d+)\n", data)}


class Replay:
    """One transcript being played."""

    def __init__(self, doors: Doors, transcript: Transcript) -> None:
        self.doors = doors
        self.transcript = transcript
        self.peers: dict[str, Peer] = {}
        self.transports: dict[str, str] = {}
        self.known: dict[str, str] = {}  # what {…} stands for: addresses and what `match` has kept
        self.before: dict[str, int] = {}
        self.unsettled = False

    def run(self) -> None:
        """Play it to the end.

        Raises:
            Failed: the first step that did not go as written.
        """
        try:
            self._prepare()
            for number, step in enumerate(self.transcript.steps, 1):
                try:
                    self._do(step)
                except (Failed, OSError, Ended) as problem:
                    who = f"{step.client} {self.transports.get(step.client, '')} {step.brief()}".strip()
                    raise Failed(f"step {number} ({who}): {problem or type(problem).__name__}") from problem
            for name, peer in self.peers.items():
                if extra := self._unasked(peer, 0.01):
                    raise Failed(f"at the end: unexpected {extra!r} for {name}")
        finally:
            for peer in self.peers.values():
                peer.close()
            time.sleep(self.doors.settle)

    def _prepare(self) -> None:
        try:
            if "unix" in self.transcript.transports:
                self.doors.learn_unix_count(self.transcript.flags)
                self.unsettled = True
            if any(step.stats is not None for step in self.transcript.steps):
                self._settle()
                self.before = self.doors.counters()
                self.unsettled = True
        except (OSError, Ended) as problem:
            raise Failed(f"before the first step: {problem or type(problem).__name__}") from problem

    def _settle(self) -> None:
        """Give the server time for what it does without an answer."""
        if self.unsettled:
            time.sleep(self.doors.settle)
            self.unsettled = False

    def _do(self, step: Step) -> None:
        if step.grows:
            return self._compare(*step.grows)
        if not step.client:
            return time.sleep(step.sleep)
        if step.close:
            self.unsettled = True
            return self.peers.pop(step.client).close(abort=step.close == "abort")
        self._settle()
        peer = self._peer(step)
        if step.send is not None:
            if step.expect is not None or step.stats is not None:
                self._nothing_before(peer)
            if step.stats is not None:
                time.sleep(self.doors.settle)
            peer.send(self._filled(step.send), binary=step.binary)
        if step.shutdown:
            peer.shut_down()
            self.unsettled = True
        self._check(peer, step)
        return None

    def _peer(self, step: Step) -> Peer:
        name = step.client
        if name not in self.peers:
            self.transports[name] = step.transport or self.transports[name]
            self.peers[name] = self.doors.open(self.transports[name])
            self.known[f"{name}.addr"] = self.peers[name].name
            self.unsettled = step.connect
        return self.peers[name]

    def _nothing_before(self, peer: Peer) -> None:
        if (extra := self._unasked(peer, 0.0001)) is not None:
            raise Failed(f"unexpected {extra!r} before it")

    @staticmethod
    def _unasked(peer: Peer, wait: float) -> bytes | None:
        """What arrives although nothing should, or None."""
        try:
            return peer.receive(wait)
        except Ended:
            return None

    def _filled(self, text: str) -> bytes:
        """The bytes that a string of the file stands for."""
        return PLACEHOLDER.sub(lambda found: self.known.get(found[1], found[0]), text).encode("latin-1")

    def _check(self, peer: Peer, step: Step) -> None:
        if step.stats is not None:
            self._expect(peer, self._counters_after(step.stats))
        elif step.expect is not None:
            self._expect(peer, [self._filled(step.expect)], unordered=step.unordered)
        if step.match is not None:
            self._match(peer, step.match)
        if step.json is not None:
            self._json(peer, step.json)
        if step.closed:
            self._closed(peer)

    def _receive(self, peer: Peer, enough: Callable[[bytes], bool], timeout: float) -> bytes | None:
        """What comes until it is enough, the time is up or the server hangs up; on a websocket a message."""
        deadline = time.monotonic() + timeout
        data = b""
        while not (data and enough(data)):
            try:
                part = peer.receive(deadline - time.monotonic())
            except Ended:
                break
            if peer.framed or part is None:
                return part if peer.framed else data
            data += part
        return data if data or not peer.framed else None

    def _expect(self, peer: Peer, accepted: list[bytes], *, unordered: bool = False) -> None:
        def matches(data: bytes) -> bool:
            if unordered:
                return sorted(data.splitlines(True)) == sorted(accepted[0].splitlines(True))
            return data in accepted

        longest = max(map(len, accepted))
        silent = longest == 0 and not peer.framed
        timeout = self.doors.quiet if silent else self.doors.timeout
        got = self._receive(peer, lambda data: matches(data) or len(data) > longest, timeout)
        if got is None:
            raise Failed(f"expected {accepted[0]!r}, got no message")
        if not matches(got):
            raise Failed(f"expected {accepted[0]!r}, got {got!r}")

    def _match(self, peer: Peer, pattern: str) -> None:
        """Compare with a regular expression; named groups are kept for later steps, as `{group}`."""
        filled = PLACEHOLDER.sub(
            lambda m: re.escape(self.known[m[1]]) if m[1] in self.known else m[0], pattern
        )
        wanted = re.compile(filled.encode("latin-1"), re.DOTALL)
        got = self._receive(peer, lambda data: bool(wanted.fullmatch(data)), self.doors.timeout)
        found = wanted.fullmatch(got or b"")
        if not found:
            raise Failed(f"expected a match for {filled!r}, got {got!r}")
        self.known.update(
            {name: value.decode("latin-1") for name, value in found.groupdict().items() if value}
        )

    def _json(self, peer: Peer, wanted: Any) -> None:
        got = self._receive(peer, lambda data: data.endswith(b"\n"), self.doors.timeout) or b""
        try:
            count, _, text = got.decode("utf-8").partition(" ")
            int(count)
            value = json.loads(text)
        except ValueError as problem:
            raise Failed(f"expected an integer and one line of JSON, got {got!r}") from problem
        if where := self._missing(wanted, value, "the JSON"):
            raise Failed(f"{where} in {text.strip()}")

    def _missing(self, wanted: Any, got: Any, where: str) -> str:
        """What of `wanted` is not in `got`, or nothing. Objects may have more keys, lists no more entries."""
        if isinstance(wanted, dict) and isinstance(got, dict):
            for key, value in wanted.items():
                if key not in got:
                    return f"{where} has no {key!r}"
                if problem := self._missing(value, got[key], f"{where}[{key!r}]"):
                    return problem
            return ""
        if isinstance(wanted, list) and isinstance(got, list):
            if len(wanted) != len(got):
                return f"{where} has {len(got)} entries and not {len(wanted)}"
            problems = (
                self._missing(*pair, f"{where}[{i}]") for i, pair in enumerate(zip(wanted, got, strict=True))
            )
            return next(filter(None, problems), "")
        if isinstance(wanted, str):
            wanted = PLACEHOLDER.sub(lambda found: self.known.get(found[1], found[0]), wanted)
            if isinstance(got, int | float) and not isinstance(got, bool):
                got = str(got)
        return "" if wanted == got else f"{where} is {got!r} and not {wanted!r}"

    def _closed(self, peer: Peer) -> None:
        try:
            got = peer.receive(self.doors.timeout)
        except Ended:
            return
        raise Failed(f"the server should have hung up, but {'is silent' if got is None else f'said {got!r}'}")

    def _compare(self, smaller: str, greater: str) -> None:
        one, two = int(self.known[smaller]), int(self.known[greater])
        if not one < two:
            raise Failed(f"{greater} ({two}) should be more than {smaller} ({one})")

    def _counters_after(self, changes: Mapping[str, int]) -> list[bytes]:
        """The accepted answers to q: the counters before the transcript plus the recorded changes.

        A counter outside ALWAYS_COUNTED is shown only once it has been counted. Whether q counts itself
        before it answers is a race in the original, so command_q may differ by one.
        """
        counted = {key for values in (self.before, changes) for key, value in values.items() if value}
        values = {key: self.before.get(key, 0) + changes.get(key, 0) for key in counted | set(ALWAYS_COUNTED)}
        return [
            "".join(
                f"{key}: {value}\n" for key, value in sorted((values | {"command_q": q}).items())
            ).encode()
            for q in (values["command_q"], values["command_q"] - 1, values["command_q"] + 1)
        ]


def look(doors: Doors) -> Features:
    """Find out what kind of server is behind `doors`.

    Raises:
        Failed, OSError, Ended: it does not behave like any glockd.
    """
    names = set()
    with doors.any() as peer:
        flags = {
            "registry": peer.ask(b"iam conformance") != b"0 disabled",
            "dump": peer.ask(b"dump") != b"0 disabled",
        }
        if not peer.ask(b"i conformance").startswith((b"0 Lock Not Locked", b"1 Lock Is Locked")):
            raise Failed("this is no glockd: it does not answer `i` as one does")
        if knows_new_verbs(peer):
            names |= {"fixes", "extensions"}
            if peer.ask(b"history") != b"0 disabled":
                names.add("history")
    if "extensions" in names:
        if doors.unix:
            with doors.open("unix") as peer:
                if peer.ask(b"kick nobody by this name") != b"0 disabled":
                    names.add("admin")
    else:
        with doors.any() as peer:
            if not peer.framed and answers_pipelined(peer):
                names.add("fixes")
    return Features(DEFAULT_FLAGS | flags, frozenset(names))


def answers_pipelined(peer: Peer) -> bool:
    """Does the server answer every line of a packet? (The original answers the first and drops the rest.)"""
    if peer.framed:
        return True
    peer.send(b"i conformance 1\ni conformance 2\n")
    peer.receive_line(peer.timeout)
    return peer.receive_line(0.3) is not None


def knows_new_verbs(peer: Peer) -> bool:
    """Does the server know the verbs that the original lacks? (One that does not is silent about them.)"""
    peer.send(b"version" if peer.framed else b"version\n")
    return bool(peer.receive_line(peer.timeout if peer.framed else 0.3))
