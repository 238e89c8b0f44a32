"""docs/windows.md: what it says of options and limits, and its five minutes."""

from __future__ import annotations

import re

from glockd.config import Config, flag, options
from glockd.doors.windows import book, jsons, posted, run_routes
from glockd.doors.windows.door import LIMITS
from glockd.doors.windows.offered import CLASSES, TESTS
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "windows.md").read_text("utf-8")
NAMES = {flag(one.name) for one in options()}


def test_every_option_of_the_door_has_its_row_and_no_other() -> None:
    rows = set(re.findall(r"^\| `-([\w-]+)` \|", PAGE, re.M))
    assert {name for name in NAMES if name.startswith("windows")} <= rows <= NAMES


def test_what_it_names_exists() -> None:
    assert set(re.findall(r"(?<![\w-])-((?:windows|tls|records|auth)[\w-]*)", PAGE)) <= NAMES


def test_defaults_and_limits_are_those_in_force() -> None:
    config = Config()
    assert f"| `-windows-horizon-seconds` | {config.windows_horizon_seconds} |" in PAGE
    assert f"| `-windows-keep-seconds` | {config.windows_keep_seconds} |" in PAGE
    for row in (
        f"| tasks posted over HTTP | {book.MOST_TASKS:,} |",
        f"| runs known, those that are over and kept among them | {book.MOST_RUNS:,} |",
        f"| runs of one task made ahead | {book.MOST_AHEAD:,};",
        f"| body | {LIMITS.body >> 20} MiB |",
        f"| depth of JSON | {jsons.DEEPEST} |",
        f"| wait of a request | {run_routes.LONGEST_WAIT} s |",
        f"| repeat | at least {posted.SHORTEST_REPEAT} s |",
    ):
        assert row in PAGE
    assert f"up to {book.STRAGGLE} s late" in PAGE


def test_the_tests_it_tells_of_are_those_that_are_offered() -> None:
    told = re.findall(r"^\| `(\w[\w-]*)` \| (\w+) \| ([\w, ]+) \|", PAGE, re.M)
    assert {(name, kind, *tools.split(", ")) for name, kind, tools in told} == {
        (test.name, CLASSES[test.mode], *test.tools) for test in TESTS.values()
    }
