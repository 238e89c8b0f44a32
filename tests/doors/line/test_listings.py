"""`find`: long listings page by page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.clients import Client
from tests.support.daemons import Daemon


def find(client: Client, what: str, start: int = 0, count: int = 50, text: str = "") -> dict[str, Any]:
    """The answer to one `find`; the number before it is that of its entries."""
    reply = client.says(f"find {what} {start} {count} {text}").hears_a_line()
    number, _, rest = reply.partition(b" ")
    page: dict[str, Any] = json.loads(rest)
    assert rest.endswith(b"\n")
    assert int(number) == len(page["entries"]) <= count
    return page


def names(page: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in page["entries"]]


def test_a_lock_is_shown_with_holder_line_and_ages(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("iam Alice").hears("1 ok")
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("wait inf job")
    daemon.counts(command_wait=1)
    page = find(alice, "exclusive")
    (lock,) = page["entries"]
    holder = lock["holder"]
    assert (page["next"], page["total"], page["waiting"]) == (None, 1, 1)
    assert (lock["name"], lock["table"], lock["holders"], lock["waiters"]) == ("job", "exclusive", 1, 1)
    assert (holder["address"], holder["name"], holder["mode"]) == (alice.address, "Alice", "write")
    assert holder["lease"] is None
    assert holder["token"] >= 1
    assert holder["seconds"] >= lock["waited"] >= 0
    assert find(alice, "waited")["entries"][0]["name"] == "job"
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")
    assert find(alice, "waited")["entries"] == []


def test_pages_follow_each_other_without_gap_or_overlap(daemon: Daemon) -> None:
    alice = daemon.client()
    wanted = [f"lock-{number}" for number in range(23)]
    for name in wanted:
        alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    seen, place = [], 0
    while place is not None:
        page = find(alice, "exclusive", place, 5)
        assert page["total"] == 23
        seen += names(page)
        place = page["next"]
    assert seen == wanted
    assert find(alice, "exclusive", 23, 5) == {"next": None, "total": 23, "waiting": 0, "entries": []}
    assert find(alice, "exclusive", 10**14, 5)["next"] is None


def test_text_stands_anywhere_in_a_name_and_may_hold_spaces(daemon: Daemon) -> None:
    alice = daemon.client()
    for name in ("a red fox", "a fox", "red", "RED fox"):
        alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    assert names(find(alice, "exclusive", text="red")) == ["a red fox", "red"]
    assert names(find(alice, "exclusive", text="red  fox")) == ["a red fox"]
    page = find(alice, "exclusive", 0, 1, "fox")
    assert names(page) == ["a red fox"]
    assert names(find(alice, "exclusive", page["next"], 1, "fox")) == ["a fox"]


@pytest.mark.transports("tcp", "conversation")
def test_a_search_goes_on_where_one_command_has_stopped(daemon: Daemon) -> None:
    alice = daemon.client()
    lines = [f"g lock-{number}" for number in range(12_000)]
    alice.says(*lines)
    for line in lines:
        alice.hears("1 Lock Get Success: " + line[2:])
    pages, place = [], 0
    while place is not None:
        page = find(alice, "exclusive", place, 10, "lock-11999")
        pages.append(names(page))
        place = page["next"]
    assert pages == [[], [], ["lock-11999"]]


def test_shared_locks_show_their_first_holder_and_how_many(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("sg pool").hears("1 Shared Lock Get Success: pool")
    bob.says("sg pool").hears("2 Shared Lock Get Success: pool")
    (lock,) = find(bob, "shared")["entries"]
    assert (lock["holder"]["address"], lock["holders"], lock["holder"]["mode"]) == (
        alice.address,
        2,
        "shared",
    )
    assert find(bob, "exclusive")["entries"] == []


def test_sessions_tell_what_they_hold_and_await(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("iam Alice").hears("1 ok")
    alice.says("g one").hears("1 Lock Get Success: one")
    alice.says("sg two").hears("1 Shared Lock Get Success: two")
    bob.says("read inf one")
    daemon.counts(command_read=1)
    (one,) = find(alice, "sessions", text="Alice")["entries"]
    assert (one["address"], one["name"], one["holds"], one["waits"]) == (alice.address, "Alice", 2, [])
    waits = [s["waits"] for s in find(alice, "sessions")["entries"] if s["address"] == bob.address]
    assert [(w["name"], w["table"], w["mode"]) for w in waits[0]] == [("one", "exclusive", "read")]
    for who in (alice.address, "Alice"):
        assert names(find(alice, "held", text=who)) == ["one", "two"]
    assert find(alice, "held", text="nobody")["entries"] == []
    alice.says("r one").hears("1 Lock Release Success: one")
    bob.hears("1 Lock Get Success: one")


@pytest.mark.transports("tcp", "websocket")
@pytest.mark.flags("-history", "100")
def test_the_history_comes_newest_first(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("g newest").hears("1 Lock Get Success: newest")
    alice.says("r newest").hears("1 Lock Release Success: newest")
    page = find(alice, "history", 0, 2)
    assert [(e["lock"], e["event"]) for e in page["entries"]] == [
        ("newest", "released"),
        ("newest", "granted"),
    ]
    assert find(alice, "history", 0, 5, "no such lock")["entries"] == []


def test_without_history_there_is_none_to_find(daemon: Daemon) -> None:
    daemon.client().says("find history 0 5").hears("0 disabled")


@pytest.mark.flags("-dump=false")
@pytest.mark.parametrize(
    "what", ["exclusive", "shared", "waited", "sessions", "held x", "history", "nonsense"]
)
def test_without_dump_nothing_is_found(daemon: Daemon, what: str) -> None:
    daemon.client().says(f"find {what} 0 5").hears("0 disabled")


@pytest.mark.parametrize(
    ("line", "which"),
    [
        ("find", "WHAT"),
        ("find locks 0 5", "WHAT"),
        ("find exclusive", "FROM"),
        ("find exclusive -1 5", "FROM"),
        ("find exclusive 1e3 5", "FROM"),
        ("find exclusive 9999999999999999 5", "FROM"),
        ("find exclusive 0", "COUNT"),
        ("find exclusive 0 0", "COUNT"),
        ("find exclusive 0 1001", "COUNT"),
        ("find exclusive 0 x", "COUNT"),
        ("find held 0 5", "TEXT"),
    ],
)
def test_a_bad_argument_is_named(daemon: Daemon, line: str, which: str) -> None:
    daemon.client().says(line).hears(f"0 Bad Argument: {which}")


@pytest.mark.transports("tcp", "websocket", "conversation")
def test_names_that_are_no_text_can_be_shown(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says(b"g \xff\x00").hears(b"1 Lock Get Success: \xff\x00")
    assert names(find(alice, "exclusive")) == ["\\xff\x00"]
