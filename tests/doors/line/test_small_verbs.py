"""ping, version, help and bound; what a client of the original sees of all this; and bad arguments."""

from __future__ import annotations

import re

import pytest

from glockd import __version__
from tests.support.clients import Client, SocketClient, Text, WebSocketClient
from tests.support.daemons import Daemon, Observer
from tests.support.locks import explained, holders

OLD = ["g", "r", "i", "sg", "sr", "si", "d", "sd", "dump", "iam", "me", "who", "q"]
NEW = [
    *("wait", "read", "share", "cancel", "lease", "token", "check"),
    *("put", "take", "done", "fail", "give", "keep", "pool"),
    *("book", "sbook", "bookings", "unbook", "explain"),
    *("history", "find", "notify", "alive", "kick", "bound", "ping", "version", "help", "quit", "auth"),
]


def test_ping(daemon: Daemon) -> None:
    daemon.client().says("ping").hears("1 pong")


def test_version(daemon: Daemon) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", __version__)
    daemon.client().says("version").hears(f"1 glockd {__version__}")


def test_bound(daemon: Daemon) -> None:
    daemon.client().says("bound").hears("30 Dead Peer Seconds")


@pytest.mark.transports("tcp", "unix", "websocket")
@pytest.mark.flags("-dead-peer-seconds", "17")
def test_bound_tells_what_the_operator_set(daemon: Daemon) -> None:
    daemon.client().says("bound").hears("17 Dead Peer Seconds")


# Those that are a door's, which is not there unless an option says where.
AT_A_DOOR = ["book", "sbook", "bookings", "unbook"]


def verbs_in_force(daemon: Daemon, transport: str | None = None) -> list[str]:
    line = daemon.client(transport).says("help").hears_a_line().decode()
    number, rest = line.split(" ", 1)
    verbs, hint = rest.split(" (")
    assert hint == "help all: what they do; help VERB: what it answers)\n"
    assert int(number) == len(verbs.split(" "))
    return verbs.split(" ")


def test_help_names_the_verbs_in_force(daemon: Daemon) -> None:
    assert verbs_in_force(daemon) == [
        verb for verb in OLD + NEW if verb not in ("history", "kick", *AT_A_DOOR)
    ]


@pytest.mark.flags("-history=10", "-admin")
def test_help_names_what_is_switched_on(daemon: Daemon) -> None:
    assert verbs_in_force(daemon, "unix") == [verb for verb in OLD + NEW if verb not in AT_A_DOOR]
    if daemon.transport in ("tcp", "websocket"):
        assert "kick" not in verbs_in_force(daemon)


@pytest.mark.flags("-dump=false", "-registry=false", "-history=10")
def test_help_leaves_out_what_is_switched_off(daemon: Daemon) -> None:
    off = {"d", "sd", "dump", "who", "iam", "pool", "explain", "history", "find", "kick", *AT_A_DOOR}
    assert verbs_in_force(daemon) == [verb for verb in OLD + NEW if verb not in off]


def hears_lines(client: Client, number: int) -> list[str]:
    """The lines of one reply."""
    if client.transport == "websocket":
        return client.hears_a_line().decode().splitlines()
    return [client.hears_a_line().decode().rstrip("\n") for _ in range(number)]


def test_help_all_gives_a_line_a_verb_in_force(daemon: Daemon) -> None:
    words = verbs_in_force(daemon)
    alice = daemon.client()
    told = hears_lines(alice.says("help all"), len(words))
    assert [line.split(" ")[0] for line in told] == words
    assert "wait SECONDS NAME             take an exclusive lock, standing in line for up to SECONDS" in told
    daemon.counts(command_help=2, invalid_commands=0)


