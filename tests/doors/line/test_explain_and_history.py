"""What `explain` and `history` tell of locks, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.clients import Client, wait_until
from tests.support.conversations import WALL, ConversationDaemon
from tests.support.daemons import Daemon
from tests.support.locks import dies, explained, forget, in_line, time_passes, waits

KINDS = {"tcp": "tcp", "unix": "unix", "websocket": "websocket", "conversation": "tcp"}
REMEMBERS = pytest.mark.flags("-history=500")


def is_about(client: Client, entry: dict[str, Any], transport: str, name: str | None = None) -> None:
    assert entry["address"] == client.address
    assert entry["name"] == name
    assert entry["transport"] == KINDS[transport]


# explain


def test_a_free_lock_has_nobody(daemon: Daemon) -> None:
    alice = daemon.client()
    nobody: dict[str, list[Any]] = {"holders": [], "waiters": []}
    assert explained(alice, "job") == {"name": "job", "exclusive": nobody, "shared": nobody}


def test_explain_names_holders_and_waiters_of_both_namespaces(daemon: Daemon) -> None:
    alice, bob, carol, dave, observer = (daemon.client() for _ in range(5))
    alice.says("iam Alice").hears("1 ok")
    alice.says("g job", "lease 100 job").hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    token = int(alice.says("token job").hears_a_line().split()[0])
    alice.says("share 0 1 job").hears("1 Shared Lock Get Success: job")
    bob.says("iam Bob of  Bern").hears("1 ok")
    waits(observer, bob, "wait inf job")
    waits(observer, carol, "read 100 job")
    waits(observer, dave, "share 50 1 job")
    found = explained(observer, "job")
    assert list(found) == ["name", "exclusive", "shared"]
    (holder,) = found["exclusive"]["holders"]
    assert list(holder) == ["address", "name", "transport", "mode", "seconds", "token", "lease"]
    is_about(alice, holder, daemon.transport, "Alice")
    assert (holder["mode"], holder["token"]) == ("write", token)
    assert 0 <= holder["seconds"] < 60
    assert 40 < holder["lease"] <= 100
    first, second = found["exclusive"]["waiters"]
    assert list(first) == ["address", "name", "transport", "mode", "place", "seconds", "limit", "timeout"]
    is_about(bob, first, daemon.transport, "Bob of Bern")
    is_about(carol, second, daemon.transport)
    assert (first["mode"], first["place"], first["limit"], first["timeout"]) == ("write", 1, None, None)
    assert (second["mode"], second["place"], second["limit"]) == ("read", 2, None)
    assert 40 < second["timeout"] <= 100
    (holder,) = found["shared"]["holders"]
    is_about(alice, holder, daemon.transport, "Alice")
    assert (holder["mode"], holder["token"], holder["lease"]) == ("shared", token + 1, None)
    (waiter,) = found["shared"]["waiters"]
    is_about(dave, waiter, daemon.transport)
    assert (waiter["mode"], waiter["place"], waiter["limit"]) == ("shared", 1, 1)
    for client in (bob, carol, dave):
        client.vanishes()


@pytest.mark.transports("conversation")
def test_explain_tells_how_long_it_has_been_and_will_be(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job", "lease 100 job").hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 20.5)
    bob.says("wait 50 job")
    time_passes(daemon, 2.25)
    found = explained(alice, "job")["exclusive"]
    assert (found["holders"][0]["seconds"], found["holders"][0]["lease"]) == (22.75, 77.25)
    assert (found["waiters"][0]["seconds"], found["waiters"][0]["timeout"]) == (2.25, 47.75)
    bob.says("cancel").hears("0 Lock Get Failure: job").hears("1 Cancelled")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a b", "a b"),
        (b"", ""),
        ("\u00e9t\u00e9 \U0001f512".encode(), "\u00e9t\u00e9 \U0001f512"),
        (b'"quoted\\"', '"quoted\\"'),
        (b"nul\0", "nul\0"),
        (b"\xff\xfe", "\\xff\\xfe"),
    ],
)
def test_a_name_of_any_bytes_is_explained(daemon: Daemon, name: bytes, shown: str) -> None:
    alice = daemon.client()
    alice.says(b"g " + name).hears(b"1 Lock Get Success: " + name)
    reply = alice.says(b"explain " + name).hears_a_line()
    assert reply.endswith(b"}\n")
    assert json.loads(reply[2:])["name"] == shown
    assert len(json.loads(reply[2:])["exclusive"]["holders"]) == 1


def test_a_long_line_is_explained_whole(daemon: Daemon) -> None:
    alice = daemon.client()
    clients = [daemon.client() for _ in range(60)]
    alice.says("g job").hears("1 Lock Get Success: job")
    for client in clients:
        client.says("wait inf job")
    wait_until(lambda: len(in_line(alice, "job")) == 60)
    waiters = explained(alice, "job")["exclusive"]["waiters"]
    assert [waiter["place"] for waiter in waiters] == list(range(1, 61))
    alice.says("explain job", "ping").hears_a_line()
    alice.hears("1 pong")
    for client in clients:
        client.vanishes()


# history


def events(client: Client, name: str | None = None) -> list[dict[str, Any]]:
    """What `history` says, of one lock or of all."""
    reply = client.says("history" if name is None else f"history {name}").hears_a_line()
    number, _, rest = reply.partition(b" ")
    found: list[dict[str, Any]] = json.loads(rest)
    assert int(number) == len(found)
    return found


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [entry["event"] for entry in found]


FIELDS = [
    *("event", "time", "lock", "table", "mode"),
    *("address", "name", "transport", "waited", "held", "token", "detail"),
]


@REMEMBERS
def test_history_tells_of_a_grant_and_a_release(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("iam Alice").hears("1 ok")
    alice.says("g hist 1").hears("1 Lock Get Success: hist 1")
    token = int(alice.says("token hist 1").hears_a_line().split()[0])
    alice.says("r hist 1").hears("1 Lock Release Success: hist 1")
    found = events(alice, "hist 1")[-2:]
    assert kinds(found) == ["granted", "released"]
    for entry in found:
        assert list(entry) == FIELDS
        is_about(alice, entry, daemon.transport, "Alice")
        assert (entry["lock"], entry["table"], entry["mode"]) == ("hist 1", "exclusive", "write")
        assert (entry["token"], entry["waited"], entry["detail"]) == (token, 0, "")
        assert 0 <= entry["held"] < 60
    assert found[0]["time"] <= found[1]["time"]
    assert found[0]["held"] == 0


@REMEMBERS
@pytest.mark.transports("conversation")
def test_history_has_wall_time_and_lengths(daemon: ConversationDaemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    start = daemon.now
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.passes(10)
    bob.says("wait inf job")
    daemon.passes(2.5)
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")
    daemon.passes(4)
    bob.says("lease 1.5 job").hears("1 Lock Lease Success: job")
    daemon.passes(60)
    found = events(alice, "job")
    assert [(entry["event"], entry["time"] - WALL - start) for entry in found] == [
        ("granted", 0),
        ("released", 12.5),
        ("granted", 12.5),
        ("expired", 18),
    ]
    assert [(entry["waited"], entry["held"]) for entry in found] == [(0, 0), (0, 12.5), (2.5, 0), (0, 5.5)]


@REMEMBERS
@pytest.mark.parametrize("how", ["close", "reset", "half close", "kill"])
def test_history_tells_of_orphans_and_how_their_session_ended(daemon: Daemon, how: str) -> None:
    alice, observer = daemon.client(), daemon.client()
    name = f"orphan by {how}"
    alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    before = len(events(observer, name))
    dies(alice, how)
    wait_until(lambda: len(events(observer, name)) > before)
    entry = events(observer, name)[-1]
    is_about(alice, entry, daemon.transport)
    is_reset = how == "reset" and daemon.transport in ("tcp", "websocket")
    assert (entry["event"], entry["detail"]) == ("orphaned", "reset" if is_reset else "closed")
    forget(alice)


@REMEMBERS
@pytest.mark.parametrize("how", ["close", "reset", "half close"])
def test_a_wait_that_ends_with_its_session_is_orphaned_too(daemon: Daemon, how: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    name = f"waiter dies by {how}"
    alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    waits(alice, bob, f"wait inf {name}")
    before = len(events(alice, name))
    dies(bob, how)
    wait_until(lambda: len(events(alice, name)) > before)
    entry = events(alice, name)[-1]
    is_about(bob, entry, daemon.transport)
    is_reset = how == "reset" and daemon.transport in ("tcp", "websocket")
    assert (entry["event"], entry["detail"]) == ("orphaned", "reset" if is_reset else "closed")
    assert (entry["token"], entry["held"], entry["mode"]) == (None, 0, "write")
    forget(bob)


@REMEMBERS
def test_history_tells_of_waits_that_were_in_vain(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g vain").hears("1 Lock Get Success: vain")
    waits(alice, bob, "wait inf vain")
    bob.says("cancel").hears("0 Lock Get Failure: vain").hears("1 Cancelled")
    bob.says("read 0.01 vain")
    time_passes(daemon, 1)
    bob.hears("0 Lock Get Failure: vain")
    found = events(alice, "vain")[-2:]
    assert [(entry["event"], entry["mode"]) for entry in found] == [
        ("cancelled", "write"),
        ("timed out", "read"),
    ]
    for entry in found:
        is_about(bob, entry, daemon.transport)
        assert (entry["token"], entry["held"], entry["detail"]) == (None, 0, "")
        assert entry["waited"] >= 0
    assert found[1]["waited"] >= 0.01
    # What was tried and not waited for is no event.
    count = len(events(alice, "vain"))
    bob.says("g vain", "wait 0 vain").hears("0 Lock Get Failure: vain").hears("0 Lock Get Failure: vain")
    assert len(events(alice, "vain")) == count


@REMEMBERS
def test_history_shows_the_circle_of_a_deadlock(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    for client, name in ((alice, "da"), (bob, "db"), (carol, "dc")):
        client.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    observer = daemon.client()
    waits(observer, alice, "wait inf db")
    waits(observer, bob, "wait inf dc")
    carol.says("wait inf da").hears("0 Lock Get Deadlock: da")
    entry = events(observer, "da")[-1]
    is_about(carol, entry, daemon.transport)
    assert (entry["event"], entry["token"]) == ("refused", None)
    assert entry["detail"] == " -> ".join(one.address for one in (carol, alice, bob, carol))
    alice.vanishes()
    bob.vanishes()


@REMEMBERS
def test_history_tells_modes_and_namespaces_apart(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("read 0 modes", "r modes", "sg modes", "sr modes", "wait 0 modes", "r modes")
    for _ in range(6):
        alice.hears_a_line()
    found = events(alice, "modes")[-6:]
    assert [(entry["event"], entry["table"], entry["mode"]) for entry in found] == [
        ("granted", "exclusive", "read"),
        ("released", "exclusive", "read"),
        ("granted", "shared", "shared"),
        ("released", "shared", "shared"),
        ("granted", "exclusive", "write"),
        ("released", "exclusive", "write"),
    ]


@pytest.mark.flags("-history=7")
def test_history_keeps_the_latest(daemon: Daemon) -> None:
    alice = daemon.client()
    for number in range(20):
        alice.says(f"g {number}").hears(f"1 Lock Get Success: {number}")
    assert [entry["lock"] for entry in events(alice)] == [str(number) for number in range(13, 20)]
    assert events(alice, "12") == []
    assert kinds(events(alice, "19")) == ["granted"]
    alice.says("g other", "r 19").hears("1 Lock Get Success: other").hears("1 Lock Release Success: 19")
    assert [entry["lock"] for entry in events(alice)] == ["15", "16", "17", "18", "19", "other", "19"]
    assert kinds(events(alice, "19")) == ["granted", "released"]


def test_without_history_there_is_none(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("history", "history job").hears("0 disabled").hears("0 disabled")


@pytest.mark.flags("-dump=false", "-history=10")
def test_without_dump_nothing_is_told(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    for line in ("explain job", "explain", "history", "history job"):
        alice.says(line).hears("0 disabled")
    alice.says("token job").hears_a_line()
