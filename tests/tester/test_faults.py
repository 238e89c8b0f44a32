"""Faults done on purpose: the quick ones of `glockd-tester faults`; `make chaos` does them all, and for longer."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glockd.doors.ldlm.keeper import Keeper
from glockd_tester import faults, faults_clients
from glockd_tester.cli import main
from glockd_tester.server import LocalServer
from tools import fuzz, fuzz_ldlm, mutants

QUICK = (
    "holders-killed",
    "waiters-killed",
    "clients-stopped",
    "slow-readers",
    "slow-writers",
    "connections-flood",
    "holders-die-at-once",
    "descriptors-run-out",
    "limits-exceeded",
    "fuzzed-sockets",
    "daemon-stopped",
    "daemon-killed",
    "ldlm-holders-reset",
    "ldlm-waiters-reset",
    "ldlm-reset-at-a-grant",
    "ldlm-gone-behind-unlock",
    "ldlm-slow-bodies",
    "workers-killed",
    "items-outlive-the-daemon",
    "projects-outlive-the-daemon",
)


def run(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(main, ["faults", "--quick", "--json", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    assert result.stdout, result.stderr  # it could not be done: why
    return result.exit_code, json.loads(result.stdout)["faults"]


@pytest.mark.parametrize("name", QUICK)
def test_the_daemon_survives(name: str) -> None:
    code, [report] = run(name)
    assert report["failures"] == []
    assert code == 0
    assert len(report["figures"]) > 1


def test_leases_and_tokens_do_not_depend_on_the_wall_clock(need: Callable[[str, str | None], str]) -> None:
    need("faketime", "faketime")
    code, [report] = run("clock-steps")
    assert report["failures"] == []
    assert code == 0
    assert report["figures"]["history saw the clock ahead by, s"] == 86400  # it was really set


def broken(bug: str) -> list[str]:
    return [sys.executable, "-c", f"{bug}\nfrom glockd.cli import main\nmain()"]


KNOWS_NO_FULL_LINE = """
from glockd.doors.line.wire.conversation import Conversation
Conversation.line_is_full = lambda *_: False
"""
FAILS_AT_JUNK = """
from glockd.doors.line.wire.lines import LineConversation
receive = LineConversation._receive
def bad(self, data, now):
    if bytes([255]) in data:
        raise RuntimeError("planted")
    return receive(self, data, now)
LineConversation._receive = bad
"""


@pytest.mark.parametrize(
    ("bug", "name"), [(KNOWS_NO_FULL_LINE, "limits-exceeded"), (FAILS_AT_JUNK, "fuzzed-sockets")]
)
def test_a_bug_planted_in_the_daemon_is_told(bug: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_clients, "LocalServer", partial(LocalServer, command=broken(bug)))
    monkeypatch.setattr(faults.until, "__defaults__", (0.3, 0.01))
    code, [report] = run(name)
    assert report["failures"] != []
    assert code == 1


def test_a_person_reads_the_figures() -> None:
    result = CliRunner().invoke(main, ["faults", "--quick", "slow-writers"])
    assert result.exit_code == 0
    assert "10 of 10" in result.output


def test_no_such_fault() -> None:
    result = CliRunner().invoke(main, ["faults", "earthquake"])
    assert result.exit_code == 2
    assert "half-open" in result.stderr


def test_junk_for_the_line_parser() -> None:
    figures = fuzz.lines(20_000, random.Random(1)).figures()
    assert figures["crashes"] == {}
    assert figures["hangs"] == 0
    assert figures["commands understood"] > 1000


def test_junk_for_the_websocket_door() -> None:
    figures = asyncio.run(fuzz.messages(5_000, random.Random(1))).figures()
    assert figures["crashes"] == {}
    assert figures["hangs"] == 0
    assert figures["commands understood"] > 100
    assert figures["objects kept, from half of the run to its end"] < fuzz.LEAK


def test_junk_for_http() -> None:
    figures = asyncio.run(fuzz.requests(10_000, random.Random(1))).figures()
    assert figures["crashes"] == {}
    assert figures["hangs"] == 0
    assert figures["commands understood"] > 1000
    assert figures["objects kept, from half of the run to its end"] < fuzz.LEAK


def test_junk_for_grpc() -> None:
    figures = asyncio.run(fuzz.frames(5_000, random.Random(1))).figures()
    assert figures["crashes"] == {}
    assert figures["hangs"] == 0
    assert figures["commands understood"] > 50
    assert figures["objects kept, from half of the run to its end"] < fuzz.LEAK


def test_junk_for_ldlm() -> None:
    figures = asyncio.run(fuzz_ldlm.ldlm(10_000, random.Random(1))).figures()
    assert figures["crashes"] == {}
    assert figures["hangs"] == 0
    assert figures["commands understood"] > 300
    assert figures["objects kept, from half of the run to its end"] < fuzz.LEAK


def test_junk_for_ldlm_finds_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keeper, "_end_holds", lambda self: None)
    course = asyncio.run(fuzz_ldlm.ldlm(500, random.Random(1)))
    assert "sessions" in course.crashes["something is left"]


def test_a_planted_fault_changes_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "some.py"
    source.write_text('NOTE = "ü"\ndef f(a: int) -> bool:\n    return a < 3 and not a\n', "utf-8")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    found = {str(mutant) for mutant in mutants.mutants_of(source)}
    assert found == {
        "some.py:3: a < 3 and not a  →  (a < 3 or not a)",
        "some.py:3: a < 3  →  (a <= 3)",
        "some.py:3: not a  →  (a)",
        "some.py:3: 3  →  (4)",
    }
