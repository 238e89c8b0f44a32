"""Work lists: put, take, done, fail, give and keep, on every transport."""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import Client, wait_until
from tests.support.daemons import Daemon
from tests.support.http import ask
from tests.support.locks import DEATHS, dies, explained, forget, time_passes
from tests.support.process import Spawner

SERVERS = pytest.mark.transports("tcp", "unix", "websocket")
CLOCKED = pytest.mark.transports("conversation")


_numbers = itertools.count()


@pytest.fixture
def jobs() -> str:
    """A pool of the test's own: items stay with the daemon, which other tests use too."""
    return f"jobs{next(_numbers)}"


def counts(observer: Client, pool: str) -> dict[str, Any]:
    """What `pool POOL` tells."""
    reply = observer.says(f"pool {pool}").hears_a_line()
    assert reply.startswith(b"1 {"), reply
    found: dict[str, Any] = json.loads(reply[2:])
    return found


def waits(observer: Client, client: Client, pool: str, seconds: float = math.inf) -> None:
    """`client` waits for an item, and the observer sees it in line."""
    before = counts(observer, pool)["waiting"]
    client.says(f"take {seconds:g} {pool}")
    wait_until(lambda: counts(observer, pool)["waiting"] == before + 1, about=lambda: counts(observer, pool))


def puts(client: Client, pool: str, *items: str) -> None:
    for item in items:
        client.says(f"put {pool} {item}").hears_bytes(f"1 Item Put Success: {item}\n")


