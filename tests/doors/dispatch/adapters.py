"""How clients of Data Dispatcher's door come in: each name of the contract is a project with one file."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

from glockd_tester.cases.dispatch.tokens import mint
from tests.doors.contract import Refused
from tests.doors.ldlm.adapters import address
from tests.support.clients import StreamClient
from tests.support.process import Glockd

PATIENCE = 30.0
AT_ONCE = 0.5  # seconds; who waits is kept for one
FILE = "n:file"


class Waiting:
    """A next_file that the server keeps open."""

    def __init__(self, worker: Worker, project: int, seconds: float | None) -> None:
        self.connection = worker.connect()
        self.future: Future[bool] = worker.adapter.threads.submit(self.asks, worker, project, seconds)

    def asks(self, worker: Worker, project: int, seconds: float | None) -> bool:
        """Whether there was a file; the server's own patience ends sooner than that of one who waits for ever."""
        end = None if seconds is None else time.monotonic() + seconds
        with contextlib.closing(self.connection), contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                begun = time.monotonic()
                found = worker.next(project, self.connection)
                now = time.monotonic()
                # A line that is full is answered at once: ask again.
                is_full = now - begun < AT_ONCE
                if found or found is None or is_full or (end is not None and now >= end):
                    return bool(found)
        return False


class Worker:
    """A worker with one plain connection beside its requests, at whose end it loses its files."""

    numbers = itertools.count()

    def __init__(self, adapter: DispatchAdapter, daemon: Glockd, secret: str | None) -> None:
        self.adapter = adapter
        self.address = address(daemon, "dispatch")
        self.secret = secret
        self.worker_id = f"worker-{next(self.numbers)}"
        self.waiting: list[Waiting] = []
        self.companion: StreamClient = daemon.stream("tcp")
        self.companion.says(f"iam {self.worker_id}").hears("1 ok")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.address, timeout=PATIENCE)

    def asks(
        self, path: str, body: Any = None, connection: http.client.HTTPConnection | None = None, **query: Any
    ) -> tuple[int, Any]:
        """GET, or POST where there is a body."""
        headers = {}
        if self.secret is not None:
            now = time.time()
            headers["X-Authentication-Token"] = mint(self.secret, sub="alice", nbf=now - 9, exp=now + 600)
        content = None if body is None else json.dumps(body)
        line = f"/data/{path}?{urlencode(query)}"
        with contextlib.ExitStack() as stack:
            ours = connection or stack.enter_context(contextlib.closing(self.connect()))
            ours.request("GET" if body is None else "POST", line, content, headers)
            answer = ours.getresponse()
            told = answer.read()
        if answer.status in (401, 403):
            raise Refused(told.decode())
        return answer.status, json.loads(told) if answer.status == 200 else None

    def next(self, project: int, connection: http.client.HTTPConnection | None = None) -> bool | None:
        """Whether there is a file; None: the server ends, or has ended."""
        status, told = self.asks(
            "next_file", connection=connection, project_id=project, worker_id=self.worker_id
        )
        return None if status != 200 else told["handle"] is not None

    def project(self, name: bytes, lease: float | None = None) -> int:
        known = self.adapter.projects
        key = self.address, name
        if key not in known:
            described = {"files": [FILE], "worker_timeout": lease}
            known[key] = self.asks("create_project", described)[1]["project_id"]
            self.adapter.called_so[name.decode()] = f"#{known[key]}"
        return known[key]

    def takes(self, name: bytes, lease: float | None = None) -> bool:
        project = self.project(name, lease)
        free = self.asks("handles", project_id=project, state="initial")[1]
        return bool(free) and bool(self.next(project))

    def waits(self, name: bytes, seconds: float | None = None) -> None:
        self.waiting.append(Waiting(self, self.project(name), seconds))

    def hears(self) -> bool:
        return self.waiting.pop(0).future.result(PATIENCE)

    def gives(self, name: bytes) -> bool:
        how: dict[str, Any] = {"worker_id": self.worker_id, "failed": "yes", "retry": "yes"}
        try:
            return self.asks("release", handle_id=f"{self.project(name)}:{FILE}", **how)[0] == 200
        except Refused:
            return False  # it is another worker's

    def vanishes(self) -> None:
        self.companion.vanishes()
        for waiting in self.waiting:
            sock = waiting.connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            waiting.future.result(PATIENCE)


class DispatchAdapter:
    """Data Dispatcher's HTTP API."""

    name = "http"
    flags = ("-dispatch", "127.0.0.1:0", "-dispatch-hold-seconds=1")
    odd_names: tuple[bytes, ...] = ()  # a project has a number
    secrets = "-dispatch-secret-file"

    def __init__(self) -> None:
        self.projects: dict[Any, int] = {}
        self.called_so: dict[str, str] = {}
        self.threads = ThreadPoolExecutor(256)

    def called(self, name: str) -> str:
        """What the core calls the project that stands for a name."""
        return self.called_so.get(name, name)

    def opens(self, daemon: Glockd, secret: str | None = None) -> Worker:
        return Worker(self, daemon, secret)


ADAPTERS = (DispatchAdapter(),)
