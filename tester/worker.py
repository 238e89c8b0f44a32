"""A process full of chaos clients: each a thread with a connection, random commands and random ways to die.

Run by `chaos` as `python -m glockd_tester.worker`, with a `Plan` as JSON on standard input, so that it can be
stopped and killed like a host. Whatever a client is about to do is in the file before it is done.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from .addresses import parse_address
from .peers import Ended, Peer, connect

PATIENCE = 30.0  # seconds without a reply that is due, after which the server counts as silent


@dataclass(frozen=True)
class Plan:
    """What a worker is to do. `until` is monotonic time; `locks` are names, for both tables."""

    name: str
    seed: str
    clients: int
    until: float
    file: str
    addresses: list[str]
    locks: list[str]
    new_verbs: bool
    pipelining: bool
    think: float  # mean seconds between two commands of one client

    def as_json(self) -> str:
        return json.dumps(asdict(self))


class Recorder:
    """Appends records to a file, each with one write, so that a kill loses none that was written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, event: str, **keys: object) -> float:
        """Write a record of now; the time that it bears."""
        at = time.monotonic()
        os.write(self._file, json.dumps({"at": at, "event": event, **keys}).encode() + b"\n")
        return at

    def close(self) -> None:
        os.close(self._file)


class Client:
    """One connection that records all it sends and hears. `name` is its session's name in the history."""

    def __init__(self, name: str, address: str, recorder: Recorder) -> None:
        """Connect and introduce itself to the recorder. Raises OSError, Ended or TimeoutError."""
        self.name, self.recorder = name, recorder
        self.number = 0
        self.pending: deque[int] = deque()  # commands without a reply so far
        began = recorder.add("opening", session=name)
        try:
            self.peer: Peer = connect(parse_address(address), PATIENCE)
            # Only the server knows the number of a unix connection; and an answer shows that it has accepted
            # this one.
            self.peer.name = self.peer.ask(b"me").split(b" ")[1].decode()
        except (OSError, Ended, IndexError):
            recorder.add("unopened", session=name)
            raise
        recorder.add(
            "open",
            session=name,
            transport=parse_address(address).transport,
            address=self.peer.name,
            began=began,
        )

    def send(self, *lines: str, pieces: int = 1, pause: float = 0.0) -> None:
        """Write commands at once, or as a slow writer in `pieces` with `pause` seconds between them."""
        numbers = []
        for line in lines:
            self.number += 1
            numbers.append(self.number)
            self.recorder.add("send", session=self.name, op=self.number, line=line)
        self.pending.extend(numbers)
        if self.peer.framed:
            for line in lines:
                self.peer.send(line.encode("latin-1"))
        else:
            data = "".join(f"{line}\n" for line in lines).encode("latin-1")
            size = max(1, -(-len(data) // pieces))
            for start in range(0, len(data), size):
                if start:
                    time.sleep(pause)
                self.peer.send(data[start : start + size])
        for number in numbers:
            self.recorder.add("sent", session=self.name, op=number)

    def hear(self, timeout: float) -> str | None:
        """The next reply, or None if none comes within `timeout` seconds. Raises Ended."""
        deadline = time.monotonic() + timeout
        while (line := self.peer.receive_line(max(deadline - time.monotonic(), 0.0))) is not None:
            text = line.decode("latin-1")
            if text.startswith("! "):
                self.recorder.add("push", session=self.name, line=text)
                continue
            self.recorder.add("reply", session=self.name, op=self.pending.popleft(), line=text)
            return text
        return None

    def ask(self, line: str, seconds: float = 0.0) -> str:
        """Send one command and hear its reply, which may take `seconds` by right. Raises Ended."""
        self.send(line)
        return self.hear_all(seconds)[-1]

    def hear_all(self, seconds: float = 0.0) -> list[str]:
        """The replies to all that was sent. Raises Ended."""
        replies = []
        while self.pending:
            reply = self.hear(seconds + PATIENCE)
            if reply is None:
                self.recorder.add("silent", session=self.name, op=self.pending[0])
                raise Ended("silent")
            replies.append(reply)
        return replies

    def end(self, how: str) -> None:
        """Hang up: `closed`, `reset` or `half-closed` (and then hear what still comes)."""
        self.recorder.add("ending", session=self.name, how=how)
        with contextlib.suppress(OSError, Ended):
            if how == "half-closed":
                self.peer.shut_down()
                with contextlib.suppress(Ended, IndexError):
                    while self.hear(PATIENCE) is not None:
                        pass
        self.peer.close(abort=how == "reset")
        self.recorder.add("ended", session=self.name)

    def lost(self) -> None:
        """The server has hung up."""
        self.recorder.add("lost", session=self.name)
        self.peer.close(abort=True)


class Life:
    """What one client does with one connection."""

    def __init__(self, client: Client, plan: Plan, dice: random.Random) -> None:
        self.client, self.plan, self.dice = client, plan, dice
        self.held: dict[str, list[str]] = {"r": [], "sr": []}  # by the verb that releases
        self.actions: list[tuple[int, Callable[[], None]]] = [
            (6, self.try_lock),
            (3, self.share_plainly),
            (9, self.release),
            (2, self.inspect),
        ]
        if plan.pipelining:
            self.actions.append((2, self.burst))
        if plan.new_verbs:
            self.actions += [
                (9, self.wait),
                (3, self.share),
                (4, self.token),
                (2, self.check),
                (2, self.lease),
            ]
        self.tokens: list[tuple[int, str]] = []

    def live(self) -> None:
        """A random number of commands, then a random end. Raises Ended when the server ends it first."""
        weights = [weight for weight, _ in self.actions]
        for _ in range(self.dice.randint(1, 60)):
            if time.monotonic() > self.plan.until:
                break
            self.dice.choices(self.actions, weights)[0][1]()
            time.sleep(self.dice.expovariate(1 / self.plan.think))
        self.client.end(self.dice.choice(["closed", "closed", "reset", "half-closed"]))

    def name(self) -> str:
        return self.dice.choice(self.plan.locks)

    def seconds(self) -> float:
        return round(self.dice.choice([0, 0.05, 0.3, 1, 2]) * self.dice.random(), 3)

    def slowness(self) -> dict[str, float]:
        return (
            {"pieces": self.dice.randint(2, 4), "pause": 0.01 * self.dice.random()}
            if self.dice.random() < 0.05
            else {}
        )

    def got(self, reply: str, verb: str, name: str) -> None:
        if not reply.startswith("0 ") and name not in self.held[verb]:
            self.held[verb].append(name)
            if verb == "r" and self.plan.new_verbs and self.dice.random() < 0.8:
                self.learn_token(name)

    def learn_token(self, name: str) -> None:
        number = int(self.client.ask(f"token {name}").partition(" ")[0])
        if number:
            self.tokens.append((number, name))

    def try_lock(self) -> None:
        name = self.name()
        self.got(self.client.ask(f"g {name}"), "r", name)

    def share_plainly(self) -> None:
        name = self.name()
        self.got(self.client.ask(f"sg {name}"), "sr", name)

    def release(self) -> None:
        verb = self.dice.choice(["r", "r", "sr"])
        name = (
            self.dice.choice(self.held[verb])
            if self.held[verb] and self.dice.random() < 0.95
            else self.name()
        )
        if self.client.ask(f"{verb} {name}").startswith("1 ") and name in self.held[verb]:
            self.held[verb].remove(name)

    def inspect(self) -> None:
        self.client.ask(f"{self.dice.choice(['i', 'si'])} {self.name()}")

    def burst(self) -> None:
        """Many commands in one packet, and sometimes the replies are left unread for a while."""
        verbs = self.dice.choices(["g", "r", "i", "sg", "sr", "si"], k=self.dice.randint(2, 20))
        lines = [f"{verb} {self.name()}" for verb in verbs]
        self.client.send(*lines)
        if self.dice.random() < 0.3:
            time.sleep(0.4 * self.dice.random())
        for line, reply in zip(lines, self.client.hear_all(), strict=True):
            verb, _, name = line.partition(" ")
            held = self.held["sr" if verb.startswith("s") else "r"]
            if verb in ("g", "sg") and reply[0] != "0" and name not in held:
                held.append(name)
            elif verb in ("r", "sr") and reply[0] == "1" and name in held:
                held.remove(name)

    def wait(self) -> None:
        name, seconds = self.name(), self.seconds()
        self.acquire(f"{self.dice.choice(['wait', 'wait', 'read'])} {seconds:g} {name}", seconds, "r", name)

    def share(self) -> None:
        name, seconds = self.name(), self.seconds()
        self.acquire(f"share {seconds:g} {self.dice.randint(1, 4)} {name}", seconds, "sr", name)

    def acquire(self, line: str, seconds: float, verb: str, name: str) -> None:
        """Stand in line; sometimes change one's mind, or be gone before it is one's turn."""
        self.client.send(line, **self.slowness())  # type: ignore[arg-type]
        if self.dice.random() < 0.2:
            reply = self.client.hear(seconds * self.dice.random())
            if reply is None and self.dice.random() < 0.5:
                self.client.end(self.dice.choice(["closed", "reset", "half-closed"]))
                raise _Gone
            if reply is None:
                self.client.send("cancel")
                reply = self.client.hear_all(seconds)[0]
        else:
            reply = self.client.hear_all(seconds)[-1]
        self.got(reply, verb, name)

    def token(self) -> None:
        self.learn_token(self.dice.choice(self.held["r"] or self.plan.locks))

    def check(self) -> None:
        if self.tokens:
            number, name = self.dice.choice(self.tokens[-3:])
            self.client.ask(f"check {number} {name}")

    def lease(self) -> None:
        if self.held["r"]:
            seconds = self.dice.choice(["inf", "5", "1", "0.3", "0.1"])
            self.client.ask(f"lease {seconds} {self.dice.choice(self.held['r'])}")


class _Gone(Exception):
    """The client has hung up in the middle of something."""


def live_on(plan: Plan, number: int, recorder: Recorder) -> None:
    """One thread: connection after connection until the time is up."""
    dice = random.Random(f"{plan.seed}/{plan.name}.{number}")
    turn = 0
    while time.monotonic() < plan.until:
        turn += 1
        try:
            client = Client(f"{plan.name}.{number}.{turn}", dice.choice(plan.addresses), recorder)
        except (OSError, Ended, IndexError):
            time.sleep(0.01)  # the server is being restarted
            continue
        try:
            Life(client, plan, dice).live()
        except _Gone:
            pass
        except (OSError, Ended):
            client.lost()


def main() -> None:
    plan = Plan(**json.loads(sys.stdin.read()))
    recorder = Recorder(Path(plan.file))
    threads = [threading.Thread(target=live_on, args=(plan, n, recorder)) for n in range(plan.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()


if __name__ == "__main__":
    main()