def test_an_item_is_one_s_until_it_is_done(daemon: Daemon, jobs: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    puts(alice, jobs, "one job")
    bob.says(f"take 0 {jobs}").hears_bytes("1 Item Take Success: one job\n")
    alice.says(f"take 0 {jobs}").hears_bytes(f"0 Item Take Failure: {jobs}\n")
    alice.says(f"put {jobs} one job").hears_bytes("0 Item Put Failure: one job\n")
    alice.says(f"done {jobs} one job").hears_bytes("0 Item Done Failure: one job\n")
    alice.says(f"fail {jobs} one job").hears_bytes("0 Item Fail Failure: one job\n")
    alice.says(f"give {jobs} one job").hears_bytes("0 Item Give Failure: one job\n")
    alice.says(f"keep 5 {jobs} one job").hears_bytes("0 Item Keep Failure: one job\n")
    bob.says(f"done {jobs} one job").hears_bytes("1 Item Done Success: one job\n")
    bob.says(f"done {jobs} one job").hears_bytes("0 Item Done Failure: one job\n")
    bob.says(f"take 0 {jobs}").hears_bytes(f"0 Item Take Failure: {jobs}\n")
    puts(alice, jobs, "one job")  # it may come again


def test_those_tried_least_come_first_and_then_the_oldest(daemon: Daemon, jobs: str) -> None:
    alice = daemon.client()
    puts(alice, jobs, "a", "b", "c")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: a")
    alice.says(f"give {jobs} a").hears("1 Item Give Success: a")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: b")
    alice.says(f"give {jobs} b").hears("1 Item Give Success: b")
    puts(alice, jobs, "d")
    for item, attempt in (("c", 1), ("d", 1), ("a", 2), ("b", 2)):
        alice.says(f"take 0 {jobs}").hears(f"{attempt} Item Take Success: {item}")


def test_pools_know_nothing_of_each_other_nor_of_locks(daemon: Daemon, jobs: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    puts(alice, jobs, "x")
    puts(alice, f"{jobs}-other", "x")
    bob.says(f"g {jobs}").hears(f"1 Lock Get Success: {jobs}")
    bob.says(f"take 0 {jobs}").hears("1 Item Take Success: x")
    alice.says(f"take 0 {jobs}-other").hears("1 Item Take Success: x")
    bob.says("r x").hears("0 Lock Release Failure: x")
    bob.says(f"r {jobs}").hears(f"1 Lock Release Success: {jobs}")
    bob.says(f"done {jobs} x").hears("1 Item Done Success: x")
    daemon.counts(locks=0, shared_locks=0, orphans=0, command_take=2, command_done=1)


@pytest.mark.parametrize(
    ("line", "which"),
    [
        ("put", "POOL"),
        ("put jobs", "ITEM"),
        ("take", "SECONDS"),
        ("take 5", "POOL"),
        ("take -1 jobs", "SECONDS"),
        ("take soon jobs", "SECONDS"),
        ("take 5 two words", "POOL"),
        ("done", "POOL"),
        ("done jobs", "ITEM"),
        ("fail jobs", "ITEM"),
        ("give jobs", "ITEM"),
        ("keep", "SECONDS"),
        ("keep x jobs a", "SECONDS"),
        ("keep 5", "POOL"),
        ("keep 5 jobs", "ITEM"),
        ("pool two words", "POOL"),
    ],
)
def test_what_is_missing_or_wrong_is_named(daemon: Daemon, jobs: str, line: str, which: str) -> None:
    daemon.client().says(line).hears_bytes(f"0 Bad Argument: {which}\n")


def test_lists_of_a_door_that_is_not_there_are_disabled(daemon: Daemon, jobs: str) -> None:
    alice = daemon.client()
    for line in ("put #1 a", "take 0 #1", "done #1 a", "fail #1 a", "give #1 a", "keep 5 #1 a"):
        alice.says(line).hears_bytes("0 disabled\n")


# Waiting


def test_who_has_waited_longest_is_served_first_whoever_puts_or_gives(daemon: Daemon, jobs: str) -> None:
    observer, *line = (daemon.client() for _ in range(4))
    for client in line:
        waits(observer, client, jobs)
    puts(observer, jobs, "a")
    line[0].hears("1 Item Take Success: a")
    puts(observer, jobs, "b")
    line[1].hears("1 Item Take Success: b")
    line[0].says(f"give {jobs} a").hears("1 Item Give Success: a")
    line[2].hears("2 Item Take Success: a")
    line[2].says(f"done {jobs} a").hears("1 Item Done Success: a")


def test_a_wait_can_be_cancelled(daemon: Daemon, jobs: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    waits(bob, alice, jobs)
    alice.says("cancel").hears(f"0 Item Take Failure: {jobs}").hears("1 Cancelled")
    puts(bob, jobs, "a")
    bob.says(f"take 0 {jobs}").hears("1 Item Take Success: a")


@CLOCKED
def test_a_wait_ends_on_time(daemon: Daemon, jobs: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    waits(bob, alice, jobs, 10)
    time_passes(daemon, 9.9)
    assert counts(bob, jobs)["waiting"] == 1
    time_passes(daemon, 0.1)
    alice.hears(f"0 Item Take Failure: {jobs}")


def test_a_wait_for_an_item_is_no_deadlock(daemon: Daemon, jobs: str) -> None:
    """Each holds what the other waits for, but anybody may put."""
    alice, bob, carol = daemon.client(), daemon.client(), daemon.client()
    for client, pool in ((alice, f"{jobs}-a"), (bob, f"{jobs}-b")):
        puts(carol, pool, "x")
        client.says(f"take 0 {pool}").hears("1 Item Take Success: x")
    waits(carol, alice, f"{jobs}-b")
    waits(carol, bob, f"{jobs}-a")
    puts(carol, f"{jobs}-a", "another")
    bob.hears("1 Item Take Success: another")
    puts(carol, f"{jobs}-b", "yet another")
    alice.hears("1 Item Take Success: yet another")


@SERVERS
@pytest.mark.parametrize("how", DEATHS)
def test_items_of_the_dead_go_to_who_waits(daemon: Daemon, jobs: str, how: str) -> None:
    alice, bob, carol = daemon.client(), daemon.client(), daemon.client()
    puts(carol, jobs, "a", "b")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: a")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: b")
    waits(carol, bob, jobs)
    dies(alice, how)
    bob.hears_a_line()
    wait_until(lambda: counts(carol, jobs)["orphaned"] == 2, about=lambda: counts(carol, jobs))
    assert counts(carol, jobs) == {
        "pool": jobs,
        "free": 1,
        "held": 1,
        "waiting": 0,
        "done": 0,
        "failed": 0,
        "orphaned": 2,
    }
    carol.says(f"take 0 {jobs}").hears_a_line()
    forget(alice)


@SERVERS
def test_who_dies_in_line_is_given_nothing(daemon: Daemon, jobs: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    waits(bob, alice, jobs)
    alice.vanishes()
    wait_until(lambda: counts(bob, jobs)["waiting"] == 0, about=lambda: counts(bob, jobs))
    puts(bob, jobs, "a")
    bob.says(f"take 0 {jobs}").hears("1 Item Take Success: a")


# keep


@CLOCKED
def test_an_item_that_is_not_kept_goes_back(daemon: Daemon, jobs: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    puts(bob, jobs, "a")
    alice.says("notify on").hears("1 ok")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: a")
    alice.says(f"keep 10 {jobs} a").hears("1 Item Keep Success: a")
    time_passes(daemon, 9)
    alice.says(f"keep 10 {jobs} a").hears("1 Item Keep Success: a")
    time_passes(daemon, 10)
    alice.hears(f"! item {jobs} a expired")
    alice.says(f"done {jobs} a").hears("0 Item Done Failure: a")
    bob.says(f"take 0 {jobs}").hears("2 Item Take Success: a")
    bob.says(f"keep 10 {jobs} a").hears("1 Item Keep Success: a")
    bob.says(f"keep inf {jobs} a").hears("1 Item Keep Success: a")
    time_passes(daemon, 1000)
    bob.says(f"done {jobs} a").hears("1 Item Done Success: a")


# Who looks


def test_a_pool_tells_its_counts_until_it_is_over(daemon: Daemon, jobs: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    puts(alice, jobs, *"abcd")
    for _ in range(3):
        bob.says(f"take 0 {jobs}").hears_a_line()
    bob.says(f"done {jobs} a").hears("1 Item Done Success: a")
    bob.says(f"fail {jobs} b").hears("1 Item Fail Success: b")
    counted = {"pool": jobs, "free": 1, "held": 1, "waiting": 0, "done": 1, "failed": 1, "orphaned": 0}
    assert counts(alice, jobs) == counted
    puts(alice, f"{jobs}-others", "x")
    reply = alice.says("pool").hears_a_line()
    number, _, told = reply.partition(b" ")
    pools = json.loads(told)
    assert int(number) == len(pools)
    assert [one for one in pools if one["pool"].startswith(jobs)] == [
        counted,
        counts(alice, f"{jobs}-others"),
    ]
    bob.says(f"done {jobs} c").hears("1 Item Done Success: c")
    bob.says(f"take 0 {jobs}").hears("1 Item Take Success: d")
    bob.says(f"done {jobs} d").hears("1 Item Done Success: d")
    assert set(counts(alice, jobs).values()) == {jobs, 0}


def test_explain_tells_who_has_what(daemon: Daemon, jobs: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    assert "items" not in explained(bob, jobs)
    puts(alice, jobs, "a", "b")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: a")
    found = explained(bob, jobs)["items"]
    assert found["free"] == 1
    (holder,) = found["holders"]
    assert (holder["item"], holder["address"], holder["mode"]) == ("a", alice.address, "unit")


@pytest.mark.flags("-history=20")
def test_history_tells_how_items_ended(daemon: Daemon, jobs: str) -> None:
    alice = daemon.client()
    puts(alice, jobs, *"abc")
    for item, verb in (("a", "done"), ("b", "fail"), ("c", "give")):
        alice.says(f"take 0 {jobs}").hears(f"1 Item Take Success: {item}")
        alice.says(f"{verb} {jobs} {item}").hears(f"1 Item {verb.title()} Success: {item}")
    events = json.loads(alice.says(f"history {jobs}").hears_a_line().partition(b" ")[2])
    assert [(one["event"], one["item"], one["table"]) for one in events] == [
        *(("granted", "a", "items"), ("done", "a", "items")),
        *(("granted", "b", "items"), ("failed", "b", "items")),
        *(("granted", "c", "items"), ("released", "c", "items")),
    ]


@pytest.mark.flags("-dump=false")
def test_without_dump_nobody_sees_pools(daemon: Daemon, jobs: str) -> None:
    alice = daemon.client()
    puts(alice, jobs, "a")
    alice.says("pool").hears_bytes("0 disabled\n")
    alice.says(f"pool {jobs}").hears_bytes("0 disabled\n")


# Limits


@pytest.mark.flags("-max-pool-items=2", "-max-session-items=1")
def test_limits_answer_and_lose_nothing(daemon: Daemon, jobs: str) -> None:
    alice = daemon.client()
    puts(alice, jobs, "a", "b")
    alice.says(f"put {jobs} c").hears_bytes("0 Item Put Failure: c\n")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: a")
    alice.says(f"put {jobs} c").hears_bytes("0 Item Put Failure: c\n")  # what is held counts too
    alice.says(f"take 5 {jobs}").hears_bytes(f"0 Item Take Failure: {jobs}\n")
    alice.says(f"done {jobs} a").hears("1 Item Done Success: a")
    alice.says(f"take 5 {jobs}").hears("1 Item Take Success: b")
    puts(alice, jobs, "c")


def test_items_of_all_lists_are_limited_and_refusals_counted(glockd: Spawner) -> None:
    ours = glockd("-max-items=3", "-max-session-items=2")
    alice = ours.client("tcp")
    puts(alice, "one", "a", "b")
    puts(alice, "two", "a")
    alice.says("put two b").hears_bytes("0 Item Put Failure: b\n")
    for pool in ("one", "two"):
        alice.says(f"take 0 {pool}").hears("1 Item Take Success: a")
    alice.says("take 0 one").hears_bytes("0 Item Take Failure: one\n")
    alice.says("g lock").hears("1 Lock Get Success: lock")  # locks are no items
    alice.says("done one a").hears("1 Item Done Success: a")
    alice.says("take 0 one").hears("1 Item Take Success: b")
    puts(alice, "two", "b")
    metrics = ask(ours.ws, "/metrics").text
    assert 'glockd_refused_total{reason="items"} 2.0' in metrics


# Records


@SERVERS
def test_items_and_attempts_outlive_a_daemon_that_is_killed(
    daemon: Daemon, jobs: str, glockd: Spawner, tmp_path: Path
) -> None:
    records = f"-records={tmp_path / 'records'}"
    first = glockd(records)
    alice, bob = first.client(daemon.transport), first.client("tcp")
    puts(alice, jobs, "done", "taken", "waited for", "failed", "a b")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: done")
    alice.says(f"done {jobs} done").hears("1 Item Done Success: done")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: taken")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: waited for")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: failed")
    alice.says(f"fail {jobs} failed").hears("1 Item Fail Success: failed")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: a b")
    waits(second_look := first.client("tcp"), bob, jobs)
    second_look.hangs_up()
    alice.says(f"give {jobs} waited for").hears("1 Item Give Success: waited for")
    bob.hears("2 Item Take Success: waited for")
    first.kill()
    second = glockd(records)
    carol = second.client(daemon.transport)
    assert counts(carol, jobs)["free"] == 3
    for attempt, item in ((2, "taken"), (2, "a b"), (3, "waited for")):
        carol.says(f"take 0 {jobs}").hears(f"{attempt} Item Take Success: {item}")
    carol.says(f"take 0 {jobs}").hears(f"0 Item Take Failure: {jobs}")


@SERVERS
def test_what_cannot_be_recorded_is_not_answered_and_then_refused(
    daemon: Daemon, jobs: str, glockd: Spawner, tmp_path: Path
) -> None:
    path = tmp_path / "records"
    ours = glockd(f"-records={path}")
    alice, bob = ours.client(daemon.transport), ours.client(daemon.transport)
    puts(alice, jobs, "a", "b")
    bob.says(f"take 0 {jobs}").hears("1 Item Take Success: a")
    with closing(sqlite3.connect(path, isolation_level=None)) as hindrance:
        hindrance.execute("BEGIN EXCLUSIVE")
        alice.says(f"put {jobs} c", "ping")
        ours.logs("records cannot be written")
        bob.says(f"put {jobs} d").hears_bytes("0 Not Recorded: d\n")
        bob.says(f"take 0 {jobs}").hears_bytes(f"0 Not Recorded: {jobs}\n")
        bob.says(f"done {jobs} a").hears_bytes("0 Not Recorded: a\n")
        bob.says(f"give {jobs} a").hears("1 Item Give Success: a")  # changes no record
        hindrance.execute("ROLLBACK")
    alice.hears("1 Item Put Success: c").hears("1 pong")
    alice.says(f"take 0 {jobs}").hears("1 Item Take Success: b")
