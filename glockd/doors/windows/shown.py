"""Tasks and runs as JSON shows them (the specification, sections 5, 8 and 10)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from glockd.doors.windows import results, times
from glockd.doors.windows.arguments import to_arguments
from glockd.doors.windows.calendar import EXCLUSIVE
from glockd.doors.windows.jsons import cleaned
from glockd.doors.windows.states import DISPLAY, NONSTART
from glockd.doors.windows.task import Run, Task

DIAGS: Final = "No limits were applied"


class View(NamedTuple):
    """How the one who asks sees it."""

    base: str  # the URL of all, as `https://host:443/pscheduler`
    host: str  # what it calls this server

    def task_url(self, task: Task) -> str:
        """The URL of a task."""
        return f"{self.base}/tasks/{task.uuid}"

    def run_url(self, run: Run) -> str:
        """The URL of a run."""
        return f"{self.base}/tasks/{run.task.uuid}/runs/{run.uuid}"


def posted_of(task: Task) -> dict[str, Any]:
    """A task as it was posted; one that a verb made as it would have been."""
    if task.posted is not None:
        return task.posted
    plan = task.plan
    schedule: dict[str, Any] = {}
    if plan.start is not None:
        schedule["start"] = times.write_short(plan.start)
    if plan.slip:
        schedule["slip"] = times.write_duration(plan.slip)
    return {"test": {"type": task.test, "spec": task.spec}, "schedule": schedule, "tool": task.tool}


def show_task(task: Task, view: View, *, secrets: bool = False, detail: bool = False) -> dict[str, Any]:
    """A task.

    Args:
        task: it.
        view: how the one who asks sees it.
        secrets: whether that one knows its key.
        detail: whether what became of it is told too.
    """
    posted = posted_of(task)
    found = (dict(posted) if secrets else cleaned(posted)) | {"href": view.task_url(task)}
    if detail:
        found["detail"] = _detail(task, view)
    return found


def _detail(task: Task, view: View) -> dict[str, Any]:
    url, plan = view.task_url(task), task.plan
    return {
        "added": times.write_moment(task.added),
        "anytime": task.is_background,
        "exclusive": task.mode == EXCLUSIVE,
        "multi-result": False,
        "cli": to_arguments(task.spec),
        "diags": DIAGS,
        "duration": times.write_duration(task.length),
        "post": "P0D",
        "enabled": task.enabled,
        "hints": {"requester": task.requester},
        "participant": 0,
        "participants": [view.host],
        "runs": task.made,
        "runs-started": task.begun,
        "slip": times.write_duration(plan.slip),
        "start": None if plan.start is None else times.write_moment(plan.start),
        "href": url,
        "runs-href": f"{url}/runs",
        "first-run-href": f"{url}/runs/first",
        "next-run-href": f"{url}/runs/next",
    }


def show_run(run: Run, view: View, *, secrets: bool = False) -> dict[str, Any]:
    """A run; `secrets`: whether the one who asks knows the key of its task."""
    result = results.local(run)
    merged = results.merged(run)
    if not secrets:
        result, merged = cleaned(result), cleaned(merged)
    began = run.state != NONSTART
    return {
        "added": times.write_moment(run.added),
        "start-time": times.write_moment(run.start),
        "end-time": times.write_moment(run.end),
        "duration": times.write_duration(run.end - run.start),
        "state": run.state,
        "state-display": DISPLAY[run.state],
        "errors": _errors(run),
        "priority": run.task.priority,
        "limit-diags": DIAGS if began else None,
        "participant": 0,
        "participants": [view.host],
        "participant-data": {} if began else None,
        "participant-data-full": [{}] if began else None,
        "result": result,
        "result-full": None if result is None else [result],
        "result-merged": merged,
        "href": view.run_url(run),
        "task-href": view.task_url(run.task),
        "result-href": f"{view.run_url(run)}/result",
    }


def show_planned(run: Run, view: View, task: dict[str, Any]) -> dict[str, Any]:
    """A run as the schedule has it, less what tells of test and tool.

    Args:
        run: it.
        view: how the one who asks sees it.
        task: its task, as `show_task` shows it.
    """
    url = view.run_url(run)
    return {
        "start-time": times.write_moment(run.start),
        "end-time": times.write_moment(run.end),
        "href": url,
        "result-href": f"{url}/result",
        "state": run.state,
        "state-display": DISPLAY[run.state],
        "priority": run.task.priority,
        "cli": to_arguments(run.task.spec),
        "task": task,
    }


def _errors(run: Run) -> str | None:
    # What made it fail is part of its result.
    return None if results.local(run) is not None else run.errors
