"""`glockd-tester conformance --dispatch`: the cases of Data Dispatcher against a server that runs already."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from glockd_tester.cli import main
from tests.doors.ldlm.adapters import address
from tests.support.process import Spawner


@pytest.fixture
def served() -> Iterator[str]:
    """The address of a server that has what the cases need."""
    command = [sys.executable, "-m", "glockd_tester", "cases", "dispatch", "--serve", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield urlsplit(json.loads(process.stdout.readline())["url"]).netloc
        process.terminate()


def test_all_cases_pass_again_and_again(served: str) -> None:
    for _ in range(2):
        result = CliRunner().invoke(main, ["conformance", "--dispatch", served])
        assert "101 passed, 0 failed" in result.stdout
        assert result.exit_code == 0


def test_a_server_that_does_not_know_the_users_of_the_cases_is_told_so(
    glockd: Spawner, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("another secret\n")
    ours = glockd("-dispatch", "127.0.0.1:0", f"-dispatch-secret-file={tmp_path / 'secret'}")
    result = CliRunner().invoke(
        main, ["conformance", "--dispatch", "{}:{}".format(*address(ours, "dispatch"))]
    )
    assert result.exit_code == 2
    assert "does not know the users of the cases" in result.stderr
