"""The PHP client, against the real daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.languages import (
    CLIENTS,
    run,
    run_own_tests,
)
from tests.support.process import Spawner

Need = Callable[[str, str | None], str]

HERE = CLIENTS / "php"
SOURCES = sorted(HERE.rglob("*.php"))


@pytest.fixture
def php(need: Need) -> str:
    return need("php", "php-cli")


def test_it_is_valid(php: str) -> None:
    for path in SOURCES:
        assert run(php, "-d", "display_errors=1", "-l", str(path), cwd=HERE).startswith("No syntax errors")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_it_keeps_to_what_can_be_checked_of_psr_12(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("<?php\n")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "?>" not in text
    assert not re.search(r"[ \t]$|\t", text, re.M)
    assert [line for line in text.splitlines() if len(line) > 120] == []
    if path.parent.name == "src" and path.stem != "autoload":  # PSR-4 too: a class a file, named alike
        assert "\ndeclare(strict_types=1);\n\nnamespace Glock;\n" in text
        assert re.findall(r"^(?:final )?class (\w+).*\n\{$", text, re.M) == [path.stem]


def test_composer_finds_the_classes() -> None:
    composer = json.loads((HERE / "composer.json").read_text())
    assert composer["autoload"] == {"psr-4": {"Glock\\": "src/"}}
    assert list(composer["require"]) == ["php"]


def test_its_own_tests_pass(php: str, glockd: Spawner) -> None:
    output = run_own_tests(php, "tests/test.php", cwd=HERE, glockd=glockd)
    assert re.fullmatch(r"\d+ passed, 0 failed\n", output)
