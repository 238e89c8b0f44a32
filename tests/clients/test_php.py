"""The PHP client, against the real daemon."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.languages import (
    CLIENTS,
    run,
    run_own_tests,
    server,
)
from tests.support.process import Spawner, environment

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
        assert re.findall(r"^(?:final class|class|trait) (\w+).*\n\{$", text, re.M) == [path.stem]


def test_composer_finds_the_classes() -> None:
    composer = json.loads((HERE / "composer.json").read_text())
    assert composer["autoload"] == {"psr-4": {"Glock\\": "src/"}}
    assert list(composer["require"]) == ["php"]


def test_composer_takes_it_for_valid(need: Need, tmp_path: Path) -> None:
    shutil.copytree(HERE, tmp_path / "php")
    run(need("composer", None), "validate", "--strict", cwd=tmp_path / "php", env={"HOME": str(tmp_path)})


def test_its_own_tests_pass(php: str, glockd: Spawner) -> None:
    output = run_own_tests(php, "tests/test.php", cwd=HERE, glockd=glockd)
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed\n", output)


# How a script ends that has started a program in the background, and what it says of its lock by then.
ENDS = {
    "return": ["held"],
    "exit": ["held"],
    "unset": None,
    "close": None,
    "exception": ["held"],
    "handled exception": ["handled", "held"],
    "error": ["held"],
    "user error": ["held"],
    "memory": ["held"],
    "time": ["held"],
    "destructor": ["held", "released"],
}


@pytest.fixture
def secure(tmp_path: Path, need: Need) -> tuple[tuple[str, ...], str]:
    """Options of a daemon with TLS, and those of an address that trusts it."""
    authority = Authority(tmp_path, need("openssl", None))
    certificate, key = authority.issue("server")
    return ("-tls-cert", str(certificate), "-tls-key", str(key)), f"?ca={authority.ca}&host=localhost"


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("way", ["tcp", "unix", "tls"])
def test_the_locks_go_with_the_client_whatever_else_has_the_connection(
    php: str, glockd: Spawner, secure: tuple[tuple[str, ...], str], way: str, how: str
) -> None:
    options, trust = secure
    daemon = glockd(*(options if way == "tls" else ()))
    where = f"tls://127.0.0.1:{daemon.tcp[1]}{trust}" if way == "tls" else server(daemon, way)
    command = [
        php,
        "-d",
        "display_errors=stderr",
        "-d",
        "memory_limit=64M",
        "tests/background.php",
        where,
        how,
    ]
    with subprocess.Popen(
        command,
        cwd=HERE,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as script:
        assert script.stdout is not None
        child = int(script.stdout.readline())
        other = daemon.client("unix")
        other.says("wait 30 nightly").hears("1 Lock Get Success: nightly")
        other.says("share 30 1 nightly").hears("1 Shared Lock Get Success: nightly")
        os.kill(child, signal.SIGKILL)  # it has lived until now
        if (said := ENDS[how]) is None:
            script.kill()
        else:
            assert script.stdout.read().splitlines() == said


@pytest.mark.parametrize("way", ["tcp", "unix", "tls"])
def test_the_locks_of_a_parent_stay_whatever_its_children_do(
    php: str, glockd: Spawner, secure: tuple[tuple[str, ...], str], way: str
) -> None:
    options, trust = secure
    daemon = glockd(*(options if way == "tls" else ()))
    where = f"tls://127.0.0.1:{daemon.tcp[1]}{trust}" if way == "tls" else server(daemon, way)
    said = run(php, "tests/fork.php", where, "kill" if way == "tls" else "exit", cwd=HERE).splitlines()
    lost = "Glock\\LockLost"
    assert said == [lost, "held", lost, "locked", "free with the client"]


def test_a_script_that_is_killed_leaves_its_lock_to_what_it_has_started(php: str, glockd: Spawner) -> None:
    daemon = glockd()
    command = (php, "tests/background.php", server(daemon, "tcp"), "killed")
    child = int(run(*command, cwd=HERE, status=-signal.SIGKILL))
    other = daemon.client()
    other.says("g nightly").hears("0 Lock Get Failure: nightly")
    os.kill(child, signal.SIGKILL)
    other.says("wait 30 nightly").hears("1 Lock Get Success: nightly")
