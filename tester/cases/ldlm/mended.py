"""What a case of kind `defect` must look like where the defect is mended."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from ..files import Case
from ..outcome import Skipped
from ..values import Json
from .codes import ERROR_CODES


def mended(case: Case) -> list[Json]:
    """The steps of a case of kind `defect`, as they go where the defect is mended.

    If `instead` names an error code, the error that the case expects must have that code. Anything else it says is
    prose: `mended.json` has these cases.

    Raises:
        Skipped: it is prose; the text says it.
    """
    words = case.instead.replace(",", " ").split()
    codes = [word for word in words if word in ERROR_CODES]
    steps = copy.deepcopy(case.steps)
    errors = list(_errors(steps))
    if len(codes) != 1 or len(errors) != 1:
        raise Skipped(f"a defect of LDLM; mended, {case.instead}")
    errors[0]["code"] = codes[0]
    return steps


def _errors(steps: list[Json]) -> Iterator[dict[str, Json]]:
    """The errors that the steps expect."""
    for step in steps:
        expect = step.get("expect", {})
        answer = expect.get("json", expect.get("response"))
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            yield answer["error"]
