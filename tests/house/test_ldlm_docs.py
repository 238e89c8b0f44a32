"""docs/ldlm.md against what the door does."""

from __future__ import annotations

import re

import pytest

from glockd.config import flag, options
from glockd.doors.ldlm import outcomes
from glockd.doors.ldlm.calls import MOST_ENDED
from glockd.doors.ldlm.door import LIMITS
from glockd.doors.ldlm.outcomes import Code, Problem
from glockd_tester.cases.ldlm.language import LANGUAGE, OPTIONS
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "ldlm.md").read_text("utf-8")
PROBLEMS = [value for value in vars(outcomes).values() if isinstance(value, Problem)]


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|\n").split("|")]


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name)
def test_every_code_has_its_row_with_all_its_messages(code: Code) -> None:
    (row,) = (cells(one) for one in PAGE.splitlines() if one.startswith(f"| {code.value} |"))
    assert row[1] == f"`{code.name}`"
    assert set(re.findall(r"`([^`]+)`", row[2])) == {one.message for one in PROBLEMS if one.code == code}


def test_every_option_of_the_door_is_in_the_page() -> None:
    names = [flag(one.name) for one in options() if one.name.startswith("ldlm")]
    assert len(names) >= 11
    assert [name for name in names if f"`-{name}`" not in PAGE] == []


@pytest.mark.parametrize("theirs", OPTIONS)
def test_options_stand_side_by_side_as_cases_are_played_with(theirs: str) -> None:
    (row,) = (cells(one) for one in PAGE.splitlines() if one.startswith(f"| `{theirs}` |"))
    assert row[1].startswith(f"`{OPTIONS[theirs][0]}`")


def test_numbers_are_those_of_the_door() -> None:
    assert f"{MOST_ENDED:,}" in PAGE
    assert f"{LIMITS.body >> 20} MB at most" in PAGE
    recorded = sum(
        len(re.findall(r'"id": ', path.read_text("utf-8")))
        for path in LANGUAGE.files()
        if "case" in path.name
    )
    assert f"{recorded} recorded conversations" in PAGE


def test_reasons_are_all_told() -> None:
    assert all(f"`{why}`" in PAGE for why in ("expired", "kicked", "session ended"))
