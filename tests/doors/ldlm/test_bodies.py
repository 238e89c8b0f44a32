"""REST's JSON, as strict as LDLM's server."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.doors.ldlm import bodies
from glockd.doors.ldlm.bodies import DEEPEST, LOCK, STEP, UNLOCK, read
from glockd.doors.ldlm.outcomes import OTHER_SIZE, Outcome

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


@given(st.text(), INT32, st.booleans(), st.dictionaries(st.text(), VALUES))
def test_fields_are_found_among_others(name: str, size: int, escapes: bool, others: dict[str, Any]) -> None:
    fields = {key: value for key, value in others.items() if key not in LOCK}
    body = json.dumps({**fields, "name": name, "size": size}, ensure_ascii=escapes)
    try:
        content = body.encode()
    except UnicodeEncodeError:
        return  # a text of surrogates, which no UTF-8 has
    lone = any("\ud800" <= one <= "\udfff" for one in json.dumps(json.loads(body), ensure_ascii=False))
    if not lone:
        assert read(content, LOCK) == {"name": name, "size": size}


@given(st.binary())
def test_anything_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert set(read(body, LOCK)) <= {"name", "size", "lease"}


@pytest.mark.parametrize(
    "body", [b"", b" \r\n\t ", b"{}", b" {} trailing \xff", b'{"name":null,"x":[]}{', b"{}{}"]
)
def test_only_the_first_value_is_read(body: bytes) -> None:
    assert read(body, LOCK) == {}


@pytest.mark.parametrize(
    ("given_", "number"),
    [
        *(("3", 3), ("3.0", 3), ("30e-1", 3), ("-0", 0), ("0.0", 0), ("2147483647", 2147483647)),
        *(('"3"', 3), ('"1e0"', 1), ('"1.0"', 1), ("-2147483648", -2147483648), ("1E+2", 100)),
        *(("1000000000000e-12", 1), ('"' + "1" + "0" * 5000 + 'e-5000"', 1)),
    ],
)
def test_whole_numbers_in_all_their_forms(given_: str, number: int) -> None:
    assert read(f'{{"lockTimeoutSeconds":{given_}}}'.encode(), LOCK) == {"lease": number}


@pytest.mark.parametrize(
    "given_",
    [
        *("3.5", "2147483648", "-2147483649", "true", "[3]", "{}", '""', '"+1"', '"01"', '" 1"', '"0x1"'),
        *(
            '"1 "',
            "1e999999999",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            '"\u0661"',
            "NaN",
            "Infinity",
        ),
    ],
)
def test_what_is_no_whole_number(given_: str) -> None:
    with pytest.raises(ValueError, match=r"size|JSON"):
        read(f'{{"size":{given_}}}'.encode(), LOCK)


@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b'"x"', b"1", b"null", b"true", b"{", b"{bad", b'{"name":5}', b'{"name":"a",}', b"// x\n{}"),
        *(
            b'{"name":"a","name":null}',
            b'{"lock_timeout_seconds":1,"lockTimeoutSeconds":1}',
            b"\xef\xbb\xbf{}",
        ),
        *(
            b'{"x":"\xff"}',
            b'{"name":"\xff"}',
            b'{"x":"\\ud800"}',
            b'{"x":"\\udc00"}',
            b'{"x":"\\udc00\\ud800"}',
        ),
        *(
            b'{"x":"\\ud800x\\udc00"}',
            b'{"x":"\\ud800\\\\udc00"}',
            b'{"x":"a\nb"}',
            b'{"x":"\\x"}',
            b'{"x":01}',
        ),
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(body, LOCK)


def test_escapes_of_all_kinds() -> None:
    body = rb'{"name":"\ud83d\ude00\u0000\\ud800\"","key":"\u00e4"}'
    assert read(body, UNLOCK) == {"name": '\U0001f600\0\\ud800"', "key": "ä"}


@pytest.mark.parametrize("depth", [1, STEP - 1, STEP, STEP + 1, 5000, DEEPEST - 1])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"[\\"":', "}")])
def test_nesting(depth: int, begin: str, end: str) -> None:
    deep = begin * depth + "1" + end * depth
    assert read(f'{{"x":{deep},"name":"n"}} {{'.encode(), LOCK) == {"name": "n"}
    with pytest.raises(ValueError, match=r"."):
        read(f'{{"x":{deep[:-1]}'.encode(), LOCK)
    with pytest.raises(ValueError, match=r"."):
        read(f'{{"x":{begin * depth}}}{end * depth}}}'.encode(), LOCK)


@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1, 100_000])
def test_too_much_nesting(depth: int) -> None:
    for brackets in ("[" * depth, "[" * depth + "]" * depth):
        with pytest.raises(ValueError, match=r"."):
            read(f'{{"x":{brackets}}}'.encode(), LOCK)


def test_faults_deep_inside_are_found() -> None:
    for fault in ("1,", "]", "}", "nul", '"\\u12"', "1 2"):
        body = '{"x":' + "[" * 3000 + fault + "]" * 3000 + "}"
        with pytest.raises(ValueError, match=r"."):
            read(body.encode(), LOCK)


@given(st.text(st.characters(codec="utf-8")))
def test_answers_are_json_with_members_in_order(name: str) -> None:
    answer = bodies.locked(Outcome(False, "key", OTHER_SIZE), name)
    assert list(json.loads(answer)) == ["locked", "name", "key", "error"]
    assert json.loads(answer)["name"] == name
    assert json.loads(bodies.unlocked(Outcome(True), name)) == {"unlocked": True, "name": name}
    assert json.loads(answer)["error"] == {"code": "LockSizeMismatch", "message": "lock size mismatch"}
