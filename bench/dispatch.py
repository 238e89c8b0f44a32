"""What Data Dispatcher's clients cost, how soon a file is handed over, and what large projects do to others."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rows import LOAD_CORE, SERVER_CORE, Row, Run, middle
from glockd_tester.cases.daemon import Daemon
from glockd_tester.process import cpu_seconds, resident_bytes
from glockd_tester.server import GLOCKD

PINNED = ("taskset", "-c", str(SERVER_CORE), *GLOCKD)
WORKERS, FILES, LARGE, HAND_OVERS = 8, 2000, 100_000, 200
PROJECTS = 10  # large ones, for the start: a million handles
PAUSE = 0.002  # seconds until a waiter stands in line


class Client:
    """One kept-alive connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=120.0)

    def ask(self, path: str, body: Any = None) -> Any:
        """The answer's JSON; POST where there is a body."""
        content = None if body is None else json.dumps(body)
        self._connection.request("GET" if body is None else "POST", f"/data/{path}", content)
        return json.loads(self._connection.getresponse().read())

    def send(self, path: str) -> None:
        self._connection.request("GET", f"/data/{path}")

    def receive(self) -> Any:
        return json.loads(self._connection.getresponse().read())

    def project(self, files: int) -> int:
        names = [{"namespace": "n", "name": f"file-{number:06}"} for number in range(files)]
        self._connection.request("POST", "/data/create_project", json.dumps({"files": names}))
        answer = self._connection.getresponse()
        number = int(answer.read(64).split(b":")[1].split(b",")[0])
        while answer.read(1 << 20):
            pass
        return number

    def pair(self, project: int, worker: str) -> None:
        """Take a file and give it back, for another try: so a project lasts."""
        handle = self.ask(f"next_file?project_id={project}&worker_id={worker}")["handle"]
        self.ask(f"release?handle_id={project}:n:{handle['name']}&worker_id={worker}&failed=yes")


@contextmanager
def served(folder: Path) -> Iterator[Daemon]:
    with Daemon(("-records", str(folder / "records")), ("-dispatch",), folder, command=PINNED) as daemon:
        yield daemon


def dispatch(run: Run) -> Iterator[Row]:
    """CPU of the server a pair, hand-over, stalls, and the start with a million handles on record."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        with tempfile.TemporaryDirectory() as name, served(Path(name)) as daemon:
            address = daemon.address("-dispatch")
            yield from costs(run, daemon, address)
            yield hand_over(run, address)
            yield stall(run, address)
        with tempfile.TemporaryDirectory() as name:
            yield from start(run, Path(name))
    finally:
        os.sched_setaffinity(0, before)


def costs(run: Run, daemon: Daemon, address: tuple[str, int]) -> Iterator[Row]:
    found = {files: pairs(run, daemon, address, files) for files in (FILES, LARGE)}
    small, large = found.values()
    yield Row(
        "Data Dispatcher, next_file and release, 8 workers, records on: CPU a pair",
        "≤ 300 µs",
        f"{middle(small)} µs",
        statistics.median(small) <= 300,
    )
    ratio = statistics.median(large) / statistics.median(small)
    yield Row("the same with 100,000 files in the project", "≤ 1.2 times", f"{ratio:.2f}", ratio <= 1.2)


def pairs(run: Run, daemon: Daemon, address: tuple[str, int], files: int) -> list[float]:
    """Microseconds of the server's CPU for each pair, round by round."""
    project = Client(address).project(files)
    clients = [Client(address) for _ in range(WORKERS)]
    found = []
    for _ in range(run.rounds):
        used, done, end = cpu_seconds(daemon.pid), 0, time.perf_counter() + run.seconds
        while time.perf_counter() < end:
            for number, client in enumerate(clients):
                client.pair(project, f"w{number}")
            done += WORKERS
        found.append((cpu_seconds(daemon.pid) - used) / done * 1e6)
        run.say(f"{files} files: {found[-1]:.0f} µs a pair")
    return found


def hand_over(run: Run, address: tuple[str, int]) -> Row:
    """From a release to the answer of the next_file that waits."""
    one, other, times = Client(address), Client(address), []
    project = one.project(1)
    held = one.ask(f"next_file?project_id={project}&worker_id=w")["handle"]["name"]
    for _ in range(HAND_OVERS):
        other.send(f"next_file?project_id={project}&worker_id=w")
        time.sleep(PAUSE)
        begun = time.perf_counter()
        one.send(f"release?handle_id={project}:n:{held}&failed=yes")
        held = other.receive()["handle"]["name"]
        times.append((time.perf_counter() - begun) * 1000)
        one.receive()
        one, other = other, one
    median = statistics.median(times)
    run.say(f"hand-over {median:.2f} ms")
    return Row(
        "Data Dispatcher, release to the waiting next_file's answer, p50",
        "≤ 2 ms",
        f"{median:.2f} ms",
        median <= 2,
    )


def stall(run: Run, address: tuple[str, int]) -> Row:
    """The longest that others wait while a large project is made, and while nothing else is done."""
    quiet = longest_wait(address, lambda: time.sleep(run.seconds))
    busy = longest_wait(address, lambda: apart(lambda: Client(address).project(LARGE)))
    run.say(f"stall {busy:.1f} ms, otherwise {quiet:.1f} ms")
    return Row(
        "Data Dispatcher, create_project with 100,000 files: others' longest stall",
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
            client.ask("rses")
            waits.append(time.perf_counter() - begun)
            time.sleep(PAUSE)

    watcher = threading.Thread(target=look)
    watcher.start()
    work()
    over.set()
    watcher.join()
    return max(waits) * 1000


def apart(work: Callable[[], object]) -> None:
    """Do something in a process of its own that comes last: it is not to hold up the one that looks."""
    pid = os.fork()
    if pid == 0:
        os.nice(19)
        work()
        os._exit(0)
    os.waitpid(pid, 0)


def start(run: Run, folder: Path) -> Iterator[Row]:
    with served(folder) as daemon:
        empty = resident_bytes(daemon.pid)
        for _ in range(PROJECTS):
            Client(daemon.address("-dispatch")).project(LARGE)
        daemon.kill()
        begun = time.perf_counter()
        daemon.start()
        seconds = time.perf_counter() - begun
        each = (resident_bytes(daemon.pid) - empty) / (PROJECTS * LARGE)
    run.say(f"start {seconds:.1f} s, {each:.0f} bytes a handle")
    yield Row("start with 1,000,000 handles on record", "≤ 10 s", f"{seconds:.1f} s", seconds <= 10)
    yield Row("memory a handle", "≤ 500 B", f"{each:.0f} B", each <= 500)
