"""Waits that could never be granted are refused at once, and no others."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings, target

from tests.support.clients import Client
from tests.support.conversations import ConversationClient, ConversationDaemon
from tests.support.daemons import Daemon
from tests.support.locks import in_line, line_is, name_in, time_passes, waits
from tests.support.plays import Play, Step, plays

# How the ring is closed: what each of its clients holds, and what it waits for, by the place of the lock in it.
RINGS = {
    "writers": ("wait 0 {}", "wait inf {}"),
    "readers wait to write": ("read 0 {}", "wait inf {}"),
    "writers wait to read": ("wait 0 {}", "read inf {}"),
    "shared with limit": ("share 0 1 {}", "share inf 1 {}"),
    "plain shared": ("sg {}", "share inf 1 {}"),
}
SIZES = range(2, 11)


@pytest.fixture(autouse=True)
def those_left_in_line_leave(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test has shown is shown while some still wait."""
    daemon = request.getfixturevalue("daemon") if "daemon" in request.fixturenames else None
    yield
    if daemon is not None:
        clients = daemon.talks.values() if isinstance(daemon, ConversationDaemon) else daemon.clients
        for client in list(clients):
            if client.asked and client.is_open:
                client.vanishes()


def reply(line: str, word: str = "Success") -> str:
    """What is said of a wait for a lock that nobody else has, or of one that is refused."""
    number, kind = ("1" if word == "Success" else "0"), ("Shared Lock" if line.startswith("s") else "Lock")
    return f"{number} {kind} Get {word}: {name_in(line) if not line.startswith('sg') else line[3:]}"


def release(line: str) -> tuple[str, str]:
    name = name_in(line) if not line.startswith("sg") else line[3:]
    if line.startswith("s"):
        return f"sr {name}", f"1 Shared Lock Release Success: {name}"
    return f"r {name}", f"1 Lock Release Success: {name}"


