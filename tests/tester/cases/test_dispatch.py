"""`glockd-tester cases dispatch`: what is held against what, and all shared cases against a real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glockd_tester.cases.dispatch.language import LANGUAGE
from glockd_tester.cases.dispatch.patterns import match
from glockd_tester.cases.outcome import Failed
from glockd_tester.cli import main


@pytest.mark.parametrize("path", LANGUAGE.files(), ids=lambda path: path.name)
def test_every_case_passes(path: Path) -> None:
    result = CliRunner().invoke(main, ["cases", "dispatch", "--json", str(path)])
    outcomes = json.loads(result.output)["results"]
    assert [one for one in outcomes if one["outcome"] != "passed"] == []
    assert len(outcomes) == len(json.loads(path.read_bytes())["cases"])


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        (5, 5),
        ("<int>", 5),
        ("<float>", 5.0),
        ("<any>", None),
        ("~^ab", "abc"),
        ({"...": True, "a": 1}, {"a": 1, "b": 2}),
        ({"$has": [{"...": True, "n": 1}]}, [{"n": 2}, {"n": 1}]),
        ({"$set": [1, 2]}, [2, 1]),
        ([1, {"a": "<str>"}], [1, {"a": "x"}]),
    ],
)
def test_what_fits(wanted: Any, got: Any) -> None:
    match(wanted, got, "it")


@pytest.mark.parametrize(
    ("wanted", "got", "why"),
    [
        (5, 5.0, "5 expected"),
        (True, 1, "true expected"),
        ("<int>", True, "<int>"),
        ("<time>", 5.0, "<time>"),
        ("~^b", "abc", "expected, got abc"),
        ({"a": 1}, {"a": 1, "b": 2}, "b not expected"),
        ({"a": 1, "...": True}, {"b": 2}, "a missing"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, r"it\.a\.b: 1 expected"),
        ({"$has": [3]}, [1, 2], "no element like 3"),
        ({"$set": [1]}, [1, 2], "1 elements expected"),
        ([1], [1, 2], "1 elements expected"),
        ([1], {}, "1 elements expected"),
        ({"a": 1}, [], "an object expected"),
    ],
)
def test_what_does_not_fit(wanted: Any, got: Any, why: str) -> None:
    with pytest.raises(Failed, match=why):
        match(wanted, got, "it")


def test_a_case_that_expects_something_else_fails(tmp_path: Path) -> None:
    [shared] = LANGUAGE.files()
    file = json.loads(shared.read_bytes())
    step = {"method": "GET", "path": "/probe", "expect": {"status": 200, "text": "KO"}}
    file["cases"] = [{"name": "wrong", "kind": "wire", "steps": [step]}]
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(file))
    result = CliRunner().invoke(main, ["cases", "dispatch", str(path)])
    assert result.exit_code == 1
    assert "failed wrong: step 1: text: KO expected, got OK" in result.output
    assert result.output.endswith("0 passed, 1 failed\n")
