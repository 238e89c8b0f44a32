"""Expressions of search_projects: what they mean, and that strangers cannot make them cost much."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.doors.dispatch import grammar, specs
from glockd.doors.dispatch.operands import BadQuery, Subject, Truth
from glockd.doors.dispatch.project import Moment, Project
from glockd.doors.dispatch.search import contains

ATTRIBUTES: dict[str, Any] = {
    "num": 5,
    "f": 1.5,
    "yes": True,
    "text": "Hello World",
    "lst": [1, 2, "x"],
    "empty": [],
    "obj": {"key": "value", "n": 3},
    "none": None,
    "x.y": 1,
}


def project(**attributes: Any) -> Project:
    described = {
        "project_attributes": {**ATTRIBUTES, **attributes},
        "query": "files from a:b",
        "idle_timeout": 90,
    }
    return specs.new_project(17, "alice", described, Moment(0.0, 1_700_000_000.0))


def truth(query: str, **attributes: Any) -> Truth:
    return grammar.parse(query).holds(Subject(project(**attributes)))


@pytest.mark.parametrize(
    "query",
    [
        "num = 5 and f = 1.5 and yes = TRUE",
        "num == 5.0 or nosuch = 1",
        "!num = 6",
        "! (num = 6 or f > 2)",
        "lst = 2",
        "lst[any] = x",
        "lst[all] != 7 or yes",
        "empty[all] = 1",
        "num[all] = 9",
        "lst[2] = 'x'",
        'obj["key"] = value',
        "len(lst) = 3",
        "len(empty) < 1",
        "2 in lst",
        "'World' in text",
        "World not in owner",
        "files in query",
        "num in 5:6 and num not in 6:7",
        "text in 'A':'Z'",
        "num in (1, 5)",
        "num not in (1)",
        "nosuch not in (1)",
        "num present and nosuch not present and x.y and none present",
        "ended_timestamp not present",
        "created_timestamp > '2023-11-14' and created_timestamp < '2023-11-15T00:00:00+00:00'",
        "created_timestamp = 1700000000",
        "idle_timeout = 90 and idle_timeout = '90 seconds' and idle_timeout < '2 minutes'",
        "text ~ 'o W' and text !~ '^W' and text ~* 'HELLO'",
        "owner = alice and state in (active,done) and id = 17",
        "len = 5 or num = 5",
    ],
)
def test_what_is_true(query: str) -> None:
    assert truth(query) is True


@pytest.mark.parametrize(
    "query",
    [
        "nosuch = 5",
        "nosuch != 5",
        "lst = 3.5 and num = 5",
        "empty = 1",
        "lst[all] = 1",
        "lst[7] = 1",
        'obj["nosuch"] = 1',
        "ended_timestamp > 0",
        "owner = bob",
        "num in 6:7",
        "text in (5)",
        "7 in lst",
        "none in (1)",
    ],
)
def test_what_is_not_true(query: str) -> None:
    assert truth(query) is not True


@pytest.mark.parametrize(
    "query", ["num = '5'", "text = 5", "yes = 1", "len(num) = 1", "num ~ '5'", "text < 3"]
)
def test_what_is_unknown_stays_unknown(query: str) -> None:
    assert truth(query) is None
    assert truth(f"!({query})") is None
    assert truth(f"{query} and nosuch") is False
    assert truth(f"{query} or num") is True


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "a test is missing"),
        ("num =", "a value is missing"),
        ("num = 5 )", r"'\)' was not expected"),
        ("(num = 5", r"\) is missing"),
        ("a = 'x", "means nothing"),
        ("a = 'it\"s'", "means nothing"),
        ("5 = num", "'5' is no name"),
        ("'x' = num", "a text may only"),
        ("num not 5", "`in` or `present` is missing"),
        ("lst[x] = 1", "an index is"),
        ("num in 5:", "one end of the range"),
        ("a ~ '('", "the regular expression is not right"),
        ("a ~ 5", "a regular expression is a text"),
        (f"a ~ '{'x' * 101}'", "100 characters"),
        ("created_timestamp > yesterday", "no date and time"),
        ("idle_timeout > 'soon'", "no time such as"),
        ("a = 1 or " * 100 + "a = 1", "it may have 100 tests"),
        ("!" * 100 + "a", "it may be 50 deep"),
        ("a" * 10_001, "10000 characters"),
    ],
)
def test_what_means_nothing(query: str, why: str) -> None:
    with pytest.raises(BadQuery, match=why):
        grammar.parse(query)


@given(st.text("ab=!()[]'\"~*:, \x00é5.", max_size=40) | st.text(max_size=40))
def test_any_text_is_an_expression_or_a_clear_refusal(query: str) -> None:
    with contextlib.suppress(BadQuery):
        assert grammar.parse(query).holds(Subject(project())) in (True, False, None)


def test_a_regular_expression_that_ruins_others_takes_no_time() -> None:
    begun = time.process_time()
    assert truth(f"text ~ '{'(a*)*' * 10}b'", text="a" * 1000) is False
    assert time.process_time() - begun < 0.5


def test_a_text_that_is_too_long_is_not_searched() -> None:
    assert truth("text ~ 'a'", text="a" * 1001) is None


def test_what_looks_at_too_much_is_refused() -> None:
    with pytest.raises(BadQuery, match="it looks at too much"):
        truth("big = 1", big=[0] * 20_000)
    with pytest.raises(BadQuery, match="it looks at too much"):
        contains(Subject(project()), [0] * 999 + [1], [1] * 1000)


@pytest.mark.parametrize(
    ("whole", "part", "wanted"),
    [
        ({"a": 5}, {"a": 5.0}, True),
        ({"a": 5}, {"a": "5"}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": None}, {"a": None}, True),
        ({}, {"a": None}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": [1, 2, 3]}, {"a": [3, 1]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": [1]}, {"a": 1}, False),
    ],
)
def test_containing(whole: object, part: object, wanted: bool) -> None:
    assert contains(Subject(project()), whole, part) is wanted
