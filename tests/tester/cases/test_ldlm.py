"""glockd's LDLM door against all recorded conversations with LDLM's server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from glockd.config import options
from glockd_tester.cases.ldlm.language import LANGUAGE
from glockd_tester.cli import main

DOOR = "ldlm" in {option.name for option in options()}


@pytest.mark.skipif(not DOOR, reason="needs the option -ldlm, which this glockd does not have")
@pytest.mark.parametrize("path", LANGUAGE.files(), ids=lambda path: path.name)
def test_every_recorded_conversation_goes_as_it_went(path: Path) -> None:
    result = CliRunner().invoke(main, ["cases", "ldlm", "--json", str(path)])
    results = json.loads(result.stdout)["results"]
    assert [one for one in results if one["outcome"] == "failed"] == []
    defects = [one for one in results if one["outcome"] == "skipped"]
    assert all(one["reason"].startswith("a defect of LDLM") for one in defects)
    assert len(results) - len(defects) >= 6
