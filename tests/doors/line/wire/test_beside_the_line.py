"""Owners and pools, which belong to other doors: what the line, the log and the metrics show of them."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace

import pytest

from glockd import summary
from glockd.core.events import Queued
from glockd.core.sessions import Owner, Session
from glockd.core.state import State
from glockd.core.units import ANY
from glockd.doors.line.wire.language import VERBS
from glockd.doors.line.wire.lines import LineConversation
from glockd.policy import Policy
from glockd.web.metrics import Metrics
from tests.support.conversations import VOCABULARY


@pytest.fixture
def state() -> State:
    return State(verbs=VERBS)


@pytest.fixture
def alice(state: State) -> LineConversation:
    session = Session(b"alice")
    state.registry.add(session)
    return LineConversation(state, session, Policy(), deque(), VOCABULARY)


@pytest.fixture
def owner(state: State) -> Owner:
    owner = Owner(b"rest:1", "ldlm")
    state.registry.add(owner)
    return owner


def shown(state: State) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
    """Every metric with its labels."""
    metrics = Metrics(state, Policy(), lambda: 5.0, lambda: "")
    metrics._load()
    return {
        (sample.name, tuple(sample.labels.items()), sample.value)
        for family in metrics.collect()
        for sample in family.samples
    }


def limit(talk: LineConversation, **limits: int) -> None:
    talk.policy.obey(replace(talk.policy.config, **limits), ())  # type: ignore[arg-type]


def test_connections_are_what_has_one(state: State, alice: LineConversation, owner: Owner) -> None:
    assert b"\nconnections: 1\n" in alice.receive(b"q\n", 0.0)
    assert summary.line(state).startswith("1 connections,")
    assert summary.summary(state, 0.0)["connections"] == {"tcp": 1}
    assert ("glockd_connections", (("transport", "tcp"),), 1) in shown(state)


def test_a_pool_that_nobody_holds_is_found_among_what_is_waited_for(
    state: State, alice: LineConversation, owner: Owner
) -> None:
    items = state.tables["items"]
    items.offer(b"jobs", 1, 1, 0.0)
    hold = items.take_unit(b"jobs", owner, 0.0)
    assert hold is not None
    assert isinstance(items.wait(b"jobs", owner, 2.0, 99.0, key=ANY), Queued)
    reply = alice.receive(b"find waited 0 9\n", 5.0)
    (entry,) = json.loads(reply[2:])["entries"]
    assert (entry["table"], entry["holder"]["address"], entry["holders"]) == ("items", "rest:1", 1)
    items.retire(b"jobs", 1)
    items.drop(hold, 5.0)
    reply = alice.receive(b"find waited 0 9\n", 5.0)
    (entry,) = json.loads(reply[2:])["entries"]
    assert entry == {
        "name": "jobs",
        "table": "items",
        "holder": None,
        "holders": 0,
        "waiters": 1,
        "waited": 3.0,
    }


def test_the_verbs_of_locks_do_not_reach_pools(state: State, alice: LineConversation) -> None:
    state.tables["items"].offer(b"jobs", 1, 1, 0.0)
    for line, reply in (
        (b"i jobs\n", b"0 Lock Not Locked: jobs\r\n"),
        (b"d\n", b""),
        (b"dump\n", b"map[]\n"),
        (b"g jobs\n", b"1 Lock Get Success: jobs\r\n"),
        (b"r jobs\n", b"1 Lock Release Success: jobs\n"),
    ):
        assert alice.receive(line, 0.0) == reply
        alice.resume(0.0)
    assert b"\nlocks: 0\n" in alice.receive(b"q\n", 0.0)


def test_a_pool_counts_where_tables_are_told_apart(state: State, owner: Owner) -> None:
    assert not any(("table", "items") in labels for _, labels, _ in shown(state))
    items = state.tables["items"]
    for unit in range(2):
        items.offer(b"jobs", unit, unit, 0.0)
    items.take_unit(b"jobs", owner, 0.0)
    found = summary.summary(state, 0.0)
    assert (found["locks"], found["waiting"]) == (
        {"exclusive": 0, "shared": 0, "items": 1},
        {"exclusive": 0, "shared": 0, "items": 0},
    )
    assert {
        ("glockd_locks", (("table", "items"),), 1),
        ("glockd_holds", (("table", "items"),), 1),
        ("glockd_holds", (("table", "exclusive"),), 0),
    } <= shown(state)


def test_holds_and_waits_of_pools_count_towards_the_limits(
    state: State, alice: LineConversation, owner: Owner
) -> None:
    limit(alice, max_locks=2)
    items = state.tables["items"]
    for unit in range(2):
        items.offer(b"jobs", unit, unit, 0.0)
        items.take_unit(b"jobs", owner, 0.0)
    assert alice.receive(b"g job\n", 0.0) == b"0 Too Many Locks: job\n"
    assert alice.receive(b"wait 0 job\n", 0.0) == b"0 Too Many Locks: job\n"
    items.drop(items.holds(b"jobs")[0], 0.0)
    assert alice.receive(b"g job\n", 0.0) == b"1 Lock Get Success: job\r\n"
    state.exclusive.drop(state.exclusive.holds(b"job")[0], 0.0)
    state.exclusive.take(b"job", owner, 0.0)
    limit(alice, max_locks=9, max_waiters=1)
    items.take_unit(b"jobs", owner, 0.0)
    assert isinstance(items.wait(b"jobs", owner, 2.0, 99.0, key=ANY), Queued)
    assert alice.receive(b"wait 9 job\n", 0.0) == b"0 Too Many Waiters: job\n"


def test_units_and_owners_are_called_what_they_are(
    state: State, alice: LineConversation, owner: Owner
) -> None:
    alice.receive(b"read 0 jobs\n", 0.0)
    items = state.tables["items"]
    items.offer(b"jobs", 1, 1, 0.0)
    assert items.take_unit(b"jobs", owner, 0.0) is not None
    assert isinstance(items.wait(b"jobs", owner, 2.0, 99.0, key=ANY), Queued)
    state.exclusive.take(b"seats", owner, 0.0, 1, key=b"a key", size=2)
    found = json.loads(alice.receive(b"explain jobs\n", 5.0)[2:])
    assert [*found] == ["name", "exclusive", "shared", "items"]
    assert [one["mode"] for one in found["exclusive"]["holders"]] == ["read"]
    assert [one["mode"] for who in ("holders", "waiters") for one in found["items"][who]] == ["unit", "unit"]
    assert [one["transport"] for one in found["items"]["holders"]] == [None]
    assert [one["transport"] for one in found["exclusive"]["holders"]] == ["tcp"]
    alice.resume(5.0)
    found = json.loads(alice.receive(b"explain seats\n", 5.0)[2:])
    assert [*found] == ["name", "exclusive", "shared"]
    assert found["exclusive"]["holders"][0]["mode"] == "unit"
