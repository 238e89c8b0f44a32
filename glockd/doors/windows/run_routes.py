"""Runs over HTTP: listed, posted, shown, waited for, deleted (the specification, sections 2, 8 and 9)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from glockd.doors.windows import replies, results, times
from glockd.doors.windows.access import demand_right, found, sees_secrets
from glockd.doors.windows.call import Call, Reply, Routes
from glockd.doors.windows.jsons import BadJson, cleaned, read
from glockd.doors.windows.refusal import Refusal, not_found
from glockd.doors.windows.shown import show_run
from glockd.doors.windows.states import CANCELED, NONSTART, UPCOMING
from glockd.doors.windows.task import Run, Task
from glockd.net.answers import PLAIN, respond, text
from glockd.net.exchange import Answer

if TYPE_CHECKING:
    from glockd.doors.windows.desk import Desk

# How long somebody waits who does not say it, and at the most, in seconds; and for a result.
WAIT: Final = 30
LONGEST_WAIT: Final = 300
RESULT_WAIT: Final = 10

# In place of a run: the earliest there is, and the earliest that is still to begin.
RELATIVE: Final = ("first", "next")

HTML: Final = "text/html; charset=utf-8"


class RunRoutes:
    """Answers what is about runs.

    Args:
        desk: where requests become calls.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._book = desk.book

    def find(self, words: tuple[str, ...]) -> Routes | None:
        """Who answers at a path; None: it is none of these."""
        match words:
            case ("tasks", _, "runs"):
                return {"GET": self._list, "POST": self._post}
            case ("tasks", _, "runs", _):
                return {"GET": self._show, "PUT": self._put, "DELETE": self._delete}
            case ("tasks", _, "runs", _, "result"):
                return {"GET": self._result}
        return None

    def _task(self, call: Call) -> Task:
        return found(self._book.tasks, call.words[1])

    def _run(self, call: Call) -> tuple[Task, Run]:
        task = self._task(call)
        run = self._book.by_uuid.get(call.words[3].lower())
        if run is None or run.task is not task:
            raise not_found()
        return task, run

    # Lists

    def _list(self, call: Call) -> Reply:
        task = self._task(call)
        wrong = "Invalid ISO8601 date"
        start, end, limit = call.moment("start", wrong), call.moment("end", wrong), call.cardinal("limit")
        upcoming, now = call.is_true("upcoming"), self._desk.wall()

        def fits(run: Run) -> bool:
            return (
                (start is None or run.start >= start)
                and (end is None or run.end <= end)
                and not (upcoming and (run.end <= now or run.state not in UPCOMING))
            )

        chosen = [call.view.run_url(run) for run in task.runs if fits(run)][:limit]
        return replies.array(chosen, pretty=call.pretty)

    # One run

    def _post(self, call: Call) -> Reply:
        task = self._task(call)
        demand_right(call, task)
        self._desk.demand()
        start = self._start(call)
        now = self._desk.wall()
        if start > now + self._book.horizon:
            ahead = times.write_duration(self._book.horizon)
            raise Refusal(400, f"Cannot schedule runs more than {ahead} in advance")
        if start < math.floor(now):
            raise Refusal(400, "Cannot schedule runs in the past")
        if not task.enabled:
            raise Refusal(409, "The task is disabled.")
        run = self._desk.post(task, start)
        if run is None:
            raise Refusal(409, "Run would create a scheduling conflict.")
        answer = replies.json(call.view.run_url(run), pretty=call.pretty)
        return self._desk.recorded(lambda: answer)

    def _start(self, call: Call) -> int:
        """When a posted run is to begin."""
        try:
            body = read(call.ask.body)
        except BadJson as error:
            raise Refusal(400, str(error)) from None
        if not isinstance(body, dict):
            raise Refusal(400, "Invalid JSON: JSON must be an object")
        if "start-time" not in body:
            raise Refusal(400, "Missing start time")
        try:
            return times.moment(body["start-time"])
        except (ValueError, TypeError):
            raise Refusal(400, "Invalid JSON: Invalid ISO8601 date") from None

    def _put(self, call: Call) -> Reply:
        # From server to server, where several take part in a run: here none do.
        self._task(call)
        try:
            body = read(call.ask.body)
        except BadJson:
            body = None
        if not isinstance(body, dict):
            raise Refusal(400, "Invalid or missing run data")
        if "start-time" not in body:
            raise Refusal(400, "Missing start time")
        raise Refusal(400, "Lead participant should not be given a run UUID.")

    def _delete(self, call: Call) -> Reply:
        task, run = self._run(call)
        demand_right(call, task)
        self._desk.demand()
        self._desk.remove(run)
        return self._desk.recorded(lambda: text("OK"))

    def _show(self, call: Call) -> Reply:
        task = self._task(call)
        secrets = sees_secrets(call, task)
        seconds = _wait(call, WAIT)
        if call.words[3] in RELATIVE:
            return self._relative(call, task, secrets, seconds)
        _, run = self._run(call)

        def answer() -> Answer:
            return replies.json(show_run(run, call.view, secrets=secrets), pretty=call.pretty)

        is_there = self._awaited(call, run)
        if is_there is None:
            return answer()
        return self._desk.when(task, lambda: answer() if is_there() else None, seconds, answer)

    def _relative(self, call: Call, task: Task, secrets: bool, seconds: float) -> Reply:
        """`first` or `next`, as soon as there is one."""

        def answer() -> Answer | None:
            run = self._next(task) if call.words[3] == "next" else next(iter(task.runs), None)
            if run is None:
                return None
            return replies.json(show_run(run, call.view, secrets=secrets), pretty=call.pretty)

        return self._desk.when(task, answer, seconds, _nothing)

    def _next(self, task: Task) -> Run | None:
        now = math.floor(self._desk.wall())
        return next((run for run in task.runs if run.start >= now), None)

    def _awaited(self, call: Call, run: Run) -> Callable[[], bool] | None:
        """Whether what is waited for is there; None if nothing is waited for.

        Raises:
            Refusal: too much is.
        """
        local, merged = call.is_true("wait-local"), call.is_true("wait-merged")
        if local and merged:
            raise Refusal(400, "Cannot wait on local and merged results")
        if not (local or merged):
            return None
        # What will never have a result, or is no more, is not waited for.
        return lambda: (
            run.is_over or run.state in (NONSTART, CANCELED) or self._book.find(run.number) is not run
        )

    # Results

    def _result(self, call: Call) -> Reply:
        wanted = call.given.get("format") or results.FORMATS[0]
        if wanted not in results.FORMATS:
            raise Refusal(400, f"Unsupported format {wanted[:200]}")
        task, run = self._run(call)
        secrets = sees_secrets(call, task)

        def answer() -> Answer | None:
            if results.merged(run) is None:
                # Of some there will never be one.
                return _nothing() if run.is_over else None
            return _written(run, wanted, secrets=secrets, pretty=call.pretty)

        return self._desk.when(task, answer, RESULT_WAIT if call.is_true("wait") else 0, _nothing)


def _written(run: Run, wanted: str, *, secrets: bool, pretty: bool) -> Answer:
    match wanted:
        case "text/plain":
            return respond(
                f"{results.plain(run, secrets=secrets)}\n".encode("utf-8", "backslashreplace"), PLAIN
            )
        case "text/html":
            return respond(
                f"{results.page(run, secrets=secrets)}\n".encode("utf-8", "backslashreplace"), HTML
            )
        case _:
            merged = results.merged(run)
            return replies.json(merged if secrets else cleaned(merged), pretty=pretty)


def _nothing() -> Answer:
    return text("Resource not found.", 404)


def _wait(call: Call, otherwise: int) -> float:
    """How long the one who asks waits, in seconds.

    Raises:
        Refusal: it says nonsense.
    """
    if "wait" not in call.given:
        return otherwise
    try:
        seconds = int(call.given["wait"][:16])
    except ValueError:
        raise Refusal(400, "Invalid integer.") from None
    if seconds < 0:
        raise Refusal(400, "Wait time must be >= 0")
    return min(seconds, LONGEST_WAIT)
