"""Files and functions that a reader takes in at once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.places import ROOT

LONGEST_FUNCTION = 60  # lines
LONGEST_MODULE = 420
# Each with the reason why it is longer.
LONG_MODULES = {"glockd/config.py": "all options are there, and each door brings its own"}
MODULES = sorted(ROOT.glob("glockd/**/*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_module_is_too_long(path: Path) -> None:
    lines = path.read_text("utf-8").count("\n")
    assert lines <= LONGEST_MODULE or name(path) in LONG_MODULES, f"{lines} lines"


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function has, its docstring apart."""
    documented = ast.get_docstring(function) is not None
    first = function.body[0].end_lineno if documented else function.lineno - 1
    return (function.end_lineno or 0) - (first or 0)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_function_is_too_long(path: Path) -> None:
    nodes = ast.walk(ast.parse(path.read_bytes()))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [one.name for one in functions if length(one) > LONGEST_FUNCTION] == []


def test_a_long_module_is_still_long() -> None:
    for path in LONG_MODULES:
        assert (ROOT / path).read_text("utf-8").count("\n") > LONGEST_MODULE
