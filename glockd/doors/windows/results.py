"""What a run has come to, in each form in which that is told (the specification, sections 8 and 9)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from glockd.doors.windows.jsons import cleaned
from glockd.doors.windows.states import WITH_RESULT
from glockd.doors.windows.task import Run

FORMATS: Final = ("application/json", "text/plain", "text/html")


def local(run: Run) -> dict[str, Any] | None:
    """What its tool says; None if there is no result."""
    if run.state not in WITH_RESULT:
        return None
    if not run.succeeded:
        return {"succeeded": False, "diags": _diags(run), "error": run.errors or "", "result": None}
    return {"succeeded": True, "diags": _diags(run), "error": "", "result": _said(run)}


def merged(run: Run) -> dict[str, Any] | None:
    """What it has come to; None if there is no result."""
    if run.state not in WITH_RESULT:
        return None
    if not run.succeeded:
        return {"succeeded": False}
    spec = run.task.spec
    match run.task.test:
        case "noop":
            return {"data": spec.get("data"), "schema": 1, "succeeded": True}
        case "window" | "window-shared":
            resource = spec.get("resource", "host")
            return {"schema": 1, "duration": spec["duration"], "resource": resource, "succeeded": True}
        case _:
            return {"schema": 1, "duration": spec["duration"], "succeeded": True}


def plain(run: Run, *, secrets: bool) -> str:
    """The same for people, who read text; `secrets`: whether the one who asks knows the key of its task."""
    if not run.succeeded:
        return "Run failed."
    if run.task.test == "noop":
        return f"Data:\n{_data(run, secrets=secrets)}"
    return "\n".join(f"{name} ... {value}" for name, value in _rows(run))


def page(run: Run, *, secrets: bool) -> str:
    """As `plain`, as part of a page."""
    if not run.succeeded:
        return "<p>Run failed.</p>"
    if run.task.test == "noop":
        rows = [f"<tr><td>Data</td><td>\n<pre>\n{escaped(_data(run, secrets=secrets))}\n</pre></td></tr>"]
    else:
        rows = [f"<tr><td>{name}</td><td>{escaped(value)}</td></tr>" for name, value in _rows(run)]
    return "\n".join(["<table>", *rows, "</table>"])


def escaped(text: str) -> str:
    """Text as it stands in a page."""
    for character, entity in ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;"):
        text = text.replace(character, entity)
    return text


def _said(run: Run) -> Any:
    spec = run.task.spec
    match run.task.test:
        case "noop":
            return spec.get("data")
        case "window" | "window-shared":
            return {"held": spec["duration"]}
        case _:
            return {"time-slept": spec["duration"]}


def _diags(run: Run) -> str:
    spec: Mapping[str, Any] = run.task.spec
    return "\n".join(spec[name] for name in ("starting-comment", "parting-comment") if name in spec)


def _data(run: Run, *, secrets: bool) -> str:
    data = run.task.spec.get("data")
    return json.dumps(data if secrets else cleaned(data), indent=2)


def _rows(run: Run) -> Sequence[tuple[str, str]]:
    spec = run.task.spec
    duration = "Duration", spec["duration"]
    if run.task.test in ("window", "window-shared"):
        return ("Resource", spec.get("resource", "host")), duration
    return (duration,)
