"""`glockd -dispatch-token USER`, and what `glockd -check` says of the door's files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from glockd.doors.dispatch import tokens
from tests.doors.dispatch.site import SECRET, flags
from tests.support.process import run_glockd


def test_a_token_is_printed_as_the_client_keeps_it(tmp_path: Path) -> None:
    result = run_glockd(*flags(tmp_path), "-dispatch", "127.0.0.1:8088", "-dispatch-token", "alice")
    assert (result.returncode, result.stderr) == (0, "")
    url, token = result.stdout.split()
    assert url == "http://127.0.0.1:8088/data"
    claims = tokens.verify(token, (SECRET.encode(),), time.time())
    assert (claims["sub"], round(claims["exp"] - claims["iat"])) == ("alice", 7 * 86400)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-dispatch", "127.0.0.1:1"), "-dispatch-secret-file has what tokens are signed with"),
        ((), "-dispatch says where the token is to be good"),
    ],
)
def test_what_is_missing_is_said(words: tuple[str, ...], why: str) -> None:
    result = run_glockd(*words, "-dispatch-token", "alice")
    assert (result.returncode, why in result.stderr) == (1, True), result.stderr


def test_nobody_unknown_gets_one(tmp_path: Path) -> None:
    result = run_glockd(*flags(tmp_path), "-dispatch-token", "zed")
    assert (result.returncode, result.stderr) == (1, "glockd: -dispatch-token: user zed not found\n")


def test_check_reads_the_files(tmp_path: Path) -> None:
    words = flags(tmp_path)
    good = run_glockd("-check", *words)
    assert f"# -dispatch-users-file: {tmp_path / 'users'}: 3 users\n" in good.stdout
    (tmp_path / "users").write_text("alice boss\n")
    bad = run_glockd("-check", *words)
    assert (bad.returncode, "'boss' is neither admin" in bad.stderr) == (1, True)
