"""The shell client, against the real daemon."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.languages import (
    CLIENTS,
    CONVERSATIONS,
    WINDOWS,
    passed_all,
    run,
    run_own_tests,
    server,
)
from tests.support.places import ROOT
from tests.support.process import Spawner, environment

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
    assert len(scripts) == 8
    # SC2119 supposes that a function's arguments are meant to be the script's.
    options = ("--external-sources", "--source-path=SCRIPTDIR", "--shell=bash", "--exclude=SC2119")
    run(need("shellcheck", None), *options, *scripts, cwd=ROOT)


@pytest.mark.usefixtures("helpers")
def test_its_own_tests_pass(glockd: Spawner) -> None:
    output = run_own_tests("bash", "test.sh", cwd=HERE, glockd=glockd)
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed\n", output)


@pytest.mark.usefixtures("helpers")
def test_it_does_with_netcat_where_there_is_no_socat(
    glockd: Spawner, need: Need, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "jq", "mkfifo", "mktemp", "nc", "od", "rm", "sort"):
        (programs / name).symlink_to(need(name, None))
    monkeypatch.setitem(os.environ, "PATH", str(programs))
    where = server(glockd(*WINDOWS), "unix")
    assert run("bash", "conversations.sh", where, str(CONVERSATIONS), cwd=HERE) == passed_all()


def test_an_interrupt_from_the_terminal_ends_the_command_and_frees_the_lock(
    glockd: Spawner, need: Need
) -> None:
    daemon = glockd()
    # A shell with job control, as a user has it, in a terminal; it goes on when the script has ended.
    script = ". ./glock.sh; glock_open; glock_with job 0 bash -c 'echo running; exec sleep 60'"
    outer = f"bash -m -c {shlex.quote(f'bash -c {shlex.quote(script)}; read -r _')}"
    with subprocess.Popen(
        [need("script", "bsdutils"), "--quiet", "--command", outer, "/dev/null"],
        cwd=HERE,
        env=environment(GLOCK_SERVER=server(daemon, "tcp")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        assert terminal.stdout.readline() == b"running\r\n"
        other = daemon.client()
        other.says("g job").hears("0 Lock Get Failure: job")
        terminal.stdin.write(b"\x03")
        terminal.stdin.flush()
        other.says("wait 10 job").hears("1 Lock Get Success: job")
        terminal.stdin.write(b"\n")
