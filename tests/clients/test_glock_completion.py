"""`glock completion`: real shells, in which somebody presses Tab."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from glock import Client

from tests.clients.test_glock_run import Terminal, glock
from tests.support.fakes import Daemon, daemon
from tests.support.process import environment

Need = Callable[[str, str | None], str]
PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"
NAMES = ("nightly report", "nightly:a", "nightly:b c", 'it\'s "quoted" $HOME', "größe", "plain")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with (
        daemon(tmp_path_factory.mktemp("completion"), "-admin") as running,
        Client(running.url, name="me") as client,
    ):
        for name in NAMES[:-1]:
            client.lock(name).acquire()
        client.shared(NAMES[-1]).acquire()
        yield running


def script(shell: str, tmp_path: Path) -> Path:
    result = glock("", "completion", shell)
    assert (result.returncode, result.stderr) == (0, "")
    path = tmp_path / f"glock.{shell}"
    path.write_text(result.stdout)
    return path


# Bash


@pytest.fixture
def bash(server: Daemon, tmp_path: Path) -> Iterator[Callable[[str], list[str]]]:
    """What bash makes of a line that ends with Tab: the words that it would run.

    They are the arguments of a function of that shell, `words`, which has glock's completion and prints them.
    """
    shell = Terminal(
        *["bash", "--norc", "--noprofile", "-i"],
        GLOCK_SERVER=server.unix_url,
        PS1="$ ",
        PATH=PATH,
        LC_ALL="C.UTF-8",
        COLUMNS="500",
        HISTFILE="/dev/null",
        INPUTRC="/dev/null",
    )
    for line in (
        f"source {script('bash', tmp_path)}",
        "_words() { _glock_completion glock; }",
        "complete -o nosort -F _words words",
        "words() { printf '[[%s' \"$@\"; echo ']'']'; }",
    ):
        shell.shows("$ ").types(line + "\n")

    def completes(typed: str) -> list[str]:
        shell.shows("$ ").types(f"words {typed}\t").types("\n").shows("\r\n")
        shell.shows("[[")
        shell.shows("]]")
        return shell.passed.split("[[")

    yield completes
    shell.types("exit\n").ends()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("expl", ["explain"]),
        ("list --js", ["list", "--json"]),
        ("completion f", ["completion", "fish"]),
        ("explain pl", ["explain", "plain"]),
        ("explain gr", ["explain", "größe"]),
        ("explain nightly\\ ", ["explain", "nightly report"]),
        ("explain 'nightly r", ["explain", "nightly report"]),
        ('explain "nightly r', ["explain", "nightly report"]),
        ("explain nightly:a", ["explain", "nightly:a"]),
        ("explain nightly:b", ["explain", "nightly:b c"]),
        ("explain 'nightly:b", ["explain", "nightly:b c"]),
        ("explain it", ["explain", 'it\'s "quoted" $HOME']),
        ("run -n pl", ["run", "-n", "plain"]),
        ("run plain dirnam", ["run", "plain", "dirname"]),
        ("-S uni", ["-S", "unix:///"]),
        ("-S tl", ["-S", "tls://"]),
        ("run -w 36", ["run", "-w", "3600"]),
        ("kick m", ["kick", "me"]),
        ("who m", ["who", "me"]),
        ("explain nothing-that-is-held", ["explain", "nothing-that-is-held"]),
    ],
)
def test_bash_completes(bash: Callable[[str], list[str]], typed: str, words: list[str]) -> None:
    assert bash(typed) == words


def test_bash_completes_behind_the_cursor_as_before_it(bash: Callable[[str], list[str]]) -> None:
    assert bash("explain pl --json\x1bb\x1bb\x06\x06") == ["explain", "plain", "--json"]


# The others: by what their scripts ask for, and in the shells themselves where they are


def asked(shell: str, words: str, current: str, server: str) -> list[str]:
    """What the script of `shell` is told."""
    place = {"COMP_CWORD": current} if shell == "fish" else {"COMP_CWORD": str(len(words.split()))}
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "glock"],
        env=environment(GLOCK_SERVER=server, _GLOCK_COMPLETE=f"{shell}_complete", COMP_WORDS=words, **place),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.stderr == ""
    return result.stdout.splitlines()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_the_names(server: Daemon, shell: str) -> None:
    told = "\n".join(asked(shell, "glock explain", "", server.url))
    for name in ("nightly report", "größe", "plain"):
        assert name in told


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_without_a_server_nothing_is_offered_and_nothing_said(shell: str) -> None:
    for nowhere in ("tcp://127.0.0.1:1", "no:port", "/nowhere"):
        assert "plain" not in "\n".join(asked(shell, "glock explain", "", nowhere))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_reads(shell: str, tmp_path: Path, need: Need) -> None:
    path = script(shell, tmp_path)
    no_run = [need(shell, None), "--no-execute" if shell == "fish" else "-n", str(path)]
    result = subprocess.run(no_run, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("expl", ["explain"]),
        ("explain pl", ["explain", "plain"]),
        ("explain nightly\\ ", ["explain", "nightly report"]),
        ("explain nightly:b", ["explain", "nightly:b c"]),
        ("explain it", ["explain", 'it\'s "quoted" $HOME']),
        ("kick m", ["kick", "me"]),
    ],
)
def test_zsh_completes(server: Daemon, tmp_path: Path, need: Need, typed: str, words: list[str]) -> None:
    shell = Terminal(
        *[need("zsh", None), "-f", "-i"],
        GLOCK_SERVER=server.unix_url,
        PS1="$ ",
        PATH=PATH,
        LC_ALL="C.UTF-8",
        COLUMNS="500",
        HOME=str(tmp_path),
    )
    for line in (
        "unsetopt zle_bracketed_paste prompt_sp",
        f"autoload -Uz compinit && compinit -u -d {tmp_path}/dump && source {script('zsh', tmp_path)}",
        "compdef _glock_completion words",
        "words() { printf '[[%s' $@; echo ']'']' }",
        "echo rea''dy",
    ):
        shell.shows("$ ").types(line + "\n")
    shell.shows("ready").shows("$ ").types(f"words {typed}\t").types("\n").shows("\r\n").shows("[[").shows(
        "]]"
    )
    found = shell.passed.split("[[")
    shell.types("exit\n").ends()
    assert found == words


def test_fish_completes(server: Daemon, tmp_path: Path, need: Need) -> None:
    path = script("fish", tmp_path)
    ask = f"source {path}; complete --do-complete 'glock explain nightly'"
    result = subprocess.run(
        [need("fish", None), "--no-config", "-c", ask],
        env=environment(GLOCK_SERVER=server.url, PATH=PATH, LC_ALL="C.UTF-8", HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert sorted(result.stdout.splitlines()) == ["nightly report", "nightly:a", "nightly:b c"]


def test_another_shell_is_refused() -> None:
    result = glock("", "completion", "tcsh")
    assert (result.returncode, "'tcsh' is not one of" in result.stderr) == (2, True)
