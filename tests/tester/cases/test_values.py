"""Placeholders and matchers of case files: each is seen to fit, and not to fit."""

from __future__ import annotations

from typing import Any

import pytest

from glockd_tester.cases.outcome import Failed
from glockd_tester.cases.values import absent, fill, match, same

UUID = "9d5b0c1e-7c0e-4a43-9f5e-3b1d2c4e5f60"


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("${run}-t", "r1-t"),
        ("$run ${run}${run}", "$run r1r1"),
        (["${run}", 5, None, True], ["r1", 5, None, True]),
        ({"a": {"b": "${run}"}}, {"a": {"b": "r1"}}),
        ({"$repeat": ["${run}.", 3]}, "r1.r1.r1."),
        ({"$join": ["a", {"$repeat": ["b", 2]}, "${run}"]}, "abbr1"),
        ({"$re": "^${run}$"}, {"$re": "^r1$"}),
    ],
)
def test_placeholders_are_filled_in(value: Any, filled: Any) -> None:
    assert fill(value, {"run": "r1"}) == filled


@pytest.mark.parametrize("value", ["${other}", {"$repeat": ["x"]}, {"$repeat": 5}, {"$join": [1, 2]}])
def test_a_placeholder_that_means_nothing_fails(value: Any) -> None:
    with pytest.raises(Failed):
        fill(value, {"run": "r1"})


@pytest.mark.parametrize(
    ("want", "fits", "differs"),
    [
        (1, [1], [2, True, 1.0, "1", None]),
        (1.0, [1.0], [1, True]),
        (True, [True], [False, 1, "true"]),
        (None, [None], [False, 0, "", {}]),
        ("a", ["a"], ["b", "A", b"a", ""]),
        ([], [[]], [[1], None, {}]),
        ([1, {"a": 1}], [[1, {"a": 1}]], [[1], [1, {"a": True}], [1, {"a": 1, "b": 2}], [{"a": 1}, 1]]),
        ({}, [{}, {"a": 1}], [[], None, "x"]),
        ({"a": 1}, [{"a": 1}, {"a": 1, "b": 2}], [{}, {"a": 2}, {"b": 1}, None, [1], "a"]),
        ({"a": {"b": [1]}}, [{"a": {"b": [1], "c": 0}}], [{"a": {"b": [1, 2]}}, {"a": {}}, {"a": None}]),
        ({"a": {"$any": True}}, [{"a": 1}, {"a": None}], [{}, {"b": 1}]),
        ({"$any": True}, [None, "", 0, {}], []),
        ({"$re": "b+"}, ["abbc"], ["ac", 5, None, ["b"]]),
        ({"$is": "key"}, [UUID], [UUID + "0", UUID.upper(), UUID.replace("-4", "-5"), "", None, 5]),
        ({"$is": "session"}, [UUID.replace("-", "")], [UUID, UUID.replace("-", "")[1:], None]),
        ({"$in": [1, "x"]}, [1, "x"], [True, 1.0, "y", None]),
        ({"$not": "x"}, ["y", 1, None, {}], ["x"]),
        ({"$not": 1}, [True, 1.0], [1]),
    ],
)
def test_a_matcher_fits_what_it_says_and_nothing_else(want: Any, fits: list[Any], differs: list[Any]) -> None:
    for got in fits:
        match(want, got, "answer")
    for got in differs:
        with pytest.raises(Failed, match=r"^answer"):
            match(want, got, "answer")


@pytest.mark.parametrize(
    "want",
    [
        {"$regex": "x"},
        {"$re": "("},
        {"$re": 5},
        {"$is": "word"},
        {"$in": 5},
        {"$any": True, "b": 1},
        {"a": {"$x": 1}},
    ],
)
def test_a_matcher_that_means_nothing_fails_whatever_comes(want: Any) -> None:
    for got in ("x", 5, None, {"a": "x", "b": 1}):
        with pytest.raises(Failed):
            match(want, got, "answer")


def test_a_report_says_where_and_is_cut() -> None:
    with pytest.raises(Failed, match=r"^answer\.a\.b: 2 instead of 1$"):
        match({"a": {"b": 1}}, {"a": {"b": 2}}, "answer")
    with pytest.raises(Failed, match=r"^answer\.a\.b: missing in \{\}$"):
        match({"a": {"b": 1}}, {"a": {}}, "answer")
    with pytest.raises(Failed, match=r"^answer: x{60}… \(5000 characters\) instead of y$"):
        match("y", "x" * 5000, "answer")


def test_what_must_not_be_there() -> None:
    absent(["error"], {"key": "k"}, "response")
    with pytest.raises(Failed, match=r"^response\.error present: null$"):
        absent(["error"], {"error": None}, "response")


def test_equal_means_of_the_same_type_all_the_way_down() -> None:
    assert same({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})
    assert not same({"a": [1, {"b": 0}]}, {"a": [1, {"b": False}]})
    assert not same({"a": 1}, {"a": 1, "b": 2})
