"""The Go client, by its language's tools and against the real daemon."""

from __future__ import annotations

import shutil
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

HERE = CLIENTS / "go"


@pytest.fixture
def go(need: Need) -> str:
    return need("go", "golang-go")


def test_it_is_formatted_and_vetted(go: str, need: Need) -> None:
    assert run(need("gofmt", "golang-go"), "-l", ".", cwd=HERE) == ""
    run(go, "vet", "./...", cwd=HERE)


def test_it_has_no_dependency(go: str) -> None:
    assert run(go, "list", "-m", "all", cwd=HERE) == "glock\n"


def test_its_own_tests_pass(go: str, glockd: Spawner) -> None:
    # The race detector needs cgo, and that a C compiler.
    cgo = run(go, "env", "CGO_ENABLED", cwd=HERE) == "1\n" and shutil.which("gcc")
    output = run_own_tests(go, "test", "-count=1", *(["-race"] if cgo else []), ".", cwd=HERE, glockd=glockd)
    assert output.startswith("ok")


@pytest.mark.transports("tcp", "unix")
def test_it_passes_the_shared_conversations(go: str, glockd: Spawner, transport: str) -> None:
    where = server(glockd(), transport)
    assert run(go, "run", "./conversations", where, str(CONVERSATIONS), cwd=HERE) == passed_all()


def test_its_runner_tells_what_fails(go: str, glockd: Spawner, tmp_path: Path) -> None:
    wrong = failing_conversations(tmp_path)
    output = run(go, "run", "./conversations", server(glockd(), "tcp"), str(wrong), cwd=HERE, status=1)
    assert output.endswith(f"{FAILED}\n")


def test_the_example_in_its_readme_runs(go: str, glockd: Spawner) -> None:
    assert (HERE / "example" / "main.go").read_text() in code_blocks(HERE / "README.md")
    output = run(go, "run", "./example", cwd=HERE, daemon=glockd())
    assert output == "holding nightly backup with a token: true\ndone\n"


def test_the_example_in_the_main_readme_runs(go: str, glockd: Spawner) -> None:
    assert (HERE / "example" / "readme" / "main.go").read_text() in code_blocks(ROOT / "README.md")
    assert run(go, "run", "./example/readme", cwd=HERE, daemon=glockd()) == "mine: true\n"
