"""The PHP client, against the real daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.languages import (
    CLIENTS,
    CONVERSATIONS,
    FAILED,
    ROOT,
    code_blocks,
    failing_conversations,
    passed_all,
    run,
    run_own_tests,
    server,
)
from support.process import Spawner

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


@pytest.mark.transports("tcp", "unix")
def test_it_passes_the_shared_conversations(php: str, glockd: Spawner, transport: str) -> None:
    where = server(glockd(), transport)
    assert run(php, "tests/conversations.php", where, str(CONVERSATIONS), cwd=HERE) == passed_all()


def test_its_runner_tells_what_fails(php: str, glockd: Spawner, tmp_path: Path) -> None:
    wrong = failing_conversations(tmp_path)
    output = run(php, "tests/conversations.php", server(glockd(), "tcp"), str(wrong), cwd=HERE, status=1)
    assert output.endswith(f"{FAILED}\n")


def test_the_example_in_its_readme_runs(php: str, glockd: Spawner) -> None:
    assert (HERE / "example" / "example.php").read_text() in code_blocks(HERE / "README.md")
    output = run(php, "example/example.php", cwd=HERE, daemon=glockd())
    assert output == "holding nightly backup with a token: true\ndone\n"


def test_the_example_in_the_main_readme_runs(php: str, glockd: Spawner) -> None:
    assert (HERE / "example" / "readme.php").read_text() in code_blocks(ROOT / "README.md")
    assert run(php, "clients/php/example/readme.php", cwd=ROOT, daemon=glockd()) == "mine: true\n"
