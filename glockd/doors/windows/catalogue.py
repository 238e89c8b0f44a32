"""What this server is and offers: routes that change nothing and know no task (the specification, section 2)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from glockd import __version__
from glockd.doors.windows import replies, times
from glockd.doors.windows.arguments import Asked, to_spec
from glockd.doors.windows.call import HIGHEST_API, Call, Reply, Routes
from glockd.doors.windows.jsons import BadJson, read
from glockd.doors.windows.offered import TESTS, TOOLS, lasting, tools_for
from glockd.doors.windows.refusal import Refusal
from glockd.doors.windows.shown import DIAGS
from glockd.doors.windows.specs import check_spec, participants
from glockd.doors.windows.states import (
    CLEANUP,
    FAILED,
    FINISHED,
    MISSED,
    NONSTART,
    ON_DECK,
    OVERDUE,
    PENDING,
    PREEMPTED,
    RUNNING,
)

if TYPE_CHECKING:
    from glockd.doors.windows.desk import Desk

# Runs in these states are counted when somebody asks.
COUNTED: Final = frozenset(
    {PENDING, ON_DECK, RUNNING, CLEANUP, FINISHED, OVERDUE, MISSED, FAILED, PREEMPTED, NONSTART}
)

# What is always empty: nothing is archived, and no request waits in a queue.
EMPTY: Final = frozenset(
    {("archiving", "backlog"), ("archiving", "upcoming"), ("http-queue", "backlog"), ("http-queue", "length")}
)

# Runs that are looked at before others get their turn: some 1 ms.
RUNS_A_TURN: Final = 2000

NOT_MEASURED: Final = "This server measures nothing, and so does not know."


class Catalogue:
    """Answers what does not depend on tasks.

    Args:
        desk: knows the time and the runs.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._since = desk.wall()

    def find(self, words: tuple[str, ...]) -> Routes | None:
        """Who answers at a path; None: it is none of these."""
        match words:
            case ("",):
                return {"GET": lambda call: self._json(call, self._greeting())}
            case ("api",):
                return {"GET": lambda call: self._json(call, HIGHEST_API)}
            case ("hostname",):
                return {"GET": lambda call: self._json(call, socket.gethostname())}
            case ("schedule-horizon",):
                return {"GET": lambda call: self._json(call, times.write_duration(self._desk.book.horizon))}
            case ("clock",):
                return {"GET": self._clock}
            case ("mtu-safe" | "mtu",):
                return {"GET": self._mtu}
            case ("status",):
                return {"GET": self._status}
            case ("limits",):
                return {"GET": self._limits}
            case ("tests" | "tools" | "archivers" | "contexts" as kind, *rest):
                return self._plugins(kind, tuple(rest))
            case ("stat", *rest):
                return self._stat(tuple(rest))
        return None

    def _plugins(self, kind: str, rest: tuple[str, ...]) -> Routes | None:
        match kind, rest:
            case "tests", ():
                return {"GET": self._tests}
            case "tests", (_,):
                return {"GET": self._test}
            case "tests", (_, "spec"):
                return {"GET": self._spec}
            case "tests", (_, "spec", "is-valid"):
                return {"GET": self._is_valid}
            case "tests", (_, "participants"):
                return {"GET": self._participants}
            case "tests", (_, "tools"):
                return {"GET": self._tools_of}
            case "tools", ():
                return {"GET": self._tools}
            case "tools", (_,):
                return {"GET": self._tool}
            case (("archivers" | "contexts"), ()):
                return {"GET": lambda call: self._json(call, [])}
            case (("archivers" | "contexts"), (_,) | (_, "data-is-valid")):
                return {"GET": self._no_plugin}
        return None

    def _json(self, call: Call, value: Any) -> Reply:
        return replies.json(value, pretty=call.pretty)

    # The server

    def _greeting(self) -> str:
        return f"This is the pScheduler API server on {socket.gethostname()} (glockd {__version__})."

    def _clock(self, call: Call) -> Reply:
        # Whether something keeps the clock right is the system's to know.
        return self._json(call, {"time": times.write_finely(self._desk.wall()), "synchronized": False})

    def _mtu(self, call: Call) -> Reply:
        if not call.given.get("dest"):
            raise Refusal(400, "Missing destination")
        return self._json(call, {"safe": False, "message": NOT_MEASURED})

    def _status(self, call: Call) -> Reply:
        desk = self._desk

        def written(moment: float | None) -> str | None:
            return None if moment is None else times.write_moment(moment)

        now = desk.wall()
        service = {
            "last": times.write_moment(now),
            "uptime": times.write_duration(max(0, int(now - self._since))),
            "overdue": False,
            "updates": 1,
            "expected": "PT1S",
            "next_time": times.write_moment(now + 1),
        }
        runs = {"last-finished": written(desk.finished_at), "last-scheduled": written(desk.scheduled_at)}
        return self._json(
            call,
            {
                "time": times.write_moment(now),
                "limits": {"ok": True},
                "services": {"glockd": service},
                "runs": runs,
            },
        )

    def _limits(self, call: Call) -> Reply:
        call.json("proposal", "No proposal provided")
        return self._json(call, {"passed": True, "diags": DIAGS})

    # Counts

    def _stat(self, rest: tuple[str, ...]) -> Routes | None:
        match rest:
            case ("control", "pause"):
                return {"GET": lambda call: self._json(call, {"is_paused": False})}
            case ("runs", state) if state in COUNTED:
                return {"GET": self._count}
            case (_, _) if rest in EMPTY:
                return {"GET": lambda call: self._json(call, 0)}
        return None

    def _count(self, call: Call) -> Reply:
        start, end = self._bound(call, "start"), self._bound(call, "end")
        if start is None and end is None:
            return self._json(call, self._desk.book.states[call.words[2]])
        return self._count_between(call, start, end)

    def _bound(self, call: Call, name: str) -> int | None:
        given = call.given.get(name, "").replace(" ", "+")
        if given[:2] not in ("+P", "-P"):
            return call.moment(name, "Invalid start or end time")
        try:
            seconds = times.whole(times.duration(given[1:]))
        except ValueError:
            raise Refusal(400, "Invalid start or end time") from None
        return int(self._desk.wall()) + (seconds if given[0] == "+" else -seconds)

    async def _count_between(self, call: Call, start: int | None, end: int | None) -> Any:
        runs = iter(list(self._desk.book.runs.values()))
        count = 0
        while some := list(islice(runs, RUNS_A_TURN)):
            count += sum(
                run.state == call.words[2]
                and (start is None or run.start >= start)
                and (end is None or run.start <= end)
                for run in some
            )
            await asyncio.sleep(0)
        return self._json(call, count)

    # Tests and tools

    def _tests(self, call: Call) -> Reply:
        return self._listed(call, [test.described(call.view.base) for test in TESTS.values()])

    def _listed(self, call: Call, described: list[dict[str, Any]]) -> Reply:
        return self._json(call, described if call.is_true("expanded") else [one["href"] for one in described])

    def _known(self, call: Call) -> str:
        """The test that a path names.

        Raises:
            Refusal: there is none.
        """
        name = call.words[1]
        if name not in TESTS:
            raise Refusal(404, f'No test "{name[:200]}" is available.')
        return name

    def _test(self, call: Call) -> Reply:
        return self._json(call, TESTS[self._known(call)].described(call.view.base))

    def _spec(self, call: Call) -> Reply:
        name = self._known(call)
        try:
            arguments = read(call.given.get("args", ""))
        except BadJson as error:
            raise Refusal(400, f"JSON passed to 'args': {error}") from None
        try:
            return self._json(call, to_spec(name, arguments))
        except Asked as answer:
            raise Refusal(400, str(answer)) from None

    def _is_valid(self, call: Call) -> Reply:
        name = self._known(call)
        if "spec" not in call.given:
            raise Refusal(400, "No test spec provided")
        try:
            wrong = check_spec(name, read(call.given["spec"]))
        except BadJson as error:
            wrong = str(error)
        return self._json(call, {"valid": False, "error": wrong} if wrong else {"valid": True})

    def _participants(self, call: Call) -> Reply:
        name = self._known(call)
        spec = call.json("spec", "No test spec provided")
        wrong = check_spec(name, spec)
        if wrong:
            raise Refusal(400, wrong)
        found = participants(spec)
        answer: dict[str, Any] = {"participants": found}
        if None in found:
            reason = "No host was specified, so this server is the one."
            answer |= {"null-reason": reason, "reason": reason}
        return self._json(call, answer)

    def _tools_of(self, call: Call) -> Reply:
        return self._listed(call, [tool.described(call.view.base) for tool in tools_for(call.words[1])])

    def _tools(self, call: Call) -> Reply:
        if "test" not in call.given:
            return self._listed(call, [tool.described(call.view.base) for tool in TOOLS.values()])
        test = call.json("test", "")
        if not isinstance(test, dict) or not isinstance(test.get("type"), str):
            raise Refusal(400, "A test has a type and a spec")
        return self._json(call, list(self._able(call, test["type"], test.get("spec"))))

    def _able(self, call: Call, name: str, spec: Any) -> Iterator[dict[str, Any]]:
        """The tools for a test, each with whether it can carry it out, or, as it once was, those that can."""
        if name not in TESTS:
            return
        wrong = check_spec(name, spec)
        for tool in tools_for(name):
            described = {key: value for key, value in tool.described(call.view.base).items() if key != "href"}
            reason = wrong or tool.refuses(lasting(name, spec), self._desk.book.horizon)
            can_run: dict[str, Any] = {"can-run": not reason}
            if reason:
                can_run["reasons"] = [reason]
            if call.api >= HIGHEST_API:
                yield {"can-run": can_run, "tool": described}
            elif not reason:
                yield described

    def _tool(self, call: Call) -> Reply:
        tool = TOOLS.get(call.words[1])
        if tool is None:
            raise Refusal(404, f'No tool "{call.words[1][:200]}" is available.')
        return self._json(call, tool.described(call.view.base))

    def _no_plugin(self, call: Call) -> Reply:
        kind = call.words[0].removesuffix("s")
        raise Refusal(404, f'No {kind} "{call.words[1][:200]}" is available.')
