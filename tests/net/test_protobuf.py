"""Messages against what protobuf's own specification says of the bytes, and against themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.net.protobuf import UNKNOWN, Field, Message, Scalar

INNER = Message(Field("code", 1, "int32"), Field("text", 2, "string"))
OUTER = Message(
    Field("name", 1, "string"),
    Field("flag", 2, "bool"),
    Field("size", 4, "int32", presence=True),
    Field("inner", 5, INNER),
    Field("words", 6, "string", repeated=True),
    Field("numbers", 7, "uint32", repeated=True),
    Field("all", 8, INNER, repeated=True),
    Field("long", 9, "int64"),
    Field("raw", 10, "bytes"),
    Field("lease", 100, "int32", presence=True),
)
EMPTY: dict[str, Any] = {
    "name": "",
    "flag": False,
    "size": None,
    "inner": None,
    "words": [],
    "numbers": [],
    "all": [],
    "long": 0,
    "raw": b"",
    "lease": None,
}
KEEPING = Message(Field("name", 1, "string"), keeps_unknown=True)


def one(kind: Scalar) -> Message:
    return Message(Field("it", 1, kind))


def test_nothing_is_the_message_of_zeros() -> None:
    assert OUTER.decode(b"") == EMPTY
    assert OUTER.encode(EMPTY) == OUTER.encode({}) == b""


def test_decoded_lists_are_the_messages_own() -> None:
    OUTER.decode(b"")["words"].append("x")
    assert OUTER.decode(b"")["words"] == []


# From protobuf.dev/programming-guides/encoding, and from LDLM's messages.
@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ("0a0774657374696e67", {"name": "testing"}),
        ("1001", {"flag": True}),
        ("1005", {"flag": True}),
        ("2000", {"size": 0}),
        ("20ffffffffffffffffff01", {"size": -1}),
        ("2a03089601", {"inner": {"code": 150, "text": ""}}),
        ("2a00", {"inner": {"code": 0, "text": ""}}),
        ("320161320162", {"words": ["a", "b"]}),
        ("3a06038e029ea705", {"numbers": [3, 270, 86942]}),
        ("380338013a010a", {"numbers": [3, 1, 10]}),
        ("4202080142030a0178", {"all": [{"code": 1, "text": ""}, {"code": 0, "text": ""}]}),
        ("4880808080808080808001", {"long": -(1 << 63)}),
        ("5202ff00", {"raw": b"\xff\0"}),
        ("a00605", {"lease": 5}),
    ],
)
def test_bytes_mean_what_they_mean(data: str, fields: dict[str, Any]) -> None:
    assert OUTER.decode(bytes.fromhex(data)) == EMPTY | fields


def test_of_a_field_that_comes_twice_the_last_counts() -> None:
    assert OUTER.decode(b"\x0a\x01a\x0a\x01b")["name"] == "b"


def test_messages_in_messages_are_merged() -> None:
    assert OUTER.decode(b"\x2a\x02\x08\x01\x2a\x03\x12\x01x")["inner"] == {"code": 1, "text": "x"}


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("int32", (1 << 32) + 1, 1),
        ("int32", 0xFFFFFFFF, -1),
        ("int32", 0x80000000, -(1 << 31)),
        ("uint32", (1 << 32) + 1, 1),
        ("int64", (1 << 64) - 1, -1),
        ("uint64", (1 << 64) - 1, (1 << 64) - 1),
    ],
)
def test_integers_keep_their_lower_bits(kind: Scalar, raw: int, value: int) -> None:
    assert one(kind).decode(one("uint64").encode({"it": raw})) == {"it": value}


@pytest.mark.parametrize(
    "skipped",
    [
        b"\x98\x06\x07",  # 99, varint
        b"\x99\x06" + bytes(8),
        b"\x9a\x06\x02hi",
        b"\x9d\x06" + bytes(4),
        b"\x9b\x06\x08\x01\x9b\x06\x0a\x01x\x9c\x06\x9c\x06",  # groups in one another
        b"\x08\x05",  # the name, but a varint
        b"\x0d" + bytes(4),
    ],
)
def test_unknown_fields_and_wrong_wire_types_are_skipped(skipped: bytes) -> None:
    assert OUTER.decode(skipped + b"\x0a\x01a" + skipped) == EMPTY | {"name": "a"}
    kept = KEEPING.decode(skipped + b"\x0a\x01a" + skipped)
    assert kept == {"name": "a", UNKNOWN: skipped * 2}
    assert KEEPING.encode(kept) == b"\x0a\x01a" + skipped * 2


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\x0fabc",
        b"\x10",
        b"\x10\x80",
        b"\x10" + b"\xff" * 10 + b"\x01",  # eleven bytes
        b"\x00\x00",  # field 0
        b"\xf8\xff\xff\xff\xff\x01\x00",  # a field number of 33 bits
        b"\x9d\x06\x00",
        b"\x99\x06\x00",
        b"\x9b\x06\x08\x01",  # a group without end
        b"\x9b\x06\x94\x06",  # ended by another number
        b"\x9c\x06",  # an end without a group
        b"\x0e",
        b"\x0f",
        b"\x0a\x02\xff\xfe",  # no UTF-8
        b"\x0a\x03\xed\xa0\x80",  # a surrogate
        b"\x2a\x02\x12\x05",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # what it says differs
        OUTER.decode(data)


def test_an_integer_of_more_than_64_bits_is_not_written() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        OUTER.encode({"long": 1 << 64})


def test_zero_is_written_where_there_is_presence() -> None:
    assert OUTER.encode({"name": "", "size": 0, "inner": {}}) == bytes.fromhex("20002a00")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
INNERS = st.fixed_dictionaries({"code": st.integers(-(1 << 31), (1 << 31) - 1), "text": TEXTS})
OUTERS = st.fixed_dictionaries(
    {
        "name": TEXTS,
        "flag": st.booleans(),
        "size": st.none() | st.integers(-(1 << 31), (1 << 31) - 1),
        "inner": st.none() | INNERS,
        "words": st.lists(TEXTS, max_size=3),
        "numbers": st.lists(st.integers(0, (1 << 32) - 1), max_size=3),
        "all": st.lists(INNERS, max_size=3),
        "long": st.integers(-(1 << 63), (1 << 63) - 1),
        "raw": st.binary(max_size=200),
        "lease": st.none() | st.integers(-(1 << 31), (1 << 31) - 1),
    }
)


@given(OUTERS)
def test_what_is_written_is_read(fields: dict[str, Any]) -> None:
    data = OUTER.encode(fields)
    assert OUTER.decode(data) == fields
    everything = Message(keeps_unknown=True).decode(data)
    assert everything == {UNKNOWN: data}


@given(st.binary(max_size=60) | OUTERS.map(OUTER.encode), st.integers(0, 100))
def test_junk_and_pieces_are_messages_or_a_value_error(data: bytes, end: int) -> None:
    try:
        decoded = OUTER.decode(data[:end])
    except ValueError:
        return
    assert OUTER.decode(OUTER.encode(decoded)) == decoded
