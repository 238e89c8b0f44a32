"""The examples of the Python client's README do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from glock.cli import exits

from tests.support.fakes import daemon
from tests.support.places import ROOT
from tests.support.process import environment

README = ROOT / "clients" / "python" / "README.md"
EXAMPLES = re.findall(r"^```(python|sh)\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
SAYS = {
    "from glock import Client, LockBusy": [
        r"mine, fencing token \d+",
        "mine again",
        "mine at once",
        "done",
        "'nightly-report' was not free within 0.1 s",
    ],
    "from glock import Client\n": ["mine: page 1 at attempt 1", "0"],
    "import asyncio": [r"mine, fencing token \d+", r"\[Holder\(name='seats', who='127.*'\)\]"],
    "glock run": [r"token \d+", r"[\w.-]+", "nightly-report", r"Nobody holds it now\."],
}


@pytest.mark.parametrize(("language", "example"), EXAMPLES, ids=[each.split("\n")[0] for _, each in EXAMPLES])
def test_example(tmp_path: Path, language: str, example: str) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", example]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    if language == "sh":
        command = ["bash", "-euc", example]
    with daemon(tmp_path) as server:
        result = subprocess.run(
            command,
            env=environment(GLOCK_SERVER=server.url, PATH=path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (result.returncode, result.stderr) == (0, "")
    expected = next(lines for start, lines in SAYS.items() if example.startswith(start))
    assert re.fullmatch(r"\n".join(expected), result.stdout.rstrip("\n")), result.stdout


def test_every_exit_code_is_told() -> None:
    told = [int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text("utf-8"), re.MULTILINE)]
    assert told == [code for code, _ in exits.TABLE]
