"""What windows cost: to place one, to post a task; how late they begin, and what a long schedule does to others."""

from __future__ import annotations

import http.client
import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.dispatch import apart
from bench.rows import LOAD_CORE, SERVER_CORE, Row, Run, middle
from glockd.doors.windows.calendar import EXCLUSIVE, Calendar
from glockd_tester.addresses import Address
from glockd_tester.cases.daemon import Daemon
from glockd_tester.peers import Peer, connect
from glockd_tester.process import cpu_seconds
from glockd_tester.server import GLOCKD

PINNED = ("taskset", "-c", str(SERVER_CORE), *GLOCKD)
CLIENTS, BOOKED, PLACINGS, AT_ONCE, PLANNED = 8, 100_000, 2000, 1000, 10_000
AHEAD = 4  # seconds in which all that begin at once are booked
HOUR = 3600
PAUSE = 0.002


class Client:
    """One kept-alive connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=120.0)

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        content = None if body is None else json.dumps(body)
        self._connection.request(method, f"/pscheduler{path}", content)
        return json.loads(self._connection.getresponse().read())

    def post(self, name: str) -> str:
        """Post a task, and know its first run; the task's path."""
        test = {"type": "window", "spec": {"duration": "PT10S", "resource": name}}
        url = self.ask("/tasks", "POST", {"test": test, "schedule": {"slip": "PT20H"}})
        task = str(urlsplit(url).path).removeprefix("/pscheduler")
        assert self.ask(f"{task}/runs/first")["state"] == "pending"
        return task

    def delete(self, task: str) -> None:
        self._connection.request("DELETE", f"/pscheduler{task}")
        self._connection.getresponse().read()

    def drain(self, path: str) -> None:
        """Read an answer without keeping it."""
        self._connection.request("GET", f"/pscheduler{path}")
        answer = self._connection.getresponse()
        while answer.read(1 << 20):
            pass


@contextmanager
def served(folder: Path, *listeners: str) -> Iterator[Daemon]:
    options = ("-records", str(folder / "records"), "-unix", str(folder / "sock"))
    with Daemon(options, ("-windows", *listeners), folder, command=PINNED) as daemon:
        yield daemon


def windows(run: Run) -> Iterator[Row]:
    """Placing; processor time of a task; lateness; stalls."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        yield placing(run)
        with tempfile.TemporaryDirectory() as name, served(Path(name)) as daemon:
            yield posting(run, daemon, daemon.address("-windows"))
            yield lateness(run, Path(name) / "sock")
            yield stall(run, daemon.address("-windows"), Path(name) / "sock")
    finally:
        os.sched_setaffinity(0, before)


def placing(run: Run) -> Row:
    """Find a gap and take it, in the calendar of one name with a great many windows; in this process."""
    chance, calendar = random.Random(1), Calendar()
    for number in chance.sample(range(BOOKED), BOOKED):
        calendar.add(EXCLUSIVE, number * 60, number * 60 + 50)
    times = []
    for _ in range(PLACINGS):
        begin = chance.randrange(BOOKED * 60)
        length = chance.choice((1, 10, 11))  # the last fits only behind all others
        begun = time.thread_time()
        found = calendar.place(EXCLUSIVE, begin, BOOKED * 120, length)
        assert found is not None
        calendar.add(EXCLUSIVE, found, found + length)
        times.append((time.thread_time() - begun) * 1e6)
        calendar.remove(EXCLUSIVE, [(found, found + length)])
    median = statistics.median(times)
    run.say(f"placing {median:.0f} µs")
    return Row(
        "windows: placing one among 100,000 of one name, p50 (p99)",
        "≤ 200 µs",
        f"{median:.0f} ({statistics.quantiles(times, n=100)[98]:.0f}) µs",
        median <= 200,
    )


def posting(run: Run, daemon: Daemon, address: tuple[str, int]) -> Row:
    """Processor time of POST /tasks and the first run, once it is known."""
    clients = [Client(address) for _ in range(CLIENTS)]
    found = []
    for _ in range(run.rounds):
        tasks: list[str] = []
        used, end = cpu_seconds(daemon.pid), time.perf_counter() + run.seconds
        while time.perf_counter() < end and len(tasks) < 8000:
            tasks += [client.post(f"name {number}") for number, client in enumerate(clients)]
        found.append((cpu_seconds(daemon.pid) - used) / len(tasks) * 1000)
        run.say(f"{found[-1]:.2f} ms a task")
        for task in tasks:
            clients[0].delete(task)
    return Row(
        "windows: POST /tasks and its first run, 8 clients, records on: CPU",
        "≤ 1.5 ms",
        f"{middle(found)} ms",
        statistics.median(found) <= 1.5,
    )


def line_peer(path: Path) -> Peer:
    return connect(Address("unix", path=str(path)), 60.0)


def written(moment: float) -> bytes:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def lateness(run: Run, path: Path) -> Row:
    """How late the word comes that a window has begun, of a thousand that begin in the same second."""
    late: list[float] = []
    for number in range(run.rounds):
        peer = line_peer(path)
        peer.ask(b"notify on")
        start = int(time.time()) + AHEAD
        for place in range(AT_ONCE):
            peer.ask(b"book %b 5 0 at-once-%d-%d" % (written(start), number, place))
        opened = 0
        while opened < AT_ONCE:
            line = peer.receive_line(60.0)
            assert line is not None
            opened += b" open " in line
            late.append((time.time() - start) * 1000)
        run.say(f"the last of {AT_ONCE} began {late[-1]:.0f} ms late")
        peer.close()
        time.sleep(6)
    p99 = statistics.quantiles(late, n=100)[98]
    return Row(
        "windows: lateness of 1,000 that begin in the same second, p50 (p99)",
        "p99 ≤ 50 ms",
        f"{statistics.median(late):.0f} ({p99:.0f}) ms",
        p99 <= 50,
    )


def stall(run: Run, address: tuple[str, int], path: Path) -> Row:
    """The longest that others wait while somebody reads a long schedule, and while nobody does."""
    peer = line_peer(path)
    start = int(time.time()) + HOUR
    for number in range(PLANNED):
        peer.ask(b"book %b 60 0 planned-%d" % (written(start), number))
    peer.close()
    quiet = longest_wait(address, lambda: time.sleep(run.seconds))
    busy = max(
        longest_wait(address, lambda: apart(lambda: Client(address).drain("/schedule")))
        for _ in range(run.rounds)
    )
    run.say(f"stall {busy:.1f} ms, otherwise {quiet:.1f} ms")
    return Row(
        "windows: /schedule of 10,000 runs: others' longest stall",
        "≤ 20 ms",
        f"{busy:.1f} ms (without it {quiet:.1f} ms)",
        busy <= 20,
    )


def longest_wait(address: tuple[str, int], work: Callable[[], object]) -> float:
    """The longest that a small request takes while `work` is done, in milliseconds."""
    waits, over = [0.0], threading.Event()

    def look() -> None:
        client = Client(address)
        while not over.is_set():
            begun = time.perf_counter()
            client.ask("/api")
            waits.append(time.perf_counter() - begun)
            time.sleep(PAUSE)

    watcher = threading.Thread(target=look)
    watcher.start()
    work()
    over.set()
    watcher.join()
    return max(waits) * 1000
