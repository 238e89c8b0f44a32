"""`glock` starts at once: each command imports what it needs, and nothing else."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest
from glock import Client

from tests.support.fakes import Daemon, daemon
from tests.support.process import environment

# What takes long to import, and who may.
HEAVY = ("asyncio", "ssl", "rich", "websockets", "email", "importlib.metadata")
MODULES = """
import sys
from glock.cli import main
try:
    main()
finally:
    sys.stderr.write("MODULES " + " ".join(sys.modules) + "\\n")
"""
CPU_SECONDS = 0.5  # ten times what it takes: a machine may be slow, but importing all of it would be slower


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with (
        daemon(tmp_path_factory.mktemp("start")) as running,
        Client(running.url) as client,
        client.lock("held"),
    ):
        yield running


COMMANDS: dict[str, list[str]] = {
    "help": ["--help"],
    "version": ["--version"],
    "ping": ["ping"],
    "run": ["run", "free", "--", "true"],
    "refused": ["run", "-n", "held", "--", "true"],
    "list": ["list"],
    "explain": ["explain", "held"],
    "inspect": ["inspect", "free"],
    "completion": ["completion", "zsh"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_imported_that_is_not_needed(server: Daemon, command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", MODULES, *COMMANDS[command]],
        env=environment(GLOCK_SERVER=server.url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = [each for each in result.stderr.splitlines() if each.startswith("MODULES ")]
    modules = set(line.split())
    assert "click" in modules
    assert not modules & set(HEAVY)
    if command in {"help", "version"}:
        assert not modules & {"glock.client", "glock.cli.run", "socket"}
    if command not in {"run", "refused"}:
        assert "glock.cli.run" not in modules


def test_the_library_alone_needs_no_command_and_no_asyncio() -> None:
    script = "import sys, glock; glock.Client, glock.LockBusy; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(result.stdout.split()) & {"asyncio", "click", "rich", "ssl"}


def test_all_that_the_package_promises_is_there() -> None:
    import glock

    for name in glock.__all__:
        assert getattr(glock, name).__name__ == name
        assert name in dir(glock)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = glock.Nothing


@pytest.mark.parametrize("command", ["version", "ping", "run"])
def test_it_takes_hardly_any_time_of_the_processor(server: Daemon, command: str) -> None:
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "glock", *COMMANDS[command]],
            env=environment(GLOCK_SERVER=server.url),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert best < CPU_SECONDS
