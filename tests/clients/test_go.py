"""The Go client, by its language's tools and against the real daemon."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.support.languages import (
    CLIENTS,
    run,
    run_own_tests,
)
from tests.support.process import Spawner

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
