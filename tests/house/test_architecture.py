"""docs/architecture.md tells of the tree as it is."""

from __future__ import annotations

import re

from tests.house.test_layers import FLOORS
from tools import architecture

PAGE = architecture.PAGE.read_text("utf-8")


def test_the_tree_is_current() -> None:
    assert architecture.page(PAGE) == PAGE, "run: python tools/architecture.py"


def test_every_file_says_what_it_is() -> None:
    nameless = [
        line for line in architecture.entries(architecture.ROOT / "glockd") if line.endswith((".py", "/"))
    ]
    assert nameless == []
    assert len(re.findall(r"^ +\w+\.py +\S", PAGE, re.M)) > 40


def test_the_floors_are_those_that_are_kept() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.M)
    told = {int(number): set(re.findall(r"`(\w+)`", names)) for number, names in rows}
    yet_to_come = {"cluster"}
    assert told == {number: names - yet_to_come for number, names in enumerate(FLOORS, 1)}
