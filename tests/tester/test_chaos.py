"""glockd-tester chaos: the daemon keeps its promises under random clients and faults."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glockd_tester import chaos
from glockd_tester.checker import Violation
from glockd_tester.cli import main
from glockd_tester.history import read_records, understand
from glockd_tester.server import LocalServer


def run(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_daemon_keeps_its_promises_in_chaos(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "history.jsonl"
    code, report = run("chaos", "--seed", str(seed), "--seconds", "3", "--keep", str(file))
    assert report["violations"] == []
    assert code == 0
    assert report["granted"] > 50
    assert report["refused"] > 50
    history = understand(read_records(file))
    assert {session.transport for session in history.sessions.values()} == {"tcp", "unix", "ws"}
    assert {session.how for session in history.sessions.values()} >= {"closed", "reset", "half-closed"}
    code, again = run("judge", str(file))
    assert code == 0
    assert again["commands"] == report["commands"]


def test_tokens_grow_and_promises_hold_when_the_server_is_killed(tmp_path: Path) -> None:
    settings = chaos.Settings(seed=3, seconds=4, workers=2, clients=3, kill_server=True)
    report = chaos.run(settings, options=["-state-dir", str(tmp_path)])
    assert report.violations == []
    assert report.faults["server killed"] >= 1


LAST_COME_FIRST_SERVED = """
from glockd.core.locks import LockTable
serve = LockTable._serve
def bad(self, lock, now):
    latest_first = list(reversed(lock.waiters.items()))
    lock.waiters.clear()
    lock.waiters.update(latest_first)
    return serve(self, lock, now)
LockTable._serve = bad
"""
TOKENS_SHRINK = """
import glockd.tokens
glockd.tokens.from_clock = lambda wall: iter(range(1_000_000, 0, -1))
"""


@pytest.mark.parametrize(
    ("bug", "rule"), [(LAST_COME_FIRST_SERVED, "fifo"), (TOKENS_SHRINK, "tokens")], ids=["fifo", "tokens"]
)
def test_a_bug_planted_in_the_daemon_is_found(bug: str, rule: str) -> None:
    command = [sys.executable, "-c", f"{bug}\nfrom glockd.cli import main\nmain()"]
    report = chaos.run(chaos.Settings(seed=8, seconds=2, workers=2), command=command)
    assert rule in {violation.rule for violation in report.violations}


def test_a_server_that_is_not_ours_can_be_tortured_too() -> None:
    with LocalServer() as server:
        code, report = run("chaos", str(server.tcp), "--seed", "4", "--seconds", "1", "--workers", "1")
    assert code == 0
    assert report["violations"] == []
    assert not report["faults"].keys() & {"server stopped", "server killed"}


def test_a_failing_history_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chaos, "judge", lambda history: [Violation("exclusion", "two at once", 1.0)])
    code, report = run("chaos", "--seed", "5", "--seconds", "0.5", "--workers", "1", "--clients", "2")
    assert code == 1
    assert report["history"] == "glockd-chaos-5.jsonl"
    assert [violation["rule"] for violation in report["violations"]] == ["exclusion"]
    assert understand(read_records(tmp_path / "glockd-chaos-5.jsonl")).sessions


def test_a_person_reads_a_verdict() -> None:
    result = CliRunner().invoke(main, ["chaos", "--seed", "6", "--seconds", "0.5", "--workers", "1"])
    assert result.exit_code == 0
    assert "0 violations of 12 rules" in result.output


def test_only_a_server_of_our_own_is_killed() -> None:
    result = CliRunner().invoke(main, ["chaos", "localhost", "--kill-server"])
    assert result.exit_code == 2
    assert "started here" in result.stderr


def test_a_server_that_cannot_be_started_is_told_so() -> None:
    result = CliRunner().invoke(main, ["chaos", "--server", "false", "--seconds", "1"])
    assert result.exit_code == 2
    assert "does not answer" in result.stderr


@pytest.mark.parametrize("written", [b"", b'{"event": "st', b'{"event": "starts", "at": 1}\n{"ev'])
def test_a_process_may_die_before_it_has_written_much(tmp_path: Path, written: bytes) -> None:
    file = tmp_path / "w0.jsonl"
    file.write_bytes(written)
    assert len(chaos.whole_records(file)) == written.count(b"\n")
    assert list(tmp_path.iterdir()) == [file]
