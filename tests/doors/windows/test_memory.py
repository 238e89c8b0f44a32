"""The collector is off in the daemon: whatever a request or a window leaves behind must go by itself."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from glockd.bounds import in_force
from glockd.config import UNLIMITED, Config
from glockd.core.state import State
from glockd.doors.windows.desk import Desk
from glockd.doors.windows.records import Records
from glockd.doors.windows.routes import RouteTable
from glockd.net.exchange import Answer, Ask, Fields
from glockd.net.gate import Gate
from glockd.net.sweep import Sweep
from glockd.notices import Notice
from glockd.policy import Policy
from glockd.service import Service
from glockd.store.book import Book

ROUNDS = 10


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
        self.ahead = 0.0  # seconds by which the wall clock was put forward
        policy.wall_offset = lambda: time.time() - time.monotonic() + self.ahead
        sweep = Sweep(loop, lambda: None)
        service = Service(loop, State(), policy, Gate(policy), sweep, deque(), unheard)
        self.desk = Desk(service, None if book is None else Records(book))
        self.desk.start()
        self.routes = RouteTable(self.desk, "http")

    def sends(self, path: str, method: str = "GET", body: Any = None, **query: Any) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        headers = Fields([("Host", "localhost")])
        ask = Ask(method, f"/pscheduler{path}", urlencode(query), headers, content, b"127.0.0.1:1")
        return self.routes.answer(ask)

    async def asks(self, path: str, method: str = "GET", body: Any = None, **query: Any) -> Answer:
        answer: Answer = self.sends(path, method, body, **query)
        return answer if isinstance(answer, Answer) else await answer

    async def posts(self, test: str, spec: dict[str, Any], **schedule: Any) -> str:
        body = {"test": {"type": test, "spec": spec}, "schedule": schedule}
        url: str = json.loads((await self.asks("/tasks", "POST", body)).body)
        return urlsplit(url).path.removeprefix("/pscheduler")


async def play(server: Server) -> None:
    """Requests of all kinds: carried out, refused, given up, waited for; windows that begin and end."""
    tasks = [
        await server.posts("window", {"duration": "PT1H"}, repeat="PT2H", start="PT1H"),
        await server.posts("window", {"duration": "PT1H"}, start="PT1H"),
        await server.posts("noop", {"data": 1}),
        await server.posts("window-shared", {"duration": "PT1H", "resource": "on"}),
    ]
    assert (await server.asks("/tasks", "POST", {"test": 1})).status == 400
    assert (await server.asks("/nothing")).status == 404
    for path in ("/schedule", "/monitor", "/tasks"):
        answer = await server.asks(path, expanded=1)
        if answer.pieces is not None:
            await answer.pieces.aclose()
    await server.asks("/tests/window/spec", args=json.dumps(["--bogus"]))
    await server.asks("/tests/window/spec", args=json.dumps(["--duration", "PT1S"]))
    given_up = server.sends(f"{tasks[0]}/runs/first", wait_merged="")
    href = json.loads((await server.asks(f"{tasks[0]}/runs/first")).body)["href"]
    waits = server.sends(urlsplit(href).path.removeprefix("/pscheduler"), **{"wait-merged": ""})
    assert not isinstance(waits, Answer)
    waits.cancel()
    if not isinstance(given_up, Answer):
        await given_up
    on = urlsplit(json.loads((await server.asks(f"{tasks[3]}/runs/first")).body)["href"]).path
    over = server.sends(on.removeprefix("/pscheduler"), **{"wait-merged": ""})
    server.ahead += 2
    server.desk.look()
    assert server.desk.service.state.tables["windows"].held == 1
    for task in tasks:
        assert (await server.asks(task, "DELETE")).status == 200
    assert json.loads((await over).body)["state"] == "canceled"
    for run in list(server.desk.book.runs.values()):
        server.desk.remove(run)
    server.desk.book.sweep(server.desk.wall() + 1e7, 1000)
    await asyncio.sleep(0)


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
    left = gc.collect()
    assert left < ROUNDS, left
    desk = server.desk
    table = desk.service.state.tables["windows"]
    assert (len(table), table.held) == (0, 0)
    assert (desk.book.tasks, desk.book.runs, desk.book.by_uuid, len(desk.book.calendars)) == ({}, {}, {}, 0)
    assert len(desk.service.state.registry) == 1  # what rings when it is time
    if book is not None:
        book.close()
