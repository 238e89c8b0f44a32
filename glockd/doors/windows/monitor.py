"""The monitor as a page: what was, what is on, and what is to come."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import ClassVar, Final

from glockd.core.names import text
from glockd.doors.windows import times
from glockd.doors.windows.arguments import to_arguments
from glockd.doors.windows.results import escaped
from glockd.doors.windows.shown import View
from glockd.doors.windows.states import DISPLAY
from glockd.doors.windows.task import Run
from glockd.net.answers import NOTHING_ALLOWED, respond
from glockd.net.exchange import Answer

# How often a browser asks again, in seconds.
AGAIN: Final = 10

STYLE: Final = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
html { color-scheme: light dark }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3em .8em .3em 0; border-bottom: 1px solid #8884; vertical-align: top }
th[colspan] { padding-top: 1.2em }
.past { opacity: .6 }
.present { font-weight: 600 }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"{NOTHING_ALLOWED}; style-src 'sha256-{_HASH}'"

_GROUPS: Final = ((0, "present", "On now"), (1, "future", "To come"), (-1, "past", "Over"))


class Monitor:
    """The page.

    Args:
        now: seconds since 1970.
    """

    MOST: ClassVar[int] = 100  # past ones, and ones to come, that it shows unless more are asked for

    def __init__(self, now: float) -> None:
        self._now = now

    def page(self, view: View, runs: Sequence[tuple[Run, int]]) -> Answer:
        """The page that shows these runs, each with whether it is past, present or future."""
        rows: list[str] = []
        for place, kind, title in _GROUPS:
            rows.append(f'<tr><th colspan="6">{title}</th></tr>')
            found = [run for run, where in runs if where == place]
            if place < 0:
                found.reverse()
            rows += [_row(run, kind) for run in found] or ['<tr><td colspan="6">Nothing.</td></tr>']
        head = "".join(f"<th>{name}</th>" for name in ("From", "Until", "Name", "Test", "State", "By"))
        content = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="{AGAIN}">
<title>Windows on {escaped(view.host)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Windows on {escaped(view.host)}</h1>
<p>At {times.write_short(self._now)}; this page is made anew every {AGAIN} seconds.</p>
<table>
<tr>{head}</tr>
{chr(10).join(rows)}
</table>
</body>
</html>
"""
        return respond(content.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8", policy=POLICY)


def _row(run: Run, kind: str) -> str:
    task = run.task
    name = "" if task.is_background else text(task.resource)
    said = " ".join((task.test, *to_arguments(task.spec)))
    cells = (
        times.write_short(run.start),
        times.write_short(run.end),
        name,
        said,
        DISPLAY[run.state] + (f": {run.errors}" if run.errors else ""),
        text(task.by),
    )
    return f'<tr class="{kind}">' + "".join(f"<td>{escaped(cell)}</td>" for cell in cells) + "</tr>"
