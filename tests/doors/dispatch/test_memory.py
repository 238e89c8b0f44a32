"""The collector is off in the daemon: whatever a request leaves behind must go by itself."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glockd.bounds import in_force
from glockd.config import UNLIMITED, Config
from glockd.core.state import State
from glockd.doors.dispatch.desk import Desk
from glockd.doors.dispatch.elements import Elements
from glockd.doors.dispatch.records import Records
from glockd.doors.dispatch.routes import Routes
from glockd.doors.dispatch.users import Users
from glockd.net.exchange import Answer, Ask
from glockd.net.gate import Gate
from glockd.net.sweep import Sweep
from glockd.notices import Notice
from glockd.policy import Policy
from glockd.service import Service
from glockd.store.book import Book

ROUNDS = 20


def unheard(_: Notice) -> None:
    """Nobody reads the log."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Server:
    """A door without sockets."""

    def __init__(self, book: Book | None) -> None:
        loop = asyncio.get_running_loop()
        policy = Policy(in_force(Config(), UNLIMITED))
        policy.wall_offset = lambda: time.time() - time.monotonic()
        sweep = Sweep(loop, lambda: None)
        service = Service(loop, State(), policy, Gate(policy), sweep, deque(), unheard)
        records = None if book is None else Records(book)
        self.desk = Desk(service, Elements(), records)
        self.routes = Routes(self.desk, Users())
        if records is not None:
            records.restore(self.desk)

    async def asks(self, path: str, query: str = "", body: Any = None) -> Answer:
        method, content = ("GET", b"") if body is None else ("POST", json.dumps(body).encode())
        answer = self.routes.answer(Ask(method, f"/data/{path}", query, body=content))
        return answer if isinstance(answer, Answer) else await answer


async def play(server: Server) -> None:
    """Requests of all kinds: carried out, refused, given up, waited for, cut short."""
    created = await server.asks("create_project", body={"files": [f"n:{one}" for one in range(600)]})
    assert created.pieces is not None
    await created.pieces.aclose()
    [number] = [project.number for project in server.desk.projects]
    one = f"project_id={number}"
    assert json.loads((await server.asks("next_file", f"{one}&worker_id=w")).body)["handle"]
    await server.asks("release", f"handle_id={number}:n:0&worker_id=w")
    assert (await server.asks("next_file", "project_id=999&worker_id=w")).status == 404
    assert (await server.asks("create_project", body={"files": 5})).status == 400
    await server.asks("search_projects", body={"query": "num = 5 or owner ~ 'a'"})
    small = json.loads((await server.asks("create_project", body={"files": ["n:a"]})).body)["project_id"]
    await server.asks("next_file", f"project_id={small}&worker_id=w")
    for _ in range(2):
        wait = server.routes.answer(Ask("GET", "/data/next_file", f"project_id={small}&worker_id=v"))
        assert not isinstance(wait, Answer)
        wait.cancel()
    wait = server.routes.answer(Ask("GET", "/data/next_file", f"project_id={small}&worker_id=v"))
    assert not isinstance(wait, Answer)
    await server.asks("release", f"handle_id={small}:n:a&failed=yes")
    assert json.loads((await wait).body)["handle"]["worker_id"] == "v"
    for project in (number, small):
        await server.asks("delete_project", f"project_id={project}")
    await asyncio.gather(*server.desk._tasks)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("recorded", [False, True])
async def test_nothing_is_left_for_the_collector(tmp_path: Path, recorded: bool) -> None:
    loop = asyncio.get_running_loop()
    book = Book(str(tmp_path / "records"), "normal", loop, unheard) if recorded else None
    server = Server(book)
    await play(server)
    gc.collect()
    for _ in range(ROUNDS):
        await play(server)
    assert gc.collect() < ROUNDS
    table = server.desk.service.state.tables["items"]
    assert (len(table), table.held, table.waiting, len(server.desk.workers)) == (0, 0, 0, 0)
    assert len(server.desk.service.state.registry) == 0
    if book is not None:
        book.close()
