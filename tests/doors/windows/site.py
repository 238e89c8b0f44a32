"""A server of windows as its clients see it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.doors.ldlm.adapters import address
from tests.support.process import Glockd

PATIENCE = 30.0
OPEN = ("-windows", "127.0.0.1:0")


class Reply(NamedTuple):
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.status == 200, self
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def written(at: float) -> str:
    """A moment as clients write it."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_hours(hours: float) -> int:
    """A moment of the coming day, in whole seconds."""
    return int(time.time() + hours * 3600)


class Site:
    """Asks a daemon."""

    def __init__(self, daemon: Glockd) -> None:
        self.daemon = daemon
        self.address = address(daemon, "windows")
        self.base = "http://{}:{}/pscheduler".format(*self.address)
        self.pool = ThreadPoolExecutor(8)

    def asks(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Reply:
        """One request on a connection of its own; `-` stands as `_` in names of arguments."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        return request(connection, path, method, body, headers, **query)

    def later(self, path: str, **query: Any) -> Future[Reply]:
        """Ask, and go on meanwhile."""
        return self.pool.submit(self.asks, path, **query)

    def posts(self, test: str = "window", duration: str = "PT1H", **rest: Any) -> str:
        """Post a task; its path.

        Args:
            rest: `resource`, and members of the schedule and of the task.
        """
        spec: dict[str, Any] = {"duration": duration}
        if "resource" in rest:
            spec["resource"] = rest.pop("resource")
        schedule = {
            name.replace("_", "-"): rest.pop(name)
            for name in ("start", "slip", "sliprand", "repeat", "until", "max_runs")
            if name in rest
        }
        body = {"test": {"type": test, "spec": spec}, "schedule": schedule, **rest}
        return self.below(self.asks("/tasks", "POST", body).json)

    def below(self, url: str) -> str:
        """The path of a URL that the server gave."""
        return urlsplit(url).path.removeprefix("/pscheduler")

    def run(self, task: str, which: str = "first") -> Any:
        """A run of a task."""
        return self.asks(f"{task}/runs/{which}", wait=0).json

    def becomes(self, task: str, state: str) -> Any:
        """The first run, once it is that."""
        deadline = time.monotonic() + PATIENCE
        while (run := self.run(task))["state"] != state:
            assert time.monotonic() < deadline, run
            time.sleep(0.02)
        return run


def request(
    connection: http.client.HTTPConnection,
    path: str,
    method: str = "GET",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    **query: Any,
) -> Reply:
    """One request on this connection, which is closed then."""
    try:
        words = {
            name.replace("_", "-"): value if isinstance(value, str | int) else json.dumps(value)
            for name, value in query.items()
        }
        target = f"/pscheduler{path}" + (f"?{urlencode(words)}" if words else "")
        content = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, target, content, dict(headers or {}))
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, fields, answer.read())
    finally:
        connection.close()