def test_help_tells_syntax_and_replies_of_a_verb(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("help g", " help  lease\t").hears_bytes(
        "1 g NAME: take an exclusive lock -> 1 Lock Get Success: NAME | 0 Lock Get Failure: NAME\n"
    ).hears_bytes(
        "1 lease SECONDS NAME: let the daemon take my lock back after SECONDS, from now"
        " -> 1 Lock Lease Success: NAME | 0 Lock Lease Failure: NAME\n"
    )
    for verb in NEW + [verb for verb in OLD if verb != "me"]:
        line = alice.says(f"help {verb}").hears_a_line().decode()
        assert re.match(rf"1 {verb}\b.*: .* -> .+\n\Z", line), line
    daemon.counts(command_help=2 + len(OLD + NEW) - 1, invalid_commands=0)


@pytest.mark.parametrize("verb", ["help", "ping", "version", "bound", "cancel", "quit"])
def test_a_verb_that_is_a_word_alone_takes_no_argument(daemon: Daemon, verb: str) -> None:
    """`help me` is in the recordings of the original: an invalid command."""
    alice = daemon.client()
    alice.says(f"{verb} me").hears_nothing()
    alice.says(f"{verb} all of it").hears_nothing()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says(f"  {verb}\t").hears_a_line()
    daemon.counts(invalid_commands=2, **{f"command_{verb}": 1})
    if verb == "quit":
        is_over(alice)


# quit


def is_over(client: Client) -> None:
    """The daemon has said goodbye, and closed the connection."""
    if isinstance(client, WebSocketClient):
        client.hears_close(1000)
    elif isinstance(client, SocketClient):
        client.is_hung_up_on()
    else:
        assert not client.is_open


def test_quit_ends_the_connection(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("wait 60 job")
    alice.says("quit", "g other").hears("1 Bye")
    is_over(alice)
    bob.hears("1 Lock Get Success: job")
    bob.says("i other").hears("0 Lock Not Locked: other")


def test_quit_waits_its_turn(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("wait 60 job", "quit", "cancel")
    bob.hears_bytes("0 Lock Get Failure: job\n").hears_bytes("1 Cancelled\n").hears_bytes("1 Bye\n")
    is_over(bob)


# q


@pytest.mark.transports("conversation")
def test_who_uses_no_new_verb_sees_no_new_counter(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    for line in (
        "g a",
        "sg b",
        "iam Alice",
        "me",
        "who",
        "d",
        "sd",
        "dump",
        "i a",
        "si b",
        "r a",
        "sr b",
        "x",
    ):
        alice.says(line)
    alice.asked.clear()
    alice.buffer = b""  # type: ignore[attr-defined]
    seen = Observer(bob).counters()
    verbs = [f"command_{verb}" for verb in OLD]
    others = ["connections", "invalid_commands", "locks", "orphans", "shared_locks", "shared_orphans"]
    assert list(seen) == sorted([*verbs, *others])
    assert len(Observer(bob).counters()) == 19


@pytest.mark.transports("conversation")
@pytest.mark.parametrize("verb", NEW)
def test_a_new_verb_is_counted_from_its_first_use(daemon: Daemon, verb: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    observer = Observer(bob)
    assert f"command_{verb}" not in observer.counters()
    alice.says(verb).hears_a_line()
    assert observer.counters()[f"command_{verb}"] == 1
    new = {key for key in observer.counters() if key.removeprefix("command_") in NEW}
    assert new == {f"command_{verb}"}


def test_new_verbs_leave_the_old_counters_alone(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("wait 0 a", "read 0 b", "share 0 1 c", "token a", "lease 5 a", "check 1 a", "notify on")
    for _ in range(7):
        alice.hears_a_line()
    daemon.counts(locks=2, shared_locks=1, command_g=0, command_sg=0, invalid_commands=0, orphans=0)
    alice.says("notify off").hears("1 ok")


# Bad arguments

NOT_SECONDS: list[Text] = [
    *(
        "",
        "-1",
        "+1",
        "1e3",
        "nan",
        "NaN",
        "1_0",
        "-0",
        "0x10",
        "Inf",
        "INF",
        "infinity",
        "-inf",
        "1,5",
        "1.2.3",
    ),
    *(".", "..", "5s", "--1", "\u0661\u0662", "\uff11", "1\u200b", "\u221e", b"\xff", b"1\0"),
]
NOT_NUMBERS: list[Text] = [
    *(
        "",
        "0",
        "00",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "1_0",
        "0x1",
        "inf",
        "nan",
        "one",
        "1,000",
        "\u0661",
        "\uff11",
        b"\xff",
    ),
    "1" * 19,
]


def line(template: str, word: Text) -> bytes:
    return template.encode().replace(b"?", word if isinstance(word, bytes) else word.encode())


CASES = [
    *((line("wait ? job", word), "SECONDS") for word in NOT_SECONDS),
    *(
        (line(f"{verb} ? job", word), "SECONDS")
        for verb in ("read", "lease")
        for word in ("", "-1", "1_0", "nan")
    ),
    *((line("share ? 5 job", word), "SECONDS") for word in ("x", "-1", "1_0", "nan", "\u0661")),
    *((line("share 0 ? job", word), "LIMIT") for word in NOT_NUMBERS),
    *((line("check ? job", word), "TOKEN") for word in NOT_NUMBERS),
    *((verb, "SECONDS") for verb in (b"wait", b"read", b"share", b"lease", b"wait job", b"lease job")),
    *((verb, "LIMIT") for verb in (b"share 0", b"share inf", b"share 0 pool")),
    *((verb, "TOKEN") for verb in (b"check", b"check job")),
]


@pytest.mark.parametrize(("said", "which"), CASES, ids=[f"{said!r}" for said, _ in CASES])
def test_a_bad_argument_is_named_and_changes_nothing(daemon: Daemon, said: bytes, which: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job", "sg job", "lease 1000 job")
    alice.hears("1 Lock Get Success: job").hears("1 Shared Lock Get Success: job")
    alice.hears("1 Lock Lease Success: job")
    for client in (alice, bob):
        client.says(said, "ping").hears(f"0 Bad Argument: {which}").hears("1 pong")
    found = explained(bob, "job")
    assert holders(bob, "job") == [alice.address, alice.address]
    assert found["exclusive"]["waiters"] == found["shared"]["waiters"] == []
    assert found["exclusive"]["holders"][0]["lease"] > 500
    daemon.counts(locks=1, shared_locks=1, invalid_commands=0)


@pytest.mark.parametrize("patience", ["0", "0.0", "00", "1", "1.", ".5", "0.001", "inf", "9" * 50])
def test_seconds_may_be_written_so(daemon: Daemon, patience: str) -> None:
    alice = daemon.client()
    alice.says(f"wait {patience} job").hears("1 Lock Get Success: job")
    alice.says(f"read {patience} page").hears("1 Lock Get Success: page")
    alice.says(f"share {patience} 1 pool").hears("1 Shared Lock Get Success: pool")
    daemon.counts(locks=2, shared_locks=1)
