"""A Data Dispatcher's server as its clients see it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from glockd_tester.cases.dispatch.tokens import md5, mint
from tests.doors.ldlm.adapters import address
from tests.support.process import Glockd

SECRET = "s3cret"
PATIENCE = 30.0


class Reply(NamedTuple):
    """What was answered."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        assert self.status == 200, self
        return json.loads(self.body)

    @property
    def line(self) -> str:
        return self.body.decode().rstrip("\n")


def flags(folder: Path) -> tuple[str, ...]:
    """With which the daemon asks for tokens; `root` is an administrator."""
    files = {
        "secret": f"{SECRET}\n",
        "users": "# who may\nalice\nbob\nroot admin\n",
        "password": f"alice:site:{md5('alice:site:pw')}\n",
    }
    found = ["-dispatch", "127.0.0.1:0", "-dispatch-hold-seconds=20"]
    for name, content in files.items():
        (folder / name).write_text(content)
        found += [f"-dispatch-{name}-file", str(folder / name)]
    return tuple(found)


class Site:
    """Asks a daemon."""

    def __init__(self, daemon: Glockd, user: str | None = "alice") -> None:
        self.daemon = daemon
        self.address = address(daemon, "dispatch")
        self.user = user
        self.pool = ThreadPoolExecutor(8)

    def asks(
        self, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **query: Any
    ) -> Reply:
        """GET, or POST where there is a body."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            target = f"/data/{path}" + (f"?{urlencode(query)}" if query else "")
            fields = dict(headers or {})
            if self.user is not None:
                now = time.time()
                fields["X-Authentication-Token"] = mint(SECRET, sub=self.user, nbf=now, exp=now + 600)
            content = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request("GET" if body is None else "POST", target, content, fields)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read())
        finally:
            connection.close()

    def later(self, call: Callable[[], Reply]) -> Future[Reply]:
        """Ask, and go on meanwhile."""
        return self.pool.submit(call)

    def project(self, *names: str, **described: Any) -> int:
        """A new project; its id."""
        number: int = self.asks(
            "create_project", {"files": [f"n:{name}" for name in names], **described}
        ).json["project_id"]
        return number

    def next(self, project: int, worker: str = "w") -> Any:
        """What next_file answers."""
        return self.asks("next_file", project_id=project, worker_id=worker).json

    def takes(self, project: int, worker: str = "w") -> str | None:
        """The name of the next file."""
        handle = self.next(project, worker)["handle"]
        return None if handle is None else str(handle["name"])

    def releases(self, project: int, name: str, **how: Any) -> Reply:
        return self.asks("release", handle_id=f"{project}:n:{name}", **how)

    def states(self, project: int) -> dict[str, str]:
        handles = self.asks("project", project_id=project).json["file_handles"]
        return {one["name"]: one["state"] for one in handles}
