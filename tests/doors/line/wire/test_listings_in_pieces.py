"""What `find`, `explain` and `history` say to the last field, on a clock that the test sets."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from glockd.core.history import History
from glockd.core.holds import Hold
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.wire import listings
from glockd.doors.line.wire.language import VERBS
from glockd.doors.line.wire.lines import LineConversation
from tests.support.conversations import VOCABULARY, WALL, policy


class Lookers:
    """Some clients of a daemon without a process."""

    def __init__(self, **options: Any) -> None:
        self.policy = policy(**options)
        self.state = State(history=History(20), verbs=VERBS)

    def client(self, transport: str = "tcp", since: float = 0.0) -> LineConversation:
        session = Session(b"a:%d" % len(self.state.registry), transport, since)
        self.state.registry.add(session)
        return LineConversation(self.state, session, self.policy, deque(), VOCABULARY)


def asks(talk: LineConversation, line: bytes, now: float = 0.0) -> Any:
    """The JSON behind the number of a reply that is a line."""
    reply = talk.receive(line + b"\n", now)
    assert reply.endswith(b"\n")
    number, _, rest = reply.partition(b" ")
    found = json.loads(rest)
    if "entries" in found:
        assert int(number) == len(found["entries"])
    return found


def person(address: str, name: str | None = None, transport: str = "tcp") -> dict[str, Any]:
    return {"address": address, "name": name, "transport": transport}


@pytest.fixture
def scene() -> tuple[Lookers, list[LineConversation]]:
    """Alice writes a lock for which Bob and Carol wait; she and Dave share another, for which Erin waits."""
    lookers = Lookers(history=9)
    talks = [lookers.client("unix", 0.5), *(lookers.client() for _ in range(4))]
    alice, bob, carol, dave, erin = talks
    assert alice.receive(b"iam Alice\ng job\nlease 100 job\n", 1.0).count(b"\n") == 3
    assert alice.receive(b"sg pool\n", 2.0) == b"1 Shared Lock Get Success: pool\r\n"
    assert dave.receive(b"sg pool\n", 3.0) == b"2 Shared Lock Get Success: pool\r\n"
    assert bob.receive(b"wait inf job\n", 4.0) == b""
    assert carol.receive(b"read 50 job\n", 5.0) == b""
    assert erin.receive(b"share 60.25 2 pool\n", 6.0) == b""
    return lookers, talks


JOB = {
    "name": "job",
    "table": "exclusive",
    "holder": person("a:0", "Alice", "unix")
    | {"mode": "write", "seconds": 9.123, "token": 1, "lease": 90.877},
    "holders": 1,
    "waiters": 2,
    "waited": 6.123,
}
POOL = {
    "name": "pool",
    "table": "shared",
    "holder": person("a:0", "Alice", "unix")
    | {"mode": "shared", "seconds": 8.123, "token": 2, "lease": None},
    "holders": 2,
    "waiters": 1,
    "waited": 4.123,
}
NOW = 10.1234


def test_every_lock_is_listed_in_full(scene: tuple[Lookers, list[LineConversation]]) -> None:
    dave = scene[1][3]
    rest = {"next": None, "waiting": 3}
    assert asks(dave, b"find exclusive 0 5", NOW) == {"total": 1, "entries": [JOB], **rest}
    assert asks(dave, b"find shared 0 5", NOW) == {"total": 1, "entries": [POOL], **rest}
    assert asks(dave, b"find waited 0 5", NOW) == {"total": 2, "entries": [JOB, POOL], **rest}
    assert asks(dave, b"find held 0 5 Alice", NOW) == {"total": 2, "entries": [JOB, POOL], **rest}
    (mine,) = asks(dave, b"find held 0 5 a:3", NOW)["entries"]
    assert mine["holder"] == person("a:3") | {"mode": "shared", "seconds": 7.123, "token": 3, "lease": None}
    assert dave.receive(b"g free\n", 4.0) == b"1 Lock Get Success: free\r\n"
    free = asks(dave, b"find exclusive 1 5", NOW)["entries"][0]
    assert (free["waiters"], free["waited"]) == (0, None)


def test_every_session_is_listed_in_full(scene: tuple[Lookers, list[LineConversation]]) -> None:
    dave = scene[1][3]
    page = asks(dave, b"find sessions 0 5", NOW)
    assert (page["total"], page["next"], page["waiting"]) == (5, None, 3)

    def waits(name: str, table: str, mode: str, seconds: float) -> list[dict[str, Any]]:
        return [{"name": name, "table": table, "mode": mode, "seconds": seconds}]

    assert page["entries"] == [
        person("a:0", "Alice", "unix") | {"seconds": 9.623, "holds": 2, "waits": []},
        person("a:1") | {"seconds": 10.123, "holds": 0, "waits": waits("job", "exclusive", "write", 6.123)},
        person("a:2") | {"seconds": 10.123, "holds": 0, "waits": waits("job", "exclusive", "read", 5.123)},
        person("a:3") | {"seconds": 10.123, "holds": 1, "waits": []},
        person("a:4") | {"seconds": 10.123, "holds": 0, "waits": waits("pool", "shared", "shared", 4.123)},
    ]
    for text, wanted in ((b"Alice", ["a:0"]), (b"0 Al", ["a:0"]), (b"a:3", ["a:3"]), (b"x", [])):
        found = asks(dave, b"find sessions 0 5 " + text, NOW)["entries"]
        assert [one["address"] for one in found] == wanted


def test_a_lock_is_explained_in_full(scene: tuple[Lookers, list[LineConversation]]) -> None:
    dave = scene[1][3]
    holder = JOB["holder"]
    waiter = {"place": 1, "limit": None, "timeout": None}
    assert asks(dave, b"explain job", NOW) == {
        "name": "job",
        "exclusive": {
            "holders": [holder],
            "waiters": [
                person("a:1") | waiter | {"mode": "write", "seconds": 6.123},
                person("a:2") | waiter | {"mode": "read", "seconds": 5.123, "place": 2, "timeout": 44.877},
            ],
        },
        "shared": {"holders": [], "waiters": []},
    }
    found = asks(dave, b"explain pool", NOW)
    assert found["exclusive"] == {"holders": [], "waiters": []}
    assert [one["token"] for one in found["shared"]["holders"]] == [2, 3]
    assert found["shared"]["waiters"] == [
        person("a:4") | waiter | {"mode": "shared", "seconds": 4.123, "limit": 2, "timeout": 56.127}
    ]
    # A lease that is over and not dealt with yet has nothing left, and not less than that.
    over = asks(dave, b"explain job", 102.0)["exclusive"]
    assert (over["holders"][0]["lease"], over["waiters"][1]["timeout"]) == (0.0, 0.0)


def test_names_go_over_the_wire_as_they_are_and_without_spaces_between() -> None:
    talk = Lookers().client()
    nobody = b'{"holders":[],"waiters":[]}'
    wanted = (
        '1 {"name":"\u00e9t\u00e9 \U0001f512","exclusive":'.encode()
        + nobody
        + b',"shared":'
        + nobody
        + b"}\n"
    )
    assert talk.receive("explain \u00e9t\u00e9 \U0001f512\n".encode(), 0.0) == wanted


def test_every_event_is_told_in_full(scene: tuple[Lookers, list[LineConversation]]) -> None:
    alice, bob, carol, dave, _ = scene[1]
    alice.receive(b"r job\n", 7.5004)
    bob.withdraw(8.0)
    carol.withdraw(9.25, "closed")

    def event(kind: str, when: float, who: dict[str, Any], **more: object) -> dict[str, Any]:
        what = {"lock": "job", "table": "exclusive", "mode": "write", "waited": 0.0, "held": 0.0}
        return {"event": kind, "time": WALL + when, "token": None, "detail": ""} | what | who | more

    events = [
        event("granted", 1.0, person("a:0", "Alice", "unix"), token=1),
        event(
            "granted",
            2.0,
            person("a:0", "Alice", "unix"),
            token=2,
            lock="pool",
            table="shared",
            mode="shared",
        ),
        event("granted", 3.0, person("a:3"), token=3, lock="pool", table="shared", mode="shared"),
        event("released", 7.5, person("a:0", "Alice", "unix"), token=1, held=6.5),
        event("granted", 7.5, person("a:1"), token=4, waited=3.5),
        event("orphaned", 9.25, person("a:2"), mode="read", waited=4.25, detail="closed"),
    ]
    assert asks(dave, b"history", NOW) == events
    assert asks(dave, b"history pool", NOW) == events[1:3]
    page = asks(dave, b"find history 0 4", NOW)
    assert (page["entries"], page["next"], page["total"]) == (events[:1:-1], 4, 6)
    assert asks(dave, b"find history 4 4", NOW)["entries"] == events[1::-1]
    assert asks(dave, b"find history 0 9 poo", NOW)["entries"] == events[2:0:-1]
    assert dave.receive(b"history job\nping\n", NOW).startswith(b"4 [")
    assert dave.more


def test_a_history_that_is_out_of_force_is_not_told() -> None:
    lookers = Lookers(history=0)
    talk = lookers.client()
    assert talk.receive(b"history\n", 0.0) == talk.receive(b"find history 0 1\n", 0.0) == b"0 disabled\n"
    lookers.policy.obey(replace(lookers.policy.config, history=9), ())
    assert talk.receive(b"history\n", 0.0) == b"0 []\n"
    assert asks(talk, b"find history 0 1") == {"next": None, "total": 0, "waiting": 0, "entries": []}
    lookers.state.history = None
    assert talk.receive(b"history\n", 0.0) == talk.receive(b"find history 0 1\n", 0.0) == b"0 disabled\n"


# Pages


def pages(talk: LineConversation, what: bytes, most: int, text: bytes = b"") -> list[list[str]]:
    """All pages, each as the names on it."""
    found = []
    place = 0
    while place is not None:
        page = asks(talk, b"find %b %d %d %b" % (what, place, most, text))
        found.append([one["name"] for one in page["entries"]])
        place = page["next"]
    return found


@pytest.mark.parametrize(
    ("text", "most", "wanted"),
    [
        (b"", 4, ["abbc", "bbab", "b"]),
        (b"", 3, ["abb", "cbb", "abb"]),
        (b"", 9, ["abbcbbabb"]),
        (b"", 8, ["abbcbbab", "b"]),
        # Four are looked at for one page.
        (b"a", 4, ["a", "a", ""]),
        (b"a", 1, ["a", "", "a", ""]),
        (b"b", 4, ["bb", "bbb", "b"]),
        (b"b", 2, ["bb", "bb", "bb"]),
        (b"c", 1, ["c", "", ""]),
        (b"z", 1, ["", "", ""]),
    ],
)
def test_a_page_ends_where_the_next_begins(
    monkeypatch: pytest.MonkeyPatch, text: bytes, most: int, wanted: list[str]
) -> None:
    monkeypatch.setattr(listings, "SCAN", 4)
    talk = Lookers().client()
    for number, letter in enumerate("abbcbbabb"):
        talk.receive(b"g %d%b\n" % (number, letter.encode()), 0.0)
    found = pages(talk, b"exclusive", most, text)
    assert ["".join(name[1] for name in page) for page in found] == wanted
    assert len({name for page in found for name in page}) == sum(map(len, found))


def test_a_page_may_be_of_one_or_of_a_thousand() -> None:
    talk = Lookers().client()
    for number in range(1003):
        talk.receive(b"g %d\n" % number, 0.0)
    assert [len(page) for page in pages(talk, b"exclusive", 1000)] == [1000, 3]
    assert pages(talk, b"exclusive", 1)[:2] == [["0"], ["1"]]
    assert talk.receive(b"find exclusive 0 1001\n", 0.0) == b"0 Bad Argument: COUNT\n"
    assert talk.receive(b"find exclusive 0 0\n", 0.0) == b"0 Bad Argument: COUNT\n"


@pytest.mark.parametrize(("scan", "sorts"), [(3, False), (4, True), (5, True)])
def test_holds_come_oldest_first_unless_they_are_very_many(
    monkeypatch: pytest.MonkeyPatch, scan: int, sorts: bool
) -> None:
    monkeypatch.setattr(listings, "SCAN", scan)
    lookers = Lookers()
    talk, other = lookers.client(), lookers.client()
    talk.receive(b"iam both\ng a\nsg b\n", 0.0)
    other.receive(b"iam both\ng c\n", 0.0)
    talk.receive(b"g d\n", 0.0)
    asked = []

    def token(hold: Hold) -> int:
        asked.append(hold)
        return hold.token

    monkeypatch.setattr(listings, "_token", token)
    (names,) = pages(talk, b"held", 9, b"both")
    assert sorted(names) == ["a", "b", "c", "d"]
    assert not sorts or names == ["a", "b", "c", "d"]
    assert bool(asked) == sorts
    # All of the session is wanted, whatever TEXT is.
    assert len(pages(talk, b"held", 9, b"a:1")[0]) == 1


def test_others_have_their_turn_behind_a_page() -> None:
    talk = Lookers().client()
    assert talk.receive(b"find exclusive 0 5\nping\n", 0.0).startswith(b'0 {"next":null')
    assert talk.more
    assert talk.resume(0.0) == b"1 pong\n"
