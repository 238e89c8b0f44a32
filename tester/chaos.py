"""Random clients and random faults against a server, all of it recorded; the checker judges it afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from .addresses import Address
from .checker import Violation, judge
from .history import History, Record, read_records, understand, write_records
from .peers import Ended, connect
from .replay import Failed, answers_pipelined, ask_counters, knows_new_verbs
from .server import GLOCKD, LocalServer
from .worker import Client, Plan, Recorder


@dataclass(frozen=True)
class Settings:
    """How much chaos.

    Attributes:
        grace: seconds within which the server must notice that a connection has ended.
        transit: seconds that a packet may be on its way, with what it takes to send it again if it is lost.
    """

    seed: int
    seconds: float = 10.0
    workers: int = 3
    clients: int = 6  # of each worker
    locks: int = 4
    think: float = 0.004
    grace: float = 2.0
    transit: float = 0.0
    kill_server: bool = False


@dataclass
class Report:
    """What came of it."""

    records: list[Record]
    violations: list[Violation]
    faults: dict[str, int]
    figures: dict[str, int] = field(default_factory=dict)


class Chaos:
    """One run. `server` is given when it is ours to stop and kill."""

    def __init__(
        self,
        addresses: Sequence[Address],
        settings: Settings,
        server: LocalServer | None = None,
        tell: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.addresses, self.settings, self.server, self.tell = list(addresses), settings, server, tell
        self.dice = random.Random(settings.seed)
        self.faults: dict[str, int] = {}
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.started = 0
        self.observer: Client | None = None
        self.observers = 0

    def run(self) -> Report:
        """Do it, and judge it.

        Raises:
            OSError, Ended, TimeoutError: the server cannot be reached, or is none.
        """
        with connect(self.addresses[0]) as peer:
            self.new_verbs, self.pipelining = knows_new_verbs(peer), answers_pipelined(peer)
        with tempfile.TemporaryDirectory(prefix="glockd-tester-") as folder:
            self.folder = Path(folder)
            self.recorder = Recorder(self.folder / "chaos")
            try:
                self._record_start()
                self._torture()
                self._settle()
            finally:
                for worker in self.workers.values():
                    worker.kill()
                    worker.wait()
                self.recorder.close()
            records = [record for file in sorted(self.folder.iterdir()) for record in whole_records(file)]
        records.sort(key=lambda record: float(record["at"]))
        history = understand(records)
        return Report(records, judge(history), self.faults, _figures(history))

    def _record_start(self) -> None:
        self.locks = [f"chaos-{os.getpid()}-{self.settings.seed}-{n}" for n in range(self.settings.locks)]
        self.recorder.add(
            "run",
            seed=self.settings.seed,
            server=[str(address) for address in self.addresses],
            alone=self.server is not None,
            grace=self.settings.grace,
            transit=self.settings.transit,
            wall=time.time(),
        )

    def _torture(self) -> None:
        start = time.monotonic()
        self.until = start + self.settings.seconds
        for _ in range(self.settings.workers):
            self._start_worker()
        faults: list[Callable[[], None]] = [self._kill_worker, self._stop_worker]
        if self.server is not None:
            faults.append(self._stop_server)
            if self.settings.kill_server:
                faults.append(self._kill_server)
        while time.monotonic() < self.until:
            pause = min(self.dice.uniform(0.05, 0.6), max(self.until - time.monotonic(), 0.0))
            time.sleep(pause)
            self.tell(time.monotonic() - start)
            self._observe()
            if time.monotonic() + 0.5 < self.until:
                self.dice.choice(faults)()
        for worker in self.workers.values():
            worker.send_signal(signal.SIGCONT)
        for name, worker in self.workers.items():
            try:
                worker.wait(60)
            except subprocess.TimeoutExpired:
                self._kill(name)

    def _start_worker(self) -> None:
        name = f"w{self.started}"
        self.started += 1
        plan = Plan(
            name=name,
            seed=str(self.settings.seed),
            clients=self.settings.clients,
            until=self.until,
            file=str(self.folder / name),
            addresses=[str(address) for address in self.addresses],
            locks=self.locks,
            new_verbs=self.new_verbs,
            pipelining=self.pipelining,
            think=self.settings.think,
        )
        worker = subprocess.Popen([sys.executable, "-m", f"{__package__}.worker"], stdin=subprocess.PIPE)
        assert worker.stdin is not None
        worker.stdin.write(plan.as_json().encode())
        worker.stdin.close()
        self.workers[name] = worker

    def _count(self, fault: str) -> None:
        self.faults[fault] = self.faults.get(fault, 0) + 1

    def _kill_worker(self) -> None:
        """Kill a process with all its clients, as the kernel's OOM killer would."""
        self._count("worker killed")
        name = self.dice.choice(sorted(self.workers))
        self._kill(name)
        del self.workers[name]
        self._start_worker()

    def _kill(self, name: str) -> None:
        self.recorder.add("killing", worker=name)
        self.workers[name].kill()
        self.workers[name].wait()
        self.recorder.add("killed", worker=name)

    def _stop_worker(self) -> None:
        """Let a process of clients hang for a while: they read nothing and send nothing."""
        self._count("worker stopped")
        worker = self.workers[self.dice.choice(sorted(self.workers))]
        worker.send_signal(signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.05, 0.5))
        worker.send_signal(signal.SIGCONT)

    def _stop_server(self) -> None:
        """Let the server hang for a while."""
        assert self.server is not None
        self._count("server stopped")
        self.recorder.add("fault", what="server stopped")
        os.kill(self.server.pid, signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.02, 0.3))
        os.kill(self.server.pid, signal.SIGCONT)
        self.recorder.add("fault", what="server goes on")

    def _kill_server(self) -> None:
        """Kill the server and start it again: all sessions end, and tokens must go on growing."""
        assert self.server is not None
        self._count("server killed")
        self.recorder.add("fault", what="server killed")
        self.server.kill()
        self.server.start()
        self.recorder.add("fault", what="server started")

    def _observe(self) -> None:
        """Ask what the server says of its locks and connections, for the checker to compare."""
        if not self.new_verbs:
            return  # the original ends itself when it is asked to list what changes meanwhile
        try:
            if self.observer is None:
                self.observers += 1
                self.observer = Client(f"observer.{self.observers}", str(self.addresses[0]), self.recorder)
            self.observer.ask("dump")
            self.observer.ask("dump shared")
            self._ask_counters(self.observer)
        except (OSError, Ended):
            if self.observer is not None:
                self.observer.lost()
            self.observer = None

    def _ask_counters(self, observer: Client) -> None:
        """`q` has many lines, so it is asked apart."""
        observer.number += 1
        self.recorder.add("send", session=observer.name, op=observer.number, line="q")
        try:
            counters = ask_counters(observer.peer)
        except Failed as problem:
            raise Ended(str(problem)) from problem
        text = "\n".join(f"{key}: {value}" for key, value in counters.items())
        self.recorder.add("reply", session=observer.name, op=observer.number, line=text)

    def _settle(self) -> None:
        """Wait until the server has noticed that everybody has gone (or should have), and look once more."""
        if not self.new_verbs:
            return
        deadline = time.monotonic() + self.settings.grace + 0.2
        self._observe()
        while self.server is not None and self.observer is not None and time.monotonic() < deadline:
            if ask_counters(self.observer.peer)["connections"] <= 1:
                break
            time.sleep(0.02)
        else:
            time.sleep(max(deadline - time.monotonic(), 0.0))
        for _ in range(6):  # round trips by which the checker knows that the server has seen everything
            self._observe()
        if self.observer is not None:
            self.observer.end("closed")


