"""What answers are held against.

| in expected answers | fits |
|---|---|
| an object | an object with just these members, each fitting; with `...` among them, at least these |
| a list | a list as long, each fitting |
| `{"$has": [..]}`, `{"$set": [..]}` | a list with an element like each; `$set`: and no others; in any order |
| `<int>` `<float>` `<str>` `<bool>` `<any>` | a value of that type |
| `<time>` | a float within an hour of now |
| `~REGEX` | a text in which it is found |
| anything else | the same value of the same type: `5` is not `5.0` |
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from ..outcome import Failed
from ..values import Json, shown

TYPES: Mapping[str, type] = {"<int>": int, "<float>": float, "<str>": str, "<bool>": bool}
HOUR = 3600


def match(wanted: Json, got: Json, where: str) -> None:
    """Hold a value against a pattern.

    Args:
        where: what it is called in reports.

    Raises:
        Failed: it does not fit; the text says where and why.
    """
    if isinstance(wanted, str):
        _match_text(wanted, got, where)
    elif isinstance(wanted, dict) and wanted.keys() & {"$has", "$set"}:
        _match_any_order(wanted, got, where)
    elif isinstance(wanted, dict):
        _match_object(wanted, got, where)
    elif isinstance(wanted, list):
        if not isinstance(got, list) or len(got) != len(wanted):
            raise Failed(f"{where}: {len(wanted)} elements expected, got {shown(got)}")
        for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
            match(one, other, f"{where}[{number}]")
    elif type(wanted) is not type(got) or wanted != got:
        raise Failed(f"{where}: {shown(wanted)} expected, got {shown(got)}")


def fits(wanted: Json, got: Json) -> bool:
    """Whether a value fits a pattern."""
    try:
        match(wanted, got, "")
    except Failed:
        return False
    return True


def _match_text(wanted: str, got: Json, where: str) -> None:
    if wanted == "<any>":
        return
    if wanted == "<time>":
        good = type(got) is float and abs(got - time.time()) < HOUR
    elif wanted in TYPES:
        good = type(got) is TYPES[wanted]
    elif wanted.startswith("~"):
        good = isinstance(got, str) and re.search(wanted[1:], got) is not None
    else:
        good = got == wanted
    if not good:
        raise Failed(f"{where}: {shown(wanted)} expected, got {shown(got)}")


def _match_object(wanted: Mapping[str, Json], got: Json, where: str) -> None:
    if not isinstance(got, dict):
        raise Failed(f"{where}: an object expected, got {shown(got)}")
    members = wanted.keys() - {"..."}
    if missing := members - got.keys():
        raise Failed(f"{where}: {', '.join(sorted(missing))} missing")
    if "..." not in wanted and (extra := got.keys() - members):
        raise Failed(f"{where}: {', '.join(sorted(extra))} not expected")
    for name in sorted(members):
        match(wanted[name], got[name], f"{where}.{name}")


def _match_any_order(wanted: Mapping[str, Json], got: Json, where: str) -> None:
    elements = wanted.get("$set", wanted.get("$has"))
    if not isinstance(got, list):
        raise Failed(f"{where}: a list expected, got {shown(got)}")
    if "$set" in wanted and len(got) != len(elements):
        raise Failed(f"{where}: {len(elements)} elements expected, got {len(got)}")
    for element in elements:
        if not any(fits(element, one) for one in got):
            raise Failed(f"{where}: no element like {shown(element)}")
