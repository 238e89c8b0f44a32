"""Every command and reply of the line language, over every transport."""

from __future__ import annotations

import pytest

from tests.support.clients import Text
from tests.support.daemons import Daemon, Observer

# Line ends

# Who says what before, what alice says then, and exactly what she hears. (PROTOCOL.md, Replies)
SITUATIONS: list[tuple[list[tuple[str, str]], str, bytes]] = [
    ([], "g job", b"1 Lock Get Success: job\r\n"),
    ([("alice", "g job")], "g job", b"1 Lock Get Success: job\n"),
    ([("bob", "g job")], "g job", b"0 Lock Get Failure: job\r\n"),
    ([("alice", "g job")], "i job", b"1 Lock Is Locked: job\n"),
    ([("bob", "g job")], "i job", b"1 Lock Is Locked: job\r\n"),
    ([], "i job", b"0 Lock Not Locked: job\r\n"),
    ([("alice", "g job")], "r job", b"1 Lock Release Success: job\n"),
    ([("bob", "g job")], "r job", b"0 Lock Release Failure: job\n"),
    ([], "r job", b"0 Lock Release Failure: job\n"),
    ([], "sg job", b"1 Shared Lock Get Success: job\r\n"),
    ([("alice", "sg job")], "sg job", b"1 Shared Lock Get Success: job\r\n"),
    ([("bob", "sg job")], "sg job", b"2 Shared Lock Get Success: job\r\n"),
    ([("alice", "sg job")], "si job", b"1 Shared Lock Is Locked: job\r\n"),
    ([("bob", "sg job")], "si job", b"1 Shared Lock Is Locked: job\r\n"),
    ([], "si job", b"0 Shared Lock Not Locked: job\r\n"),
    ([("alice", "sg job")], "sr job", b"1 Shared Lock Release Success: job\r\n"),
    ([("bob", "sg job")], "sr job", b"0 Shared Lock Release Failure: job\r\n"),
    ([], "sr job", b"0 Shared Lock Release Failure: job\r\n"),
    ([], "me", b"1 {alice} {alice}\n"),
    ([("alice", "iam Alice")], "me", b"1 {alice} Alice\n"),
    ([], "iam Alice", b"1 ok\n"),
    ([], "iam", b"1 ok\n"),
    ([("alice", "iam Alice")], "who", b"{alice}: Alice\n"),
    ([], "who", b""),
    ([("alice", "g job")], "d", b"job: {alice}\n"),
    ([("alice", "g job")], "d job", b"job: {alice}\n"),
    ([("alice", "g job")], "d other", b""),
    ([], "d", b""),
    ([("alice", "sg job"), ("bob", "sg job")], "sd", b"job: {alice}\njob: {bob}\n"),
    ([("alice", "sg job")], "sd other", b""),
    ([], "sd", b""),
    ([("bob", "g job")], "dump", b"map[job:{bob}]\n"),
    ([], "dump", b"map[]\n"),
    ([("alice", "sg job"), ("bob", "sg job")], "dump shared", b"map[job:[{alice} {bob}]]\n"),
    ([], "dump shared", b"map[]\n"),
    ([], "", b""),
    ([], " \t", b""),
    ([], "hello", b""),
]


@pytest.mark.parametrize(
    ("before", "line", "reply"),
    SITUATIONS,
    ids=["+".join(s for _, s in b) + f"->{s}" for b, s, _ in SITUATIONS],
)
def test_each_reply_has_exactly_these_bytes(
    daemon: Daemon, before: list[tuple[str, str]], line: str, reply: bytes
) -> None:
    clients = {"alice": daemon.client(), "bob": daemon.client()}
    for who, said in before:
        clients[who].says(said).hears_a_line()
    for who, client in clients.items():
        reply = reply.replace(b"{%s}" % who.encode(), client.address.encode())
    clients["alice"].says(line).hears_bytes(reply)


