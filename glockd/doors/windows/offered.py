"""The tests and tools that are offered, and what each is like (the specification, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from glockd.doors.windows import times
from glockd.doors.windows.calendar import BACKGROUND, EXCLUSIVE, SHARED

MAINTAINER: Final = {
    "name": "The operator of this glockd",
    "email": "root@localhost",
    "href": "https://pypi.org/project/glockd/",
}

# How each way to lie beside others is called over HTTP.
CLASSES: Final[Mapping[str, str]] = {EXCLUSIVE: "exclusive", SHARED: "normal", BACKGROUND: "background"}


@dataclass(frozen=True, slots=True)
class Test:
    """A kind of task.

    Args:
        name: what it is called.
        description: in a line.
        mode: how its runs lie beside others.
        tools: that can carry it out, by name.
        reserves: whether its spec names what is reserved; else that is the host.
    """

    name: str
    description: str
    mode: str
    tools: tuple[str, ...]
    reserves: bool = False

    def described(self, base: str) -> dict[str, Any]:
        """How it is shown; `base` is the URL of all."""
        return {
            "name": self.name,
            "schema": 1,
            "version": "1.0",
            "description": self.description,
            "maintainer": MAINTAINER,
            "scheduling-class": CLASSES[self.mode],
            "href": f"{base}/tests/{self.name}",
        }


@dataclass(frozen=True, slots=True)
class Tool:
    """What carries a test out.

    Args:
        name: what it is called.
        description: in a line.
        tests: those it can carry out.
        refuses: why it does not, for the seconds that a test is to last and those of the horizon; empty: it does.
        extra: how many seconds its windows are longer than the test.
    """

    name: str
    description: str
    tests: tuple[str, ...]
    refuses: Callable[[Fraction, int], str]
    extra: int = 0

    def described(self, base: str) -> dict[str, Any]:
        """How it is shown; `base` is the URL of all."""
        return {
            "name": self.name,
            "schema": 1,
            "version": "1.0",
            "description": self.description,
            "maintainer": MAINTAINER,
            "tests": list(self.tests),
            "preference": 0,
            "href": f"{base}/tools/{self.name}",
        }

    def length(self, lasts: Fraction) -> int:
        """How long a window is, in whole seconds, for a test of so many."""
        return times.whole(lasts + self.extra)


def _sleep(lasts: Fraction, horizon: int) -> str:
    if lasts < 15:
        return "Won't sleep for less than 15 seconds."
    return "Won't sleep for more than one hour." if lasts > 3600 else ""


def _snooze(lasts: Fraction, horizon: int) -> str:
    return "Won't sleep for longer than 60 seconds" if lasts > 60 else ""


def _hold(lasts: Fraction, horizon: int) -> str:
    return f"Won't hold for longer than {times.write_duration(horizon)}." if lasts > horizon else ""


def _pass(lasts: Fraction, horizon: int) -> str:
    return ""


TESTS: Final[Mapping[str, Test]] = {
    test.name: test
    for test in (
        Test("idle", "Wait for a while, beside whatever else is on", BACKGROUND, ("sleep", "snooze")),
        Test(
            "idleex",
            "Wait for a while, exclusive of all that is no background",
            EXCLUSIVE,
            ("sleep", "snooze"),
        ),
        Test("noop", "Do nothing, and give the data back", BACKGROUND, ("passthrough",)),
        Test("window", "Have a name for oneself for a stretch of time", EXCLUSIVE, ("hold",), reserves=True),
        Test(
            "window-shared",
            "Have a name for a stretch of time, beside others who share it",
            SHARED,
            ("hold",),
            reserves=True,
        ),
    )
}

TOOLS: Final[Mapping[str, Tool]] = {
    tool.name: tool
    for tool in (
        Tool("hold", "Holds a name for just as long as was asked", ("window", "window-shared"), _hold),
        Tool("passthrough", "Gives the data back", ("noop",), _pass, extra=1),
        Tool("sleep", "Waits for 15 seconds to an hour", ("idle", "idleex"), _sleep, extra=1),
        Tool("snooze", "Waits for up to a minute", ("idle", "idleex"), _snooze, extra=1),
    )
}


def tools_for(test: str) -> list[Tool]:
    """The tools that list a test, those first that are preferred; none if it is not offered."""
    return [tool for tool in TOOLS.values() if test in tool.tests]


def lasting(test: str, spec: Mapping[str, Any]) -> Fraction:
    """How many seconds a test of a valid spec lasts."""
    return Fraction(0) if test == "noop" else times.duration(spec["duration"])


def choose(test: str, spec: Mapping[str, Any], wanted: Sequence[str] | None, horizon: int) -> Tool | None:
    """The tool that carries a test out: the first that can, or of those wanted; None if none can."""
    lasts = lasting(test, spec)
    able = [tool for tool in tools_for(test) if not tool.refuses(lasts, horizon)]
    if wanted is None:
        return able[0] if able else None
    return next((tool for name in wanted for tool in able if tool.name == name), None)