def close_ring(daemon: Daemon, gets: Sequence[str], awaits: Sequence[str]) -> None:
    """Each client gets its lock and waits for the next one's; the last is refused, and resolves it."""
    observer, *clients = (daemon.client() for _ in range(len(gets) + 1))
    for client, line in zip(clients, gets, strict=True):
        client.says(line).hears(reply(line))
    for client, line in zip(clients[:-1], awaits, strict=False):
        waits(observer, client, line)
    clients[-1].says(awaits[-1]).hears(reply(awaits[-1], "Deadlock"))
    assert in_line(observer, name_in(awaits[-1])) == []
    # Nothing has changed: it can still release, and then one after another has its turn.
    for index in range(len(clients) - 1, 0, -1):
        said, heard = release(gets[index])
        clients[index].says(said).hears(heard)
        clients[index - 1].hears(reply(awaits[index - 1]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", RINGS)
def test_a_ring_is_found_at_the_closing_request(daemon: Daemon, kind: str, size: int) -> None:
    get, wait = RINGS[kind]
    close_ring(
        daemon,
        [get.format(place) for place in range(size)],
        [wait.format((place + 1) % size) for place in range(size)],
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_ring_through_both_namespaces_is_found(daemon: Daemon, size: int) -> None:
    kinds = [RINGS["shared with limit"] if place % 2 else RINGS["writers"] for place in range(size)]
    close_ring(
        daemon,
        [kinds[place][0].format(place) for place in range(size)],
        [kinds[(place + 1) % size][1].format((place + 1) % size) for place in range(size)],
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_ring_through_those_ahead_in_line_is_found(daemon: Daemon, size: int) -> None:
    """A reader stands behind a writer, who waits for a reader, who waits for ... the first reader's lock."""
    observer, writer, reader, *chain = (daemon.client() for _ in range(size + 1))
    if not chain:
        # The reader that has the job already would have to wait for the writer that waits for it.
        reader.says("read 0 job").hears("1 Lock Get Success: job")
        waits(observer, writer, "wait inf job")
        reader.says("wait inf job").hears("0 Lock Get Deadlock: job")
        reader.says("r job").hears("1 Lock Release Success: job")
        writer.hears("1 Lock Get Success: job")
        return
    chain[0].says("read 0 job").hears("1 Lock Get Success: job")
    for number, client in enumerate(chain[1:], 1):
        client.says(f"g {number}").hears(f"1 Lock Get Success: {number}")
    reader.says("g last").hears("1 Lock Get Success: last")
    waits(observer, writer, "wait inf job")
    for number, client in enumerate(chain[:-1], 1):
        waits(observer, client, f"wait inf {number}")
    waits(observer, chain[-1], "wait inf last")
    reader.says("read inf job").hears("0 Lock Get Deadlock: job")
    reader.says("read 0 job").hears("0 Lock Get Failure: job")
    reader.says("r last").hears("1 Lock Release Success: last")
    chain[-1].hears("1 Lock Get Success: last")


@pytest.mark.parametrize("size", range(2, 6))
def test_with_limits_all_who_hold_it_must_be_stuck(daemon: Daemon, size: int) -> None:
    """`size` clients share a lock; as long as one of them runs, who waits for a place in it may get it."""
    observer, alice, *clients = (daemon.client() for _ in range(size + 2))
    alice.says("g job").hears("1 Lock Get Success: job")
    for count, client in enumerate(clients, 1):
        client.says(f"share 0 {size} pool").hears(f"{count} Shared Lock Get Success: pool")
    waits(observer, alice, f"share inf {size} pool")
    for client in clients[:-1]:
        waits(observer, client, "wait inf job")
    clients[-1].says("wait inf job").hears("0 Lock Get Deadlock: job")
    clients[-1].says("sr pool").hears("1 Shared Lock Release Success: pool")
    alice.hears(f"{size} Shared Lock Get Success: pool")


def test_a_wide_enough_limit_is_no_deadlock(daemon: Daemon) -> None:
    """Two of three must let go for her; one is stuck behind her, which leaves enough."""
    alice, bob, carol, dave, observer = (daemon.client() for _ in range(5))
    alice.says("g job").hears("1 Lock Get Success: job")
    for count, client in enumerate((bob, carol, dave), 1):
        client.says("sg pool").hears(f"{count} Shared Lock Get Success: pool")
    waits(observer, alice, "share inf 2 pool")
    waits(observer, bob, "wait inf job")
    carol.says("wait inf job").hears("0 Lock Get Deadlock: job")
    carol.says("sr pool").hears("1 Shared Lock Release Success: pool")
    waits(observer, carol, "wait inf job")
    dave.says("wait inf job").hears("0 Lock Get Deadlock: job")
    dave.says("sr pool").hears("1 Shared Lock Release Success: pool")
    alice.hears("2 Shared Lock Get Success: pool")


def test_one_stuck_reader_is_enough_against_a_writer(daemon: Daemon) -> None:
    alice, bob, carol, observer = (daemon.client() for _ in range(4))
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("read 0 page").hears("1 Lock Get Success: page")
    carol.says("read 0 page").hears("2 Lock Get Success: page")
    waits(observer, bob, "wait inf job")
    alice.says("wait inf page").hears("0 Lock Get Deadlock: page")
    alice.says("read inf page").hears("3 Lock Get Success: page")


def test_two_readers_who_both_want_to_write(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    for count, client in enumerate((alice, bob), 1):
        client.says("read 0 page").hears(f"{count} Lock Get Success: page")
    for client in (alice, bob):
        client.says("wait inf page").hears("0 Lock Get Deadlock: page")


def test_a_lease_resolves_what_would_be_a_deadlock(daemon: Daemon) -> None:
    alice, bob, observer = (daemon.client() for _ in range(3))
    alice.says("g a").hears("1 Lock Get Success: a")
    bob.says("g b").hears("1 Lock Get Success: b")
    waits(observer, alice, "wait inf b")
    bob.says("lease 0.3 b").hears("1 Lock Lease Success: b")
    waits(observer, bob, "wait inf a")
    time_passes(daemon, 1)
    alice.hears("1 Lock Get Success: b")
    alice.says("r a").hears("1 Lock Release Success: a")
    bob.hears("1 Lock Get Success: a")


def test_a_lease_taken_away_again_resolves_nothing(daemon: Daemon) -> None:
    alice, bob, observer = (daemon.client() for _ in range(3))
    alice.says("g a").hears("1 Lock Get Success: a")
    bob.says("g b").hears("1 Lock Get Success: b")
    waits(observer, alice, "wait inf b")
    bob.says("lease 100 b", "lease inf b")
    bob.hears("1 Lock Lease Success: b").hears("1 Lock Lease Success: b")
    bob.says("wait inf a").hears("0 Lock Get Deadlock: a")


def test_a_reader_with_a_lease_may_wait_to_write(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("read 0 job", "lease 0.3 job")
    alice.hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    waits(bob, alice, "wait inf job")
    time_passes(daemon, 1)
    alice.hears("1 Lock Get Success: job")
    assert in_line(bob, "job") == []


@pytest.mark.parametrize("how", ["cancel", "death"])
def test_who_leaves_the_line_opens_the_ring(daemon: Daemon, how: str) -> None:
    alice, bob, observer = (daemon.client() for _ in range(3))
    alice.says("g a").hears("1 Lock Get Success: a")
    bob.says("g b").hears("1 Lock Get Success: b")
    waits(observer, alice, "wait inf b")
    bob.says("wait inf a").hears("0 Lock Get Deadlock: a")
    if how == "cancel":
        alice.says("cancel").hears("0 Lock Get Failure: b").hears("1 Cancelled")
        waits(observer, bob, "wait inf a")
        alice.says("wait inf b").hears("0 Lock Get Deadlock: b")
    else:
        alice.vanishes()
        line_is(observer, "b")
        bob.says("wait inf a").hears("1 Lock Get Success: a")


def test_trying_and_a_running_session_are_no_deadlock(daemon: Daemon) -> None:
    alice, bob, observer = (daemon.client() for _ in range(3))
    alice.says("g a").hears("1 Lock Get Success: a")
    bob.says("g b").hears("1 Lock Get Success: b")
    waits(observer, alice, "wait inf b")
    for _ in range(2):
        bob.says("wait 0 a").hears("0 Lock Get Failure: a")
        bob.says("g a").hears("0 Lock Get Failure: a")


def test_a_deadline_does_not_make_it_less_of_a_deadlock(daemon: Daemon) -> None:
    alice, bob, observer = (daemon.client() for _ in range(3))
    alice.says("g a").hears("1 Lock Get Success: a")
    bob.says("g b").hears("1 Lock Get Success: b")
    waits(observer, alice, "wait 100 b")
    bob.says("wait 5 a").hears("0 Lock Get Deadlock: a")


def test_a_long_chain_without_an_end_is_no_deadlock(daemon: Daemon) -> None:
    size = 30
    observer, *clients = (daemon.client() for _ in range(size + 1))
    for number, client in enumerate(clients):
        client.says(f"g {number}").hears(f"1 Lock Get Success: {number}")
    for number, client in enumerate(clients[:-1]):
        waits(observer, client, f"wait inf {number + 1}")
    clients[-1].says("r 29", "g 29").hears("1 Lock Release Success: 29").hears("0 Lock Get Failure: 29")
    clients[-2].hears("1 Lock Get Success: 29")


# Any play, against the model: refused exactly when it could never be granted

LINES = (
    *(
        f"{verb} {patience} {name}"
        for verb in ("wait", "read")
        for patience in ("inf", "0")
        for name in "pqr"
    ),
    *(f"share {patience} {limit} {name}" for patience in ("inf", "0") for limit in (1, 2) for name in "st"),
    *(f"r {name}" for name in "pqr"),
    *("sg s", "sr s", "sr t"),
    *(f"lease {seconds} {name}" for seconds in ("1000", "inf") for name in "pq"),
    *("cancel", "dies"),
)
SEEN: Counter[str] = Counter()


@given(plays(LINES, "abcde", most=60))
@settings(max_examples=400)
def test_refused_exactly_if_it_could_never_be_granted(steps: list[Step]) -> None:
    play = Play()
    try:
        play.run(steps)
    finally:
        SEEN.update(play.outcomes)
        target(float(play.outcomes.count("refused") + play.outcomes.count("queued")))


KEEN = (
    *(f"{verb} inf {name}" for verb in ("wait", "read") for name in "pqr"),
    *(f"share inf {limit} {name}" for limit in (1, 2, 3) for name in "st"),
    *("lease 1000 p", "lease inf p", "r p", "sr s", "cancel"),
)


@given(plays(KEEN, "abcdef", most=80))
@settings(max_examples=300)
def test_refused_exactly_even_if_all_want_everything(steps: list[Step]) -> None:
    play = Play()
    try:
        play.run(steps)
    finally:
        SEEN.update(play.outcomes)


def test_the_plays_have_seen_enough() -> None:
    """Both properties above are worth something: many waits were queued, and many refused."""
    if not SEEN:
        pytest.skip("they have not run")
    assert SEEN["refused"] > 200
    assert SEEN["queued"] > 2000


# What it costs

HERE = 200  # measurements, of which the shortest counts: what else the machine does only makes it longer
FACTOR = 8


def crowd(waiters: int, shape: str) -> tuple[ConversationDaemon, ConversationClient, Client]:
    """A line of so many for `job`; the client who will wait besides, and the holder."""
    daemon = ConversationDaemon()
    holder, client, other = daemon.client(), daemon.client(), daemon.client()
    holder.says("g job").hears("1 Lock Get Success: job")
    for _ in range(waiters):
        one = daemon.client()
        one.says("wait inf job")
    if shape != "plain":
        # Somebody waits for the client, so that a search is needed ...
        client.says("g mine").hears("1 Lock Get Success: mine")
        other.says("wait inf mine")
    if shape == "the holder waits too":
        # ... which does not end at the holder.
        last = daemon.client()
        last.says("g last").hears("1 Lock Get Success: last")
        holder.says("wait inf last")
    return daemon, client, holder


def cost_of_a_wait(waiters: int, shape: str) -> float:
    _, client, _ = crowd(waiters, shape)
    best = 1.0
    for _ in range(HERE):
        start = time.perf_counter()
        client.sends(b"wait inf job\n")
        best = min(best, time.perf_counter() - start)
        client.sends(b"cancel\n")
    assert client.buffer == b"0 Lock Get Failure: job\n1 Cancelled\n" * HERE
    return best


@pytest.mark.figures
@pytest.mark.parametrize("shape", ["plain", "somebody waits for me", "the holder waits too"])
def test_a_wait_costs_the_same_behind_ten_and_behind_ten_thousand(shape: str) -> None:
    assert cost_of_a_wait(10_000, shape) < FACTOR * cost_of_a_wait(10, shape)


def cost_of_a_hand_over(waiters: int) -> float:
    daemon, _, holder = crowd(waiters + HERE, "plain")
    line = [client for client in daemon.talks.values() if client.talk.waiter is not None]
    best = 1.0
    for before, after in zip([holder, *line], line[:HERE], strict=False):
        start = time.perf_counter()
        before.sends(b"r job\n")  # type: ignore[attr-defined]
        best = min(best, time.perf_counter() - start)
        assert after.buffer == b"1 Lock Get Success: job\n"
    return best


@pytest.mark.figures
def test_a_hand_over_costs_the_same_before_ten_and_before_ten_thousand() -> None:
    assert cost_of_a_hand_over(10_000) < FACTOR * cost_of_a_hand_over(10)


def test_who_stands_behind_does_not_hold_up(daemon: Daemon) -> None:
    alice, bob, zed, dave, observer = (daemon.client() for _ in range(5))
    alice.says("share 0 9 pool").hears("1 Shared Lock Get Success: pool")
    zed.says("share 0 9 pool").hears("2 Shared Lock Get Success: pool")
    bob.says("g job").hears("1 Lock Get Success: job")
    waits(observer, bob, "share inf 2 pool")
    waits(observer, dave, "share inf 1 pool")
    # Bob's turn comes when Zed goes, although Dave's would not.
    waits(observer, alice, "wait inf job")
    zed.says("sr pool").hears("1 Shared Lock Release Success: pool")
    bob.hears("2 Shared Lock Get Success: pool")
    bob.says("r job").hears("1 Lock Release Success: job")
    alice.hears("1 Lock Get Success: job")
    dave.vanishes()


@pytest.mark.flags("-history=20")
def test_the_circle_goes_through_those_who_are_stuck(daemon: Daemon) -> None:
    alice, bob, carol, zed, observer = (daemon.client() for _ in range(5))
    alice.says("share 0 9 pool", "g hers").hears("1 Shared Lock Get Success: pool")
    alice.hears("1 Lock Get Success: hers")
    zed.says("share 0 9 pool").hears("2 Shared Lock Get Success: pool")
    bob.says("read 0 job").hears("1 Lock Get Success: job")
    carol.says("read 0 job").hears("2 Lock Get Success: job")
    # Bob waits for what Alice holds too, but will have it when Zed goes.
    waits(observer, bob, "share inf 2 pool")
    waits(observer, carol, "wait inf hers")
    alice.says("wait inf job").hears("0 Lock Get Deadlock: job")
    reply = observer.says("history job").hears_a_line()
    circle = " -> ".join(one.address for one in (alice, carol, alice))
    assert json.loads(reply.partition(b" ")[2])[-1]["detail"] == circle
    bob.vanishes()
    carol.vanishes()


def test_the_search_goes_on_until_nothing_more_settles(daemon: Daemon) -> None:
    alice, bob, carol, dave, zed, observer = (daemon.client() for _ in range(6))
    zed.says("g far").hears("1 Lock Get Success: far")
    alice.says("g hers").hears("1 Lock Get Success: hers")
    bob.says("read 0 job", "g near").hears("1 Lock Get Success: job").hears("1 Lock Get Success: near")
    carol.says("read 0 job").hears("2 Lock Get Success: job")
    waits(observer, dave, "wait inf hers")
    waits(observer, bob, "wait inf far")
    waits(observer, carol, "wait inf near")
    # That Carol can go on shows only when it is known that Bob can.
    waits(observer, alice, "wait inf job")
    zed.says("r far").hears("1 Lock Release Success: far")
    bob.hears("1 Lock Get Success: far")
    bob.says("r near", "r job").hears("1 Lock Release Success: near").hears("1 Lock Release Success: job")
    carol.hears("1 Lock Get Success: near")
    carol.says("r job").hears("1 Lock Release Success: job")
    alice.hears("1 Lock Get Success: job")
    alice.says("r hers").hears("1 Lock Release Success: hers")
    dave.hears("1 Lock Get Success: hers")
