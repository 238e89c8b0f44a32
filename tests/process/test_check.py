"""`glockd -check`: what a configuration comes to, without starting anything."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from glockd.config import default, flag, options
from tests.support.certificates import Authority
from tests.support.process import run_glockd

SOURCE = re.compile(r"^([a-z-]+) = .*?  # (.*)$", re.MULTILINE)


def test_every_option_and_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "glockd.toml"
    path.write_text("ws = 77\nhistory = 1\n")
    result = run_glockd(
        "-check", "-port", "5", "-config", str(path), env={"GLOCKD_HISTORY": "7", "GLOCKD_VERBOSE": "1"}
    )
    assert (result.returncode, result.stderr) == (0, "")
    wanted = {flag(one.name): "default" for one in options()}
    wanted |= {"port": "command line", "ws": f"file {path}"}
    wanted |= {name: f"environment, GLOCKD_{name.upper()}" for name in ("history", "verbose")}
    assert dict(SOURCE.findall(result.stdout)) == wanted
    values = {flag(one.name): default(one) for one in options()}
    # What is printed is a file that the daemon reads.
    assert tomllib.loads(result.stdout) == values | {"port": 5, "ws": 77, "history": 7, "verbose": True}


def test_nothing_is_started_and_nothing_made(tmp_path: Path) -> None:
    names = {"-unix": "sock", "-pidfile": "pid", "-state-dir": "state/deep"}
    words = [word for name, path in names.items() for word in (name, str(tmp_path / path))]
    assert run_glockd("-check", *words).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_no_secret_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text("open sesame\nother\n")
    result = run_glockd("-check", "-auth-file", str(path))
    assert result.returncode == 0
    assert f"# -auth-file: {path}: 2 secrets\n" in result.stdout
    assert not re.search("sesame|other", result.stdout + result.stderr)


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("-auth-file", "none"), "-auth-file: none: No such file or directory"),
        (("-tls-cert", "none"), "-tls-cert: none: No such file or directory"),
        (("-unix", "none/sock"), "-unix: none/sock: there is no folder none"),
        (("-unix", "file"), "-unix: file: it exists and is no socket"),
        (("-pidfile", "none/pid"), "-pidfile: none/pid: there is no folder none"),
        (("-records", "none/records"), "-records: none/records: there is no folder none"),
        (("-records", "."), "-records: .: it exists and is no regular file"),
        (("-state-dir", "file"), "-state-dir: file: there is no folder file"),
        (
            ("-unix", "sock", "-unix-owner", "no such user"),
            "-unix-owner: no such user: not found on this machine",
        ),
        (
            ("-unix", "sock", "-unix-group", "no such group"),
            "-unix-group: no such group: not found on this machine",
        ),
        (("-bind", "no.such.name.invalid"), "cannot listen on no.such.name.invalid port 9998"),
    ],
)
def test_what_would_keep_it_from_starting(tmp_path: Path, flags: tuple[str, ...], error: str) -> None:
    (tmp_path / "file").touch()
    result = run_glockd("-check", "-port", "0", *flags, cwd=tmp_path)
    assert result.returncode == 1
    assert f"glockd: error: {error}" in result.stderr
    assert "\nport = 0 " in result.stdout  # the options are shown all the same
    # And the daemon says so, too.
    assert run_glockd("-port", "0", *flags, cwd=tmp_path).returncode != 0


def test_a_folder_that_cannot_be_written_to() -> None:
    # Not even root may write there.
    result = run_glockd("-check", "-unix", "/proc/sys/sock")
    assert "cannot be written to by this user" in result.stderr


def test_a_wrong_option_is_one_here_too() -> None:
    assert run_glockd("-check", "-history", "-1").returncode == 2


def test_what_is_ignored_or_will_not_work_for_long_is_a_warning(
    tmp_path: Path, need: Callable[[str, str | None], str]
) -> None:
    pair = Authority(tmp_path, need("openssl", None)).lasting("old", -1)
    result = run_glockd(
        "-check", "-tls-cert", str(pair[0]), "-tls-key", str(pair[1]), "nonsense", env={"GLOCKD_PROT": "1"}
    )
    assert result.returncode == 0
    assert f"# -tls-cert: {pair[0]}: commonName=old, serial " in result.stdout
    for warning in (
        "ignored words, as no option is meant: nonsense",
        "ignored variables, as no option is meant: GLOCKD_PROT",
        f"-tls-cert: {pair[0]}: commonName=old has expired: ",
    ):
        assert f"glockd: warning: {warning}" in result.stderr


def test_a_daemon_for_sockets_that_are_handed_over_is_no_error() -> None:
    result = run_glockd("-check", "-port", "0", "-ws", "0")
    assert result.returncode == 0
    assert "glockd: warning: nothing to listen on, unless sockets are handed over" in result.stderr
