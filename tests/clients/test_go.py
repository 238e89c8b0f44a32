"""The Go client, by its language's tools and against the real daemon."""

from __future__ import annotations

import shutil
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

HERE = CLIENTS / "go"
MODULE = "github.com/glockd/glockd/clients/go"


@pytest.fixture
def go(need: Need) -> str:
    return need("go", "golang-go")


def test_it_is_formatted_and_vetted(go: str, need: Need) -> None:
    assert run(need("gofmt", "golang-go"), "-l", ".", cwd=HERE) == ""
    run(go, "vet", "./...", cwd=HERE)


@pytest.mark.parametrize(
    "call",
    [
        "client.Lock(ctx, 7)",
        "client.Lock(ctx, nil)",
        'client.SharedLimit(ctx, "job", "2")',
        'client.SharedLimit(ctx, "job", 1.5)',
        'client.Check(ctx, "job", -1)',
        'session.Lease(ctx, "job", "5s")',
        "session.Iam(ctx, 7)",
        "session.Auth(ctx, 5)",
        "glock.Connect(ctx, 9999)",
    ],
)
def test_what_is_of_another_type_does_not_compile(go: str, tmp_path: Path, call: str) -> None:
    replace = f"require {MODULE} v0.0.0\nreplace {MODULE} => {HERE}\n"
    (tmp_path / "go.mod").write_text(f"module mine\n\ngo 1.19\n\n{replace}")
    uses = "func uses(ctx context.Context, client *glock.Client, session *glock.Session)"
    imports = f'import (\n\t"context"\n\n\tglock "{MODULE}"\n)\n'
    (tmp_path / "mine.go").write_text(f"package mine\n\n{imports}\n{uses} {{\n\t{call}\n}}\n")
    run(go, "build", ".", cwd=tmp_path, status=1)
    (tmp_path / "mine.go").write_text(f"package mine\n\n{imports}\n{uses} {{\n\tclient.Lock(ctx, `7`)\n}}\n")
    run(go, "build", ".", cwd=tmp_path)


def test_it_has_no_dependency(go: str) -> None:
    assert run(go, "list", "-m", "all", cwd=HERE) == f"{MODULE}\n"


def test_its_own_tests_pass(go: str, glockd: Spawner) -> None:
    # The race detector needs cgo, and that a C compiler.
    cgo = run(go, "env", "CGO_ENABLED", cwd=HERE) == "1\n" and shutil.which("gcc")
    output = run_own_tests(
        go, "test", "-count=1", "-timeout=120s", *(["-race"] if cgo else []), ".", cwd=HERE, glockd=glockd
    )
    assert output.startswith("ok")
