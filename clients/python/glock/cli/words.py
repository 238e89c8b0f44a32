"""How `glock` tells of times, sessions and locks to people; the words are those of the console page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glock.cli.output import printable

Entry = Mapping[str, Any]  # an object of the daemon's JSON; docs/protocol.md names its keys
NAMED = 3  # holders or waiters that are called by name in one line
LATELY = 12  # events


def span(seconds: float) -> str:
    """A length of time, as short as it may be."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms" if seconds >= 0.001 else "< 1 ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole // 60 % 60:02} m"
    return f"{whole // 86400} d {whole // 3600 % 24:02} h"


def clock(seconds: float) -> str:
    """Local time and date of a moment in seconds since 1970, to the millisecond."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{int(seconds * 1000) % 1000:03}"


def since(seconds: float, now: float) -> str:
    """When it was that many seconds ago: local time, with the date unless that is today's."""
    then = time.localtime(now - seconds)
    today = then[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", then)


def label(session: Entry) -> str:
    """The registered name, or else the address."""
    return printable(session["address"] if session["name"] is None else session["name"])


def full(session: Entry) -> str:
    """The registered name and the address, or the address alone."""
    if session["name"] is None:
        return printable(session["address"])
    return f"{printable(session['name'])} ({printable(session['address'])})"


def situation(found: Entry, table: str, now: float, me: str | None = None) -> str:
    """Who holds a lock since when and who waits for it, in one line; empty if nobody holds it.

    Args:
        found: what `explain` says.
        table: "exclusive" or "shared".
        now: seconds since 1970.
        me: the registered name of a waiter that need not be told of.
    """
    holders = found[table]["holders"]
    waiters = [each for each in found[table]["waiters"] if me is None or each["name"] != me]
    if not holders:
        return ""
    held = _some(
        [f"{full(each)} since {since(each['seconds'], now)} ({span(each['seconds'])})" for each in holders]
    )
    waiting = _some([f"{full(each)} for {span(each['seconds'])}" for each in waiters])
    how = "shared" if table == "shared" else "read" if holders[0]["mode"] == "read" else "held"
    return f"{how} by {held}; " + (f"waiting: {waiting}" if waiters else "nobody waits")


def _some(all_of_them: Sequence[str]) -> str:
    left = len(all_of_them) - NAMED
    return ", ".join(all_of_them[:NAMED]) + (f" and {left} more" if left > 0 else "")


def explained(found: Entry, events: Sequence[Entry]) -> Iterator[str]:
    """A lock's page of the console, as lines: who holds it, who waits, what happened lately.

    Args:
        found: what `explain` says.
        events: what `history` says of it, oldest first.
    """
    yield printable(found["name"]) or "(empty name)"
    tables = {kind: table for kind, table in found.items() if kind != "name"}
    for kind, table in tables.items():
        readers = table["holders"] and table["holders"][0]["mode"] == "read"
        held, waited = _titles(kind, readers=bool(readers))
        yield from _block(held, table["holders"], _hold)
        yield from _block(waited, table["waiters"], _wait)
    if not any(table[who] for table in tables.values() for who in ("holders", "waiters")):
        yield "Nobody holds it now."
    yield from _block("Lately", events[: -LATELY - 1 : -1], _event)


def _titles(kind: str, *, readers: bool) -> tuple[str, str]:
    """What stands above the holders and the waiters of a namespace."""
    if kind == "exclusive":
        return "Held by readers" if readers else "Held by", "Waiting, next first"
    if kind == "shared":
        return "Shared by", "Waiting for a share, next first"
    return f"Held by, among {kind}", f"Waiting, among {kind}, next first"


def _block(title: str, entries: Sequence[Entry], tell: Any) -> Iterator[str]:
    if not entries:
        return
    yield title + (f" ({len(entries)})" if len(entries) > 1 else "")
    told = [tell(each) for each in entries]
    width = max(len(first) for first, _, _ in told)
    for first, second, parts in told:
        yield f"  {first:<{width}}  {second}"
        if any(parts):
            yield "    " + " · ".join(filter(None, parts))


def _hold(hold: Entry) -> tuple[str, str, list[str]]:
    lease = "" if hold["lease"] is None else f"lease ends in {span(hold['lease'])}"
    key = f"key {hold['key']}…" if hold.get("key") else ""
    item = f"item {printable(hold['item'])}" if "item" in hold else ""
    return full(hold), span(hold["seconds"]), [item, hold["transport"], f"token {hold['token']}", key, lease]


def _wait(wait: Entry) -> tuple[str, str, list[str]]:
    mode = "as a reader" if wait["mode"] == "read" else ""
    if wait["limit"] is not None:
        mode = f"if fewer than {wait['limit']} hold it"
    ends = "" if wait["timeout"] is None else f"gives up in {span(wait['timeout'])}"
    return f"{wait['place']}. {full(wait)}", span(wait["seconds"]), [wait["transport"], mode, ends]


def _event(event: Entry) -> tuple[str, str, list[str]]:
    waited = f"waited {span(event['waited'])}" if event["waited"] else ""
    held = f"held {span(event['held'])}" if event["held"] else ""
    return (
        f"{event['event']} {full(event)}",
        clock(event["time"]),
        [
            f"item {printable(event['item'])}" if "item" in event else "",
            waited,
            held,
            printable(event["detail"] or ""),
        ],
    )


def event_of(event: Entry) -> str:
    """What happened, and to which kind of hold if not the usual one."""
    kind = " (shared)" if event["table"] == "shared" else " (reader)" if event["mode"] == "read" else ""
    return str(event["event"]) + kind
