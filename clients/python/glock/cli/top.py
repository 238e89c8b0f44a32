"""`glock top`: what a daemon is doing, live."""

from __future__ import annotations

import sys
import time

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from glock.cli.keys import quitting
from glock.cli.listing import COLUMNS, Lock, foremost
from glock.cli.output import table
from glock.client import Client
from glock.errors import Disabled

NEVER = float("inf")


class Sample:
    """Counters and locks at one moment.

    Args:
        most: so many of the locks, those that are waited for first.
    """

    def __init__(self, client: Client, most: int = 0) -> None:
        self.at = time.monotonic()
        self.round_trip = client.ping()
        self.stats = client.stats()
        self.hidden = False
        self.locks: list[Lock] = []
        try:
            self.locks = foremost(client, most) if most else []
        except Disabled:
            self.hidden = True


def rates(before: Sample, now: Sample) -> dict[str, float]:
    """Commands a second by verb, `invalid` included."""
    seconds = max(now.at - before.at, 1e-9)
    counted = {key: value for key, value in now.stats.items() if key.startswith("command_")}
    counted["invalid"] = now.stats.get("invalid_commands", 0)
    earlier = {**before.stats, "invalid": before.stats.get("invalid_commands", 0)}
    return {
        key.removeprefix("command_"): (value - earlier.get(key, 0)) / seconds
        for key, value in counted.items()
    }


def picture(client: Client, before: Sample, now: Sample, rows: int) -> Group:
    """One screen of at most `rows` lines of locks."""
    by_verb = rates(before, now)
    stats = now.stats
    head = Text.assemble(
        ("glock top  ", "bold"),
        f"{', '.join(client.urls)}   {time.strftime('%H:%M:%S')}   {now.round_trip * 1e3:.2f} ms\n",
        ("connections ", "dim"),
        f"{stats.get('connections', 0)}   ",
        ("locks ", "dim"),
        f"{stats.get('locks', 0)}   ",
        ("shared ", "dim"),
        f"{stats.get('shared_locks', 0)}   ",
        ("orphans ", "dim"),
        f"{stats.get('orphans', 0) + stats.get('shared_orphans', 0)}   ",
        ("commands/s ", "dim"),
        f"{sum(by_verb.values()):.0f}",
        no_wrap=True,  # a line more would push the last one off the screen
        overflow="ellipsis",
    )
    busy = sorted(((rate, verb) for verb, rate in by_verb.items() if rate > 0), reverse=True)
    spelled = "  ".join(f"{verb} {rate:.0f}/s" for rate, verb in busy[:12]) or "quiet"
    verbs = Text(spelled, "cyan", no_wrap=True, overflow="ellipsis")
    if now.hidden:
        return Group(head, verbs, Text("who holds what is switched off (-dump=false)", "yellow"))
    shown = now.locks[: max(rows, 0)]
    left = stats.get("locks", 0) + stats.get("shared_locks", 0) - len(shown)
    locks = table(COLUMNS, (each.row for each in shown))
    return Group(head, verbs, locks, *([Text(f"… and {left} more", "dim")] if left > 0 else []))


def top(client: Client, delay: float, count: int | None) -> None:
    """Show `count` samples, `delay` seconds apart; on a terminal in place, in a pipe one a line."""
    console = Console()
    most = max(console.height - 8, 1) if console.is_terminal else 0
    before = now = Sample(client, most)
    if not console.is_terminal or console.is_dumb_terminal:
        for index in range(count or sys.maxsize):
            if index:
                time.sleep(delay)
            before, now = now, Sample(client)
            by_verb = sum(rates(before, now).values()) if index else 0.0
            gauges = (now.stats.get(key, 0) for key in ("connections", "locks", "shared_locks", "orphans"))
            print("\t".join([*map(str, gauges), f"{by_verb:.0f}"]), flush=True)
        return
    with (
        quitting() as is_quit_within,
        Live(picture(client, before, now, console.height - 8), console=console, screen=count is None) as live,
    ):
        shown = 1
        while shown < (count or NEVER) and not is_quit_within(delay):
            before, now = now, Sample(client, most)
            live.update(picture(client, before, now, console.height - 8), refresh=True)
            shown += 1