def whole_records(file: Path) -> list[Record]:
    """The records of one process; the last may have been cut off by its death."""
    data = file.read_bytes()
    data = data[: data.rfind(b"\n") + 1]
    whole = file.with_suffix(".whole")
    whole.write_bytes(data)
    try:
        return read_records(whole)
    finally:
        whole.unlink()


def _figures(history: History) -> dict[str, int]:
    operations = list(history.operations)
    granted = sum("Get Success" in (op.reply or "") for op in operations)
    return {
        "sessions": len(history.sessions),
        "commands": len(operations),
        "granted": granted,
        "refused": sum("Get Failure" in (op.reply or "") for op in operations),
        "deadlocks": sum("Get Deadlock" in (op.reply or "") for op in operations),
        "unanswered": sum(op.reply is None for op in operations),
    }


def run(
    settings: Settings,
    addresses: Sequence[Address] = (),
    *,
    command: Sequence[str] = GLOCKD,
    options: Sequence[str] = (),
    keep: Path | None = None,
    tell: Callable[[float], None] = lambda seconds: None,
) -> Report:
    """Torture the server at `addresses`, or else a glockd of our own; write the history to the file `keep`.

    Raises:
        OSError, Ended, NotStarted
    """
    with ExitStack() as stack:
        server = None
        if not addresses:
            server = stack.enter_context(LocalServer(options, command=command))
            addresses = [server.tcp, server.unix, server.ws]
        report = Chaos(addresses, settings, server, tell).run()
    if keep is not None:
        write_records(keep, report.records)
    return report