@pytest.mark.flags("-dump=false")
@pytest.mark.parametrize("line", ["d", "d job", "sd", "sd job", "dump", "dump shared", "who", "who Alice"])
def test_without_dump_nobody_sees_what_others_hold(daemon: Daemon, line: str) -> None:
    alice = daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("iam Alice").hears("1 ok")
    alice.says(line).hears_bytes("0 disabled\n")
    daemon.counts(**{f"command_{line.split()[0]}": 1})


@pytest.mark.flags("-registry=false")
@pytest.mark.parametrize("line", ["iam", "iam Alice", "who", "who Alice"])
def test_without_registry_nobody_has_a_name(daemon: Daemon, line: str) -> None:
    alice = daemon.client()
    alice.says(line).hears_bytes("0 disabled\n")
    alice.says("me").hears(f"1 {alice.address} {alice.address}")
    daemon.counts(**{f"command_{line.split()[0]}": 1})


@pytest.mark.flags("-registry=false")
def test_without_registry_listings_show_addresses(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("sg pool").hears("1 Shared Lock Get Success: pool")
    bob.says("d").hears(f"job: {alice.address}")
    bob.says("d job").hears(f"job: {alice.address}")
    bob.says("sd").hears(f"pool: {alice.address}")
    bob.says("dump").hears(f"map[job:{alice.address}]")
    bob.says("me").hears(f"1 {bob.address} {bob.address}")
    alice.hangs_up()
    daemon.counts(connections=1, orphans=1, shared_orphans=1)


@pytest.mark.flags("-registry=false", "-dump=false")
def test_with_everything_off_locks_work_as_ever(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("g job").hears("0 Lock Get Failure: job")
    bob.says("me").hears(f"1 {bob.address} {bob.address}")
    for verb in ("d", "sd", "dump", "who", "iam"):
        bob.says(verb).hears_bytes("0 disabled\n")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.says("g job").hears("1 Lock Get Success: job")


# Exclusive locks


def test_a_lock_has_one_holder(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("g job").hears("0 Lock Get Failure: job")
    bob.says("i job").hears("1 Lock Is Locked: job")
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.says("i job").hears("0 Lock Not Locked: job")
    bob.says("g job").hears("1 Lock Get Success: job")
    alice.says("g job").hears("0 Lock Get Failure: job")


def test_a_lock_got_twice_is_released_once(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.counts(command_g=2, locks=1)
    alice.says("r job").hears("1 Lock Release Success: job")
    alice.says("r job").hears("0 Lock Release Failure: job")
    bob.says("g job").hears("1 Lock Get Success: job")


def test_nobody_releases_what_another_holds(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("r job").hears("0 Lock Release Failure: job")
    alice.says("i job").hears("1 Lock Is Locked: job")
    daemon.counts(command_r=1, locks=1)


def test_an_orphaned_lock_is_free_again(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("g job").hears("0 Lock Get Failure: job")
    alice.hangs_up()
    daemon.counts(orphans=1)
    bob.says("g job").hears("1 Lock Get Success: job")


def test_a_vanished_client_leaves_its_locks_too(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("sg job").hears("1 Shared Lock Get Success: job")
    alice.vanishes()
    daemon.counts(connections=1, orphans=1, shared_orphans=1, locks=0, shared_locks=0)
    bob.says("g job").hears("1 Lock Get Success: job")


def test_a_returned_client_is_a_new_one(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("iam Alice").hears("1 ok")
    alice.says("g job").hears("1 Lock Get Success: job")
    returned = daemon.client()
    returned.says("iam Alice").hears("1 ok")
    returned.says("r job").hears("0 Lock Release Failure: job")
    alice.hangs_up()
    daemon.counts(orphans=1)
    bob.says("i job").hears("0 Lock Not Locked: job")


def test_only_what_was_held_is_orphaned(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g a", "g b", "g c", "g c", "sg a", "sg a", "sg b")
    for name in ("a", "b", "c", "c"):
        alice.hears(f"1 Lock Get Success: {name}")
    for name in ("a", "a", "b"):
        alice.hears(f"1 Shared Lock Get Success: {name}")
    bob.says("sg b").hears("2 Shared Lock Get Success: b")
    alice.says("r b").hears("1 Lock Release Success: b")
    alice.hangs_up()
    daemon.counts(connections=1, orphans=2, shared_orphans=2, locks=0, shared_locks=1)
    bob.says("si b").hears("1 Shared Lock Is Locked: b")


# Shared locks


def test_a_shared_lock_counts_its_holders(daemon: Daemon) -> None:
    clients = [daemon.client() for _ in range(11)]
    for count, client in enumerate(clients, 1):
        client.says("sg pool").hears(f"{count} Shared Lock Get Success: pool")
    clients[0].says("si pool").hears("11 Shared Lock Is Locked: pool")
    clients[3].says("sg pool").hears("11 Shared Lock Get Success: pool")
    clients[3].says("sr pool").hears("1 Shared Lock Release Success: pool")
    clients[3].says("sr pool").hears("0 Shared Lock Release Failure: pool")
    clients[3].says("si pool").hears("10 Shared Lock Is Locked: pool")
    daemon.counts(shared_locks=1)


def test_holders_of_a_shared_lock_are_in_order(daemon: Daemon) -> None:
    alice, bob, carol = daemon.client(), daemon.client(), daemon.client()
    for count, client in enumerate((alice, bob, carol), 1):
        client.says("sg pool").hears(f"{count} Shared Lock Get Success: pool")
    alice.says("sg pool").hears("3 Shared Lock Get Success: pool")  # keeps her place
    bob.says("sr pool").hears("1 Shared Lock Release Success: pool")
    bob.says("sg pool").hears("3 Shared Lock Get Success: pool")  # is last now
    addresses = (alice.address, carol.address, bob.address)
    alice.says("dump shared").hears(f"map[pool:[{' '.join(addresses)}]]")
    alice.says("sd pool").hears(*(f"pool: {address}" for address in addresses))


def test_exclusive_and_shared_locks_of_one_name_are_unrelated(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("sg job").hears("1 Shared Lock Get Success: job")
    bob.says("g job").hears("0 Lock Get Failure: job")
    alice.says("sr job").hears("0 Shared Lock Release Failure: job")
    alice.says("r job").hears("1 Lock Release Success: job")
    alice.says("si job").hears("1 Shared Lock Is Locked: job")
    daemon.counts(locks=0, shared_locks=1)


# Names


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("g a b", "a b"),
        ("g  a   b  ", "a b"),
        ("g\x20\x09a\x0b\x0cb", "a b"),
        ("  g a b", "a b"),
        ("\t\u3000g a b\u2003", "a b"),
        ("g a\u00a0b", "a b"),
        ("g a\u0085b", "a b"),
        ("g a\u1680b\u2000c\u200ad\u2028e\u2029f\u202fg\u205fh\u3000i", "a b c d e f g h i"),
        ("g \u00e9t\u00e9", "\u00e9t\u00e9"),
        ("g a\u200bb", "a\u200bb"),
        ("g a\u180eb", "a\u180eb"),
        ("g a\u2060b\ufeffc", "a\u2060b\ufeffc"),
        (b"g a\x1cb\x1dc\x1ed\x1fe", b"a\x1cb\x1dc\x1ed\x1fe"),
        (b"g a\x85b\xa0c", b"a\x85b\xa0c"),
        (b"g a\xc2", b"a\xc2"),
        (b"g \xe2\x80", b"\xe2\x80"),
        (b"g \xff\xfe a", b"\xff\xfe a"),
        (b"g a\xc3\xc2\xa0b", b"a\xc3 b"),
        (b"g a\0b", b"a\0b"),
        ("g job\r", "job"),
        ("g g", "g"),
        ("g q", "q"),
        ("g 1.2.3.4:5", "1.2.3.4:5"),
        ("g map[a:b]", "map[a:b]"),
        ("g", ""),
        ("g ", ""),
        ("g \t\u2003", ""),
    ],
)
def test_a_name_is_what_is_left_between_white_space(daemon: Daemon, line: Text, name: Text) -> None:
    alice, bob = daemon.client(), daemon.client()
    wanted = name if isinstance(name, bytes) else name.encode()
    alice.says(line).hears(b"1 Lock Get Success: " + wanted)
    bob.says(b"i " + wanted).hears(b"1 Lock Is Locked: " + wanted)
    bob.says("dump").hears(b"map[" + wanted + b":" + alice.address.encode() + b"]")


@pytest.mark.parametrize("code", [0x09, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)])
def test_unicode_white_space_separates_words(daemon: Daemon, code: int) -> None:
    alice = daemon.client()
    alice.says(f"{chr(code)}g{chr(code)} a{chr(code)}{chr(code)}b{chr(code)}")
    if code == 0x20:
        alice.hears("1 Lock Get Success: a b")
    else:  # what follows the command word is not a space, so that both are one unknown word
        alice.hears_nothing()
        alice.says(f"g a{chr(code)}{chr(code)}b{chr(code)}").hears("1 Lock Get Success: a b")


def test_names_differ_by_a_single_byte(daemon: Daemon) -> None:
    alice = daemon.client()
    names = ["job", "Job", "job2", "jo", "e\u0301", "\u00e9", "job\0"]
    for name in names:
        alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    daemon.counts(locks=len(names))


def test_a_name_of_any_length_that_the_line_has_room_for(daemon: Daemon) -> None:
    alice = daemon.client()
    name = "n" * 4093  # with `g ` and without LF: 4095 bytes
    alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    alice.says(f"i {name}").hears(f"1 Lock Is Locked: {name}")


# Commands and invalid ones


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "\t",
        "G job",
        "get job",
        "gg job",
        "g\tjob",
        "g\u00a0job",
        "QUIT",
        "help me",
        b"\xff",
        "d\0",
        "\u200bg job",
    ],
)
def test_an_invalid_command_is_counted_and_not_answered(daemon: Daemon, line: Text) -> None:
    alice = daemon.client()
    alice.says(line).hears_nothing()
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.counts(invalid_commands=1, command_g=1)


def test_commands_without_argument_ignore_one(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("me myself").hears(f"1 {alice.address} {alice.address}")
    assert Observer(daemon.client()).counters("q now please")["connections"] >= 2


def test_every_command_is_counted_before_it_is_answered(daemon: Daemon) -> None:
    alice = daemon.client()
    lines = ["d", "dump", "g x", "i x", "r x", "sd", "sg x", "si x", "sr x", "iam A", "me", "who", "q", "z"]
    for line in lines:
        alice.says(line)
    expected = {f"command_{line.split()[0]}": 1 for line in lines if line != "z"}
    daemon.counts(**expected, invalid_commands=1)
    # What she hears is tested elsewhere; here only that she hears it all.
    alice.says("g end")
    while b"1 Lock Get Success: end" not in alice.hears_a_line():
        pass


# Registered names


def test_a_registered_name_is_shown_and_can_be_taken_back(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("sg pool").hears("1 Shared Lock Get Success: pool")
    alice.says("iam  Alice \t of  Wonderland ").hears("1 ok")
    bob.says("who").hears(f"{alice.address}: Alice of Wonderland")
    bob.says("d").hears("job: Alice of Wonderland")
    bob.says("sd").hears("pool: Alice of Wonderland")
    bob.says("dump").hears(f"map[job:{alice.address}]")
    alice.says("iam Alicia").hears("1 ok")
    bob.says("d job").hears("job: Alicia")
    alice.says("me").hears(f"1 {alice.address} Alicia")
    alice.says("iam").hears("1 ok")
    bob.says("d").hears(f"job: {alice.address}")
    bob.says("who").hears_nothing()
    alice.says("me").hears(f"1 {alice.address} {alice.address}")


def test_a_name_gives_no_rights_and_may_be_shared(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    for client in (alice, bob):
        client.says("iam Twin").hears("1 ok")
    bob.says("who Twin").hears_in_any_order(f"{alice.address}: Twin", f"{bob.address}: Twin")
    bob.says("who Tw").hears_nothing()
    bob.says("who  Twin ").hears_in_any_order(f"{alice.address}: Twin", f"{bob.address}: Twin")
    bob.says("r job").hears("0 Lock Release Failure: job")
    bob.says(f"iam {alice.address}").hears("1 ok")
    bob.says("r job").hears("0 Lock Release Failure: job")
    alice.hangs_up()
    daemon.counts(connections=1)
    bob.says("who Twin").hears_nothing()
    bob.says("who").hears(f"{bob.address}: {alice.address}")


# Listings


def test_listings_show_all_or_one_lock(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g b").hears("1 Lock Get Success: b")
    bob.says("g a c").hears("1 Lock Get Success: a c")
    bob.says("g").hears("1 Lock Get Success: ")
    alice.says("sg b").hears("1 Shared Lock Get Success: b")
    bob.says("sg b").hears("2 Shared Lock Get Success: b")
    bob.says("sg").hears("1 Shared Lock Get Success: ")
    a, b = alice.address, bob.address
    alice.says("d").hears_in_any_order(f"b: {a}", f"a c: {b}", f": {b}")
    alice.says("d  a \t c").hears(f"a c: {b}")
    alice.says("d a").hears_nothing()
    alice.says("d \u2003").hears_in_any_order(f"b: {a}", f"a c: {b}", f": {b}")
    alice.says("sd").hears_in_any_order(f"b: {a}", f"b: {b}", f": {b}")
    alice.says("sd b").hears(f"b: {a}", f"b: {b}")
    alice.says("dump").hears(f"map[:{b} a c:{b} b:{a}]")
    alice.says("dump shared").hears(f"map[:[{b}] b:[{a} {b}]]")
    for line in ("dump  shared ", "dump\u0020\u2003shared"):
        alice.says(line).hears(f"map[:[{b}] b:[{a} {b}]]")
    for line in ("dump Shared", "dump shared x", "dump share", "dump x"):
        alice.says(line).hears(f"map[:{b} a c:{b} b:{a}]")


def test_dump_is_sorted_by_bytes(daemon: Daemon) -> None:
    alice = daemon.client()
    names = [b"b", b"a", b"B", b"a b", b"\xff", "\u00e9".encode(), b"~", b"", b"0", b"10", b"9"]
    for name in names:
        alice.says(b"g " + name).hears(b"1 Lock Get Success: " + name)
        alice.says(b"sg " + name).hears(b"1 Shared Lock Get Success: " + name)
    me = alice.address.encode()
    listed = b" ".join(name + b":" + me for name in sorted(names))
    alice.says("dump").hears(b"map[" + listed + b"]")
    listed = b" ".join(name + b":[" + me + b"]" for name in sorted(names))
    alice.says("dump shared").hears(b"map[" + listed + b"]")


# Many lines at once


def test_every_line_of_a_packet_is_answered_in_order(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("g a", "sg a", "nonsense", "i a", "", "r a", "r a", "sr a")
    alice.hears("1 Lock Get Success: a").hears("1 Shared Lock Get Success: a").hears_nothing()
    alice.hears("1 Lock Is Locked: a").hears_nothing()
    alice.hears("1 Lock Release Success: a").hears("0 Lock Release Failure: a")
    alice.hears("1 Shared Lock Release Success: a")
    daemon.counts(command_g=1, command_sg=1, command_i=1, command_r=2, command_sr=1, invalid_commands=2)


def test_thirty_thousand_bytes_at_once(daemon: Daemon) -> None:
    alice = daemon.client()
    names = [f"lock number {n}" for n in range(1700)]
    lines = [f"g {name}" for name in names]
    assert sum(len(line) + 1 for line in lines) > 30_000
    alice.says(*lines)
    for name in names:
        alice.hears(f"1 Lock Get Success: {name}")
    daemon.counts(command_g=len(names), locks=len(names))
    alice.hangs_up()
    daemon.counts(orphans=len(names), locks=0)
