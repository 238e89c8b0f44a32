"""Tasks over HTTP: posted, listed, shown, deleted (the specification, sections 2 and 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from glockd.doors.windows import replies, times
from glockd.doors.windows.access import demand_right, found, sees_secrets
from glockd.doors.windows.arguments import to_arguments
from glockd.doors.windows.call import Call, Reply, Routes
from glockd.doors.windows.hosts import peer_of
from glockd.doors.windows.jsons import contains
from glockd.doors.windows.posted import Wanted, read_task
from glockd.doors.windows.refusal import Refusal
from glockd.doors.windows.shown import show_task
from glockd.doors.windows.task import Task
from glockd.net.answers import text
from glockd.net.exchange import Answer

if TYPE_CHECKING:
    from glockd.doors.windows.desk import Desk

# Tasks that are compared with what is wanted, before others get their turn: some 2 ms.
TASKS_A_TURN: Final = 25


class TaskRoutes:
    """Answers what is about tasks.

    Args:
        desk: where requests become calls.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._book = desk.book

    def find(self, words: tuple[str, ...]) -> Routes | None:
        """Who answers at a path; None: it is none of these."""
        match words:
            case ("tasks",):
                return {"GET": self._list, "POST": self._post}
            case ("tasks", _):
                return {"GET": self._show, "DELETE": self._delete}
            case ("tasks", _, "cli"):
                return {"GET": self._cli}
            case ("tasks", _, "runtimes"):
                return {"GET": self._runtimes}
        return None

    def _task(self, call: Call) -> Task:
        return found(self._book.tasks, call.words[1])

    def _post(self, call: Call) -> Reply:
        ask = call.ask
        if "X-pScheduler-Requester" in ask.headers:
            raise Refusal(403, "Requester proxying not allowed")
        self._desk.demand()
        now, config = self._desk.wall(), self._desk.service.policy.config
        wanted = read_task(ask, now, self._book.horizon, config.max_name)
        task = _new_task(wanted, next(self._book.task_numbers), now, peer_of(ask))
        self._desk.add(task)
        url = call.view.task_url(task)
        answer = replies.json(url, pretty=call.pretty)
        if call.is_true("expanded"):
            more = "&".join(name for name in ("detail", "pretty") if call.is_true(name))
            where = "Location", f"{url}?{more}" if more else url
            answer = Answer(303, (*answer.headers, where), answer.body)
        return self._desk.recorded(lambda: answer)

    def _list(self, call: Call) -> Reply:
        wanted = call.json("json", "") if "json" in call.given else None
        tasks = list(self._book.tasks.values())
        if wanted is None:
            return self._listed(call, tasks)
        return self._chosen(call, tasks, wanted)

    def _listed(self, call: Call, tasks: list[Task]) -> Answer:
        return replies.array(self._shown(call, tasks), pretty=call.pretty)

    def _shown(self, call: Call, tasks: list[Task]) -> Iterator[Any]:
        expanded, detail = call.is_true("expanded"), call.is_true("detail")
        for task in tasks:
            yield show_task(task, call.view, detail=detail) if expanded else call.view.task_url(task)

    async def _chosen(self, call: Call, tasks: list[Task], wanted: Any) -> Answer:
        chosen: list[Task] = []
        remaining = iter(tasks)
        while some := list(islice(remaining, TASKS_A_TURN)):
            chosen += [task for task in some if contains(show_task(task, call.view, detail=True), wanted)]
            await asyncio.sleep(0)
        return self._listed(call, chosen)

    def _show(self, call: Call) -> Reply:
        task = self._task(call)
        secrets = sees_secrets(call, task)
        shown = show_task(task, call.view, secrets=secrets, detail=call.is_true("detail"))
        return replies.json(shown, pretty=call.pretty)

    def _delete(self, call: Call) -> Reply:
        task = self._task(call)
        demand_right(call, task)
        self._desk.demand()
        self._desk.disable(task)
        return self._desk.recorded(lambda: text("OK"))

    def _cli(self, call: Call) -> Reply:
        task = self._task(call)
        return replies.json([task.test, *to_arguments(task.spec)], pretty=call.pretty)

    def _runtimes(self, call: Call) -> Reply:
        task = self._task(call)
        start, end = call.span()
        if task.is_background:
            lower, upper = (None if one is None else times.write_moment(one) for one in (start, end))
            return replies.json([{"lower": lower, "upper": upper}], pretty=call.pretty)
        soonest = int(self._desk.wall()) + 1
        latest = soonest - 1 + self._book.horizon
        begin = soonest if start is None else max(start, soonest)
        until = latest if end is None else min(end, latest)
        return self._free(call, task, begin, until)

    async def _free(self, call: Call, task: Task, begin: int, until: int) -> Answer:
        ranges: list[dict[str, str]] = []
        while begin < until:
            # The calendar may change between two looks.
            some = list(islice(self._book.calendars.free(task, begin, until), TASKS_A_TURN))
            ranges += [
                {"lower": times.write_moment(lower), "upper": times.write_moment(upper)}
                for lower, upper in some
            ]
            begin = some[-1][1] if len(some) == TASKS_A_TURN else until
            await asyncio.sleep(0)
        return replies.array(ranges, pretty=call.pretty)


def _new_task(wanted: Wanted, number: int, now: float, requester: str) -> Task:
    lasts = 0.0 if wanted.test.name == "noop" else float(wanted.lasts)
    length = wanted.tool.length(wanted.lasts)
    return Task(
        uuid=str(uuid4()),
        number=number,
        test=wanted.test.name,
        tool=wanted.tool.name,
        resource=wanted.resource,
        mode=wanted.test.mode,
        length=length,
        lasts=float(length) if wanted.tool.name == "hold" else lasts,
        plan=wanted.plan,
        added=now,
        requester=requester,
        by=requester.encode(),
        spec=wanted.spec,
        posted=wanted.posted,
        key=wanted.posted.get("_key"),
        priority=wanted.posted.get("priority"),
    )
