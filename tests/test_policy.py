"""Secrets as people write them into files."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from glockd.config import StartError
from glockd.policy import read_secrets
from tests.support.process import Spawner

SECRET = "se\u0301sam \u00f6ffne dich \U0001f511"


@pytest.mark.parametrize(
    "content",
    [
        SECRET.encode(),
        codecs.BOM_UTF8 + SECRET.encode(),
        SECRET.encode("utf-16"),
        codecs.BOM_UTF16_BE + SECRET.encode("utf-16-be"),
    ],
    ids=["plain", "with a mark", "UTF-16", "UTF-16, big end first"],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_is_the_same_whatever_wrote_the_file(
    glockd: Spawner, tmp_path: Path, content: bytes, end: str
) -> None:
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16-be" if content.startswith(codecs.BOM_UTF16_BE) else "utf-16-le" if wide else "ascii"
    path = tmp_path / "secrets"
    path.write_bytes(content + f"{end}other".encode(encoding) * bool(end))
    wanted = [SECRET.encode(), b"other"] if end else [SECRET.encode()]
    assert list(read_secrets(str(path))) == wanted
    daemon = glockd("-auth-file", str(path))
    for secret in wanted:
        daemon.stream().says(f"auth {secret.decode()}", "ping").hears("1 ok").hears("1 pong")
    daemon.stream().says(f"auth \ufeff{SECRET}").hears("0 Not Authorised")


def test_bytes_that_are_no_text_are_a_secret_too(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_bytes(b"\xe9t\xe9 \xff\n")
    assert read_secrets(str(path)) == (b"\xe9t\xe9 \xff",)


@pytest.mark.parametrize("content", [b"", b"\n \n", codecs.BOM_UTF8, "\n".encode("utf-16"), b"\xff\xfea"])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secrets"
    path.write_bytes(content)
    with pytest.raises(StartError, match="-auth-file: "):
        read_secrets(str(path))
