"""The shell client, against the real daemon."""

from __future__ import annotations

import os
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

HERE = CLIENTS / "shell"


@pytest.fixture
def helpers(need: Need) -> None:
    """What the client's own programs need besides bash."""
    need("jq", None)
    need("socat", None)
    need("nc", "netcat-openbsd")


def test_shellcheck_finds_nothing(need: Need) -> None:
    scripts = [str(path) for path in HERE.rglob("*.sh")]
    assert len(scripts) == 5
    # SC2119 supposes that a function's arguments are meant to be the script's.
    options = ("--external-sources", "--source-path=SCRIPTDIR", "--shell=bash", "--exclude=SC2119")
    run(need("shellcheck", None), *options, *scripts, cwd=ROOT)


@pytest.mark.usefixtures("helpers")
def test_its_own_tests_pass(glockd: Spawner) -> None:
    output = run_own_tests("bash", "test.sh", cwd=HERE, glockd=glockd)
    assert re.fullmatch(r"\d+ passed, 0 failed\n", output)


@pytest.mark.usefixtures("helpers")
@pytest.mark.transports("tcp", "unix")
def test_it_passes_the_shared_conversations(glockd: Spawner, transport: str) -> None:
    where = server(glockd(), transport)
    assert run("bash", "conversations.sh", where, str(CONVERSATIONS), cwd=HERE) == passed_all()


@pytest.mark.usefixtures("helpers")
def test_it_does_with_netcat_where_there_is_no_socat(
    glockd: Spawner, need: Need, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "jq", "mkfifo", "mktemp", "nc", "od", "rm", "sort"):
        (programs / name).symlink_to(need(name, None))
    monkeypatch.setitem(os.environ, "PATH", str(programs))
    where = server(glockd(), "unix")
    assert run("bash", "conversations.sh", where, str(CONVERSATIONS), cwd=HERE) == passed_all()


@pytest.mark.usefixtures("helpers")
def test_its_runner_tells_what_fails(glockd: Spawner, tmp_path: Path) -> None:
    wrong = failing_conversations(tmp_path)
    output = run("bash", "conversations.sh", server(glockd(), "tcp"), str(wrong), cwd=HERE, status=1)
    assert output.endswith(f"{FAILED}\n")


def test_the_example_in_its_readme_runs(glockd: Spawner) -> None:
    assert (HERE / "example" / "example.sh").read_text() in code_blocks(HERE / "README.md")
    output = run("bash", "example/example.sh", cwd=HERE, daemon=glockd())
    assert output == "holding nightly backup with a token\ndone\n"


def test_the_example_in_the_main_readme_runs(glockd: Spawner) -> None:
    assert (HERE / "example" / "readme.sh").read_text() in code_blocks(ROOT / "README.md")
    output = run("bash", "clients/shell/example/readme.sh", cwd=ROOT, daemon=glockd())
    assert output == "mine: 1\na command with the lock held, ended if it is lost\n"
