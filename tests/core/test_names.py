"""Names: what counts as the same one, and how one is shown in a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.core.names import normalise, shown, text

ODD = [
    (b"two\nlines", rb"two\x0alines"),
    (b"two  blanks", rb"two \x20blanks"),
    (b" ends ", rb"\x20ends\x20"),
    (b"tab\tthere\\", rb"tab\x09there\\"),
    ("wide\u2003space".encode(), rb"wide\xe2\x80\x83space"),
    (b" ", rb"\x20"),
]

# Mostly what makes a difference.
names = st.lists(st.sampled_from([b"a", b"\\", b" ", b"\n", b"\0", b"\xc2\x85", b"\xff", b"x20"])).map(
    b"".join
)


@pytest.mark.parametrize(("name", "line"), ODD)
def test_what_nobody_could_have_typed_is_shown_escaped(name: bytes, line: bytes) -> None:
    assert shown(name) == line


@given(names)
def test_a_name_that_can_be_typed_is_shown_as_it_is(name: bytes) -> None:
    assert shown(normalise(name)) == normalise(name)


@given(names)
def test_what_is_shown_stays_in_its_line_and_its_words(name: bytes) -> None:
    assert normalise(shown(name)) == shown(name)


@given(names, names)
def test_two_names_that_are_shown_escaped_do_not_look_the_same(one: bytes, other: bytes) -> None:
    if one != other and normalise(one) != one and normalise(other) != other:
        assert shown(one) != shown(other)


def test_a_megabyte_is_shown_in_no_time() -> None:
    assert shown(b" \n" * (1 << 19)).count(rb"\x0a") == 1 << 19


def test_text_is_one_to_one_for_utf_8() -> None:
    assert text("Grüße".encode()) == "Grüße"
    assert text(b"\xff") == r"\xff"
