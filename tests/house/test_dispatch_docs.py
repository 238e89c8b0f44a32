"""docs/dispatch.md: what it says of options and limits, and its five minutes."""

from __future__ import annotations

import re

import pytest

from glockd.config import Config, flag, options
from glockd.doors.dispatch import desk, grammar, operands, routes, rses, search, specs
from glockd.doors.dispatch.door import LIMITS
from glockd.doors.dispatch.project import MOST_FILES
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "dispatch.md").read_text("utf-8")
NAMES = {flag(one.name) for one in options()}


def test_every_option_of_the_door_has_a_row() -> None:
    rows = set(re.findall(r"^\| `-([\w-]+)` \|", PAGE, re.M))
    assert {name for name in NAMES if name.startswith("dispatch")} <= rows <= NAMES


def test_it_names_no_option_that_is_not_there() -> None:
    mentioned = set(re.findall(r"(?<![\w-])-((?:dispatch|tls|max|records)[\w-]*)", PAGE))
    assert mentioned <= NAMES | {"dispatch-token"}  # an order, no option


def test_the_default_hold_is_said() -> None:
    assert f"| `-dispatch-hold-seconds` | {Config().dispatch_hold_seconds} |" in PAGE


@pytest.mark.parametrize(
    "row",
    [
        f"| body | {LIMITS.body >> 20} MiB |",
        f"| files of a project | {MOST_FILES:,} |",
        f"| projects | {routes.MOST_PROJECTS:,} |",
        f"| storage elements | {rses.MOST_ELEMENTS:,} |",
        f"| namespace, name, worker id | {specs.LONGEST_NAME} bytes each |",
        f"| attributes of a project | {specs.MOST_ATTRIBUTES >> 20} MiB, {specs.DEEPEST} deep |",
        f"| waiting next_file | {desk.MOST_HELD:,};",
        f"| search | {grammar.LONGEST:,} characters, {grammar.MOST_TESTS} tests, {grammar.DEEPEST} deep; "
        f"patterns of {search.LONGEST_PATTERN} characters on texts of {search.LONGEST_TEXT} |",
        f"A project with more than {operands.FUEL:,} values",
    ],
)
def test_limits_are_those_in_force(row: str) -> None:
    assert row in PAGE


def test_every_section_that_is_linked_is_there() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
        for title in re.findall(r"^## (.+)$", PAGE, re.M)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) == anchors
