"""Faults of those who work on items, and of the daemon under them: nothing is done twice, and nothing forgotten."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from .addresses import Address
from .cases.daemon import Daemon
from .faults import PATIENCE, Report, fault, until
from .faults_ldlm import listens
from .peers import Ended, connect
from .server import LocalServer

WORKERS = 4
BETWEEN = 0.05  # seconds of work between two deaths of the daemon


@fault
def workers_killed(report: Report) -> None:
    """Processes that have an item each are killed: the time until the next one has it."""
    times = []
    with LocalServer() as server, connect(server.tcp, PATIENCE) as heir:
        for number in range(report.size(1000, 20)):
            pool = b"jobs-%d" % number
            heir.ask(b"put " + pool + b" item")
            worker = connect(server.tcp, PATIENCE)
            report.demand(worker.ask(b"take 0 " + pool).startswith(b"1 "), "an item was not to be had")
            process = subprocess.Popen(["sleep", "1000"], pass_fds=[worker.socket.fileno()])
            worker.socket.close()  # the process has it still
            heir.send(b"take inf " + pool + b"\n")
            start = time.perf_counter()
            process.send_signal(signal.SIGKILL)
            told = heir.receive_line(PATIENCE)
            times.append(time.perf_counter() - start)
            process.wait()
            report.demand(told == b"2 Item Take Success: item", f"heard {told!r}")
            report.demand(
                heir.ask(b"done " + pool + b" item").startswith(b"1 "), "an item was not to be done"
            )
        report.times("kill to the next worker's item", times)
        report.demand(heir.ask(b"pool") == b"0 []", "lists are left")


@fault
def items_outlive_the_daemon(report: Report) -> None:
    """The daemon is killed again and again while items of a work list on record are worked on."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "glockd.sock"
        address = Address("unix", path=str(path))

        def work(done: list[str], tries: dict[str, int]) -> None:
            with contextlib.suppress(OSError, Ended, TimeoutError), connect(address, PATIENCE) as peer:
                while True:
                    attempt, _, item = peer.ask(b"take 0 jobs").decode().partition(" Item Take Success: ")
                    if not item:
                        return
                    tries[item] = max(int(attempt), tries.get(item, 0))
                    if peer.ask(b"done jobs " + item.encode()).startswith(b"1 "):
                        done.append(item)

        options = [f"-unix={path}", f"-records={Path(name) / 'records'}"]
        with Daemon(options, (), Path(name)) as daemon:
            until(lambda: listens(address))
            items = [f"item {number}" for number in range(report.size(20_000, 800))]
            with connect(address, PATIENCE) as peer:
                for item in items:
                    peer.ask(b"put jobs " + item.encode())
            die_again_and_again(report, daemon, work, items, lambda: until(lambda: listens(address)))


@fault
def projects_outlive_the_daemon(report: Report) -> None:
    """The daemon is killed again and again while files of a Data Dispatcher's project are worked on."""
    with tempfile.TemporaryDirectory() as name:
        options = ["-records", str(Path(name) / "records"), "-dispatch-hold-seconds=1"]
        with Daemon(options, ("-dispatch",), Path(name)) as daemon:
            where = daemon.address("-dispatch")

            def asks(path: str, body: object = None, **query: object) -> tuple[int, bytes]:
                connection = http.client.HTTPConnection(*where, timeout=PATIENCE)
                with contextlib.closing(connection):
                    content = None if body is None else json.dumps(body)
                    connection.request(
                        "GET" if body is None else "POST", f"/data/{path}?{urlencode(query)}", content
                    )
                    answer = connection.getresponse()
                    return answer.status, answer.read()

            items = [f"{number:06}" for number in range(report.size(8_000, 300))]
            described = {"files": [f"n:{item}" for item in items], "worker_timeout": 3600}
            project = json.loads(asks("create_project", described)[1])["project_id"]

            def work(done: list[str], tries: dict[str, int]) -> None:
                worker = f"worker {threading.get_ident()}"
                with contextlib.suppress(OSError, http.client.HTTPException):
                    while True:
                        status, body = asks("next_file", project_id=project, worker_id=worker)
                        handle = json.loads(body)["handle"] if status == 200 else None
                        if handle is None:
                            return
                        item = handle["name"]
                        tries[item] = max(handle["attempts"], tries.get(item, 0))
                        if asks("release", handle_id=f"{project}:n:{item}", worker_id=worker)[0] == 200:
                            done.append(item)

            def give_back() -> None:
                """What was reserved is its worker's still, who is gone."""
                handles = json.loads(asks("handles", project_id=project, state="reserved")[1])
                for handle in handles:
                    handle_id = f"{project}:n:{handle['name']}"
                    asks(
                        "release",
                        handle_id=handle_id,
                        worker_id=handle["worker_id"],
                        failed="yes",
                        retry="yes",
                    )

            die_again_and_again(report, daemon, work, items, give_back)


def has_begun(threads: Sequence[threading.Thread], done: Sequence[str], number: int) -> bool:
    """Whether so many items are done, or nobody works any more."""
    return len(done) >= number or not any(one.is_alive() for one in threads)


def die_again_and_again(
    report: Report,
    daemon: Daemon,
    work: Callable[[list[str], dict[str, int]], None],
    items: list[str],
    before: Callable[[], object],
) -> None:
    """Kill the daemon under its workers, then let them finish, and see what became of each item.

    Args:
        work: takes items and says done, until there are no more or the daemon is gone; notes those of which the daemon
            has said that they are done, and the latest attempt at each.
        before: is called whenever the daemon has come up.
    """
    done: list[str] = []
    tries: dict[str, int] = {}
    deaths = report.size(100, 3)
    for death in range(deaths + 1):
        before()
        known = len(done)
        threads = [threading.Thread(target=work, args=(done, tries)) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        if death < deaths:
            until(partial(has_begun, threads, done, known + 10))
            time.sleep(BETWEEN)
            daemon.kill()
        for thread in threads:
            thread.join()
        if death < deaths:
            daemon.start()
    report.figures["times killed"] = deaths
    report.figures["items done"] = len(set(done))
    report.figures["items whose done was not answered"] = len(items) - len(set(done))
    report.figures["most attempts"] = max(tries.values())
    twice = len(done) - len(set(done))
    report.demand(twice == 0, f"{twice} items were done twice that were answered done")
    # At each death every worker may have said done, and not have heard whether it is.
    lost = len(items) - len(set(done))
    report.demand(lost <= WORKERS * deaths, f"{lost} items were forgotten")
