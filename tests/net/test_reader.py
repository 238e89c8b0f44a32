"""Where a request begins and ends does not depend on the packets that it comes in."""

from __future__ import annotations

import random

import pytest

from glockd.net.exchange import split_target
from glockd.net.reader import BYTES_A_TURN, Limits, Reader
from tools.fuzz import request

LIMITS = Limits(body=65_536)


def read(packets: list[bytes]) -> list[tuple[object, ...]]:
    """The requests and the refusal in what is sent."""
    reader = Reader(LIMITS, b"")
    for packet in packets:
        rest = packet
        while rest:
            turn, rest = rest[:BYTES_A_TURN], rest[BYTES_A_TURN:]
            rest = reader.feed(turn) + rest
    found: list[tuple[object, ...]] = []
    for due in reader.due:
        if due.refusal is not None:
            found.append(("refused", due.refusal.answer.status, due.refusal.answer.body))
        else:
            ask = due.ask
            found.append((ask.method, ask.path, ask.query, list(ask.headers), ask.body, due.keeps, due.head))
    reader.close()
    return found


def test_requests_are_the_same_however_they_are_cut() -> None:
    dice = random.Random(1)
    refused = whole = 0
    for _ in range(2000):
        data = b"".join(request(dice) for _ in range(dice.randint(1, 4)))
        cuts = sorted(dice.sample(range(len(data)), min(len(data), dice.randint(1, 30))))
        parts = [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        found = read([data])
        assert read(parts) == found, data
        refused += any(one[0] == "refused" for one in found)
        whole += len(found)
    assert refused > 200
    assert whole > 2000


def test_byte_by_byte_too() -> None:
    dice = random.Random(2)
    for _ in range(100):
        data = request(dice)[:2000] + request(dice)[:2000]
        assert read([bytes([byte]) for byte in data]) == read([data]), data


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a%2Fb/c?d=%20&e?f", "/a%2Fb/c", "d=%20&e?f"),
        ("//evil.example/x", "//evil.example/x", ""),
        ("http://x", "/", ""),
        ("http://x:1/a?b", "/a", "b"),
        ("*", "*", ""),
    ],
)
def test_a_target_has_a_path_and_a_query_as_they_came(target: str, path: str, query: str) -> None:
    assert split_target(target) == (path, query)


def test_fields_are_found_in_any_case_and_as_often_as_they_came() -> None:
    reader = Reader(LIMITS, b"")
    reader.feed(b"GET / HTTP/1.1\r\nHOST: x\r\nX-Any:  a \r\nx-any: b\r\nX-Odd: \xe9\r\nEmpty:\r\n\r\n")
    fields = reader.due[0].ask.headers
    assert fields.get("Host") == "x"
    assert fields.get_all("X-ANY") == ["a", "b"]
    assert fields.get("x-any") == "a, b"
    assert fields.get("x-odd").encode("ascii", "surrogateescape") == b"\xe9"
    assert (fields.get("Empty", "none"), fields.get("None", "none")) == ("", "none")
    assert "x-NONE" not in fields
    assert len(fields) == 5
