"""Lines on TCP and Unix sockets: how bytes become commands, and how a connection ends."""

from __future__ import annotations

import pytest

from tests.support.clients import StreamClient
from tests.support.daemons import ProcessDaemon

pytestmark = pytest.mark.transports("tcp", "unix")

LIMIT = 4096  # bytes after which a line is cut


# How bytes become lines


def test_a_line_may_come_byte_by_byte(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    for byte in b"g job\r\nsg job\n\ni job\n":
        alice.sends(bytes([byte]))
    alice.hears_bytes("1 Lock Get Success: job\r\n")
    alice.hears_bytes("1 Shared Lock Get Success: job\r\n")
    alice.hears_bytes("1 Lock Is Locked: job\n")
    daemon.counts(command_g=1, command_sg=1, command_i=1, invalid_commands=1)


def test_nothing_happens_before_the_line_feed(daemon: ProcessDaemon) -> None:
    alice, bob = daemon.stream(), daemon.stream()
    alice.sends("g jo")
    bob.says("g jo").hears("1 Lock Get Success: jo")
    alice.sends("b\ni jo\n")
    alice.hears_bytes("1 Lock Get Success: job\r\n")
    alice.hears_bytes("1 Lock Is Locked: jo\r\n")


def test_a_packet_may_end_within_a_line(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.sends("g a\ng b\ng ")
    alice.hears_bytes("1 Lock Get Success: a\r\n1 Lock Get Success: b\r\n")
    alice.sends("c\ng d\n")
    alice.hears_bytes("1 Lock Get Success: c\r\n1 Lock Get Success: d\r\n")


def test_lines_of_a_telnet_or_a_windows_client(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.sends("g job\r\ni job\r\r\n")
    alice.hears_bytes("1 Lock Get Success: job\r\n1 Lock Is Locked: job\n")


def test_blank_lines_are_invalid_commands(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.sends("\n\r\n \t \n\n").says("g job").hears("1 Lock Get Success: job")
    daemon.counts(invalid_commands=4)


def test_terminators_of_c_strings_are_skipped(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.sends(b"g a\n\0g b\n\0\0\0g c\n\0")
    alice.hears_bytes("1 Lock Get Success: a\r\n1 Lock Get Success: b\r\n1 Lock Get Success: c\r\n")
    alice.sends(b"i a\n\0").hears_bytes("1 Lock Is Locked: a\n")
    daemon.counts(command_g=3, command_i=1, invalid_commands=0)


def test_a_packet_that_begins_with_a_nul_is_an_invalid_command(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.sends(b"g a\n").hears_bytes("1 Lock Get Success: a\r\n")
    alice.sends(b"\0g b\n").sends(b"g c\n").hears_bytes("1 Lock Get Success: c\r\n")
    daemon.counts(command_g=2, invalid_commands=1)


# The limit of a line


def test_the_longest_line(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    name = "n" * (LIMIT - 1 - len("g "))
    alice.sends(f"g {name}\n").hears_bytes(f"1 Lock Get Success: {name}\r\n")
    alice.says("i n").hears("0 Lock Not Locked: n")
    daemon.counts(command_g=1, command_i=1, invalid_commands=0)


def test_a_full_line_is_carried_out_before_its_end(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    name = "n" * (LIMIT - len("g "))
    alice.sends(f"g {name}").hears_bytes(f"1 Lock Get Success: {name}\r\n")
    alice.sends("\n").says("i n").hears("0 Lock Not Locked: n")
    daemon.counts(command_g=1, command_i=1, invalid_commands=1)  # the line feed is a blank line


def test_a_full_line_with_its_end_is_followed_by_a_blank_one(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    name = "n" * (LIMIT - len("g "))
    alice.sends(f"g {name}\ng a\n").hears_bytes(f"1 Lock Get Success: {name}\r\n1 Lock Get Success: a\r\n")
    daemon.counts(command_g=2, invalid_commands=1)


@pytest.mark.parametrize("first_packet", [1, 3, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 6, 3 * LIMIT])
def test_the_tail_of_a_cut_line_is_a_line(daemon: ProcessDaemon, first_packet: int) -> None:
    alice = daemon.stream()
    name = "n" * (LIMIT - len("g "))
    data = f"g {name}g tail\ni tail\n".encode()
    alice.sends(data[:first_packet])
    if first_packet >= LIMIT:
        alice.hears_bytes(f"1 Lock Get Success: {name}\r\n")
        alice.sends(data[first_packet:])
    else:
        alice.sends(data[first_packet:])
        alice.hears_bytes(f"1 Lock Get Success: {name}\r\n")
    alice.hears_bytes("1 Lock Get Success: tail\r\n1 Lock Is Locked: tail\n")
    daemon.counts(command_g=2, command_i=1, invalid_commands=0)


def test_a_very_long_line_is_cut_again_and_again(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.sends(b"x" * (LIMIT * 25 + 7) + b"\n")
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.counts(invalid_commands=26)


def test_the_cut_does_not_depend_on_lines_before(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    name = "n" * (LIMIT - len("g "))
    alice.sends(f"g a\ng {name}g b\n")
    alice.hears_bytes("1 Lock Get Success: a\r\n")
    alice.hears_bytes(f"1 Lock Get Success: {name}\r\n1 Lock Get Success: b\r\n")


# Long replies, behind which other clients have their turn before the next line is carried out


def holds_much(daemon: ProcessDaemon) -> StreamClient:
    """A client that holds so much that a listing of it is a long reply."""
    alice = daemon.stream()
    for letter in "ab":
        alice.says(f"g {letter * 4000}").hears(f"1 Lock Get Success: {letter * 4000}")
    return alice


def listing(client: StreamClient) -> str:
    return "".join(f"{letter * 4000}: {client.address}\n" for letter in "ab")


def test_a_line_behind_a_long_reply_is_cut_as_ever(daemon: ProcessDaemon) -> None:
    alice = holds_much(daemon)
    alice.sends("d\n" + "x" * (LIMIT + 2) + "\n" + "y" * LIMIT + "\n").hears_bytes(listing(alice))
    alice.says("i x").hears("0 Lock Not Locked: x")
    daemon.counts(command_d=1, invalid_commands=4)  # x…, xx, y…, a blank one


def test_terminators_of_c_strings_are_skipped_behind_a_long_reply(daemon: ProcessDaemon) -> None:
    alice = holds_much(daemon)
    alice.sends(b"d\n\0i x\n\0i y\n").hears_bytes(listing(alice))
    alice.hears_bytes("0 Lock Not Locked: x\r\n0 Lock Not Locked: y\r\n")
    daemon.counts(command_d=1, command_i=2, invalid_commands=0)


# The end of input


def test_the_daemon_hangs_up_once_the_last_reply_is_out(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.says("g job").finishes().hears("1 Lock Get Success: job").is_hung_up_on()
    daemon.counts(connections=0, orphans=1, locks=0)


def test_an_unfinished_last_line_is_carried_out(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.sends("g a\ng b").finishes()
    alice.hears_bytes("1 Lock Get Success: a\r\n1 Lock Get Success: b\r\n").is_hung_up_on()
    daemon.counts(command_g=2, orphans=2, connections=0)


@pytest.mark.parametrize("rest", [" ", "\r", "\t \r", "nonsense"])
def test_an_unfinished_last_line_can_be_invalid(daemon: ProcessDaemon, rest: str) -> None:
    alice = daemon.stream()
    alice.sends(rest).finishes().is_hung_up_on()
    daemon.counts(invalid_commands=1, connections=0)


def test_a_client_that_says_nothing_is_no_invalid_command(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.finishes().is_hung_up_on()
    daemon.counts(invalid_commands=0, connections=0)


def test_all_that_was_asked_is_answered_after_the_end_of_input(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    names = [f"n{number}" for number in range(5000)]
    alice.sends("".join(f"g {name}\n" for name in names)).finishes()
    alice.hears_bytes("".join(f"1 Lock Get Success: {name}\r\n" for name in names)).is_hung_up_on()
    daemon.counts(command_g=len(names), orphans=len(names), locks=0, connections=0)


def test_a_client_that_is_gone_before_it_is_answered(daemon: ProcessDaemon) -> None:
    alice = daemon.stream()
    alice.sends("g a\n" * 1000 + "g last")
    alice.sock.close()
    daemon.counts(command_g=1001, orphans=2, connections=0)


# Addresses


def test_unix_connections_are_numbered(daemon: ProcessDaemon) -> None:
    first, second = daemon.stream("unix"), daemon.stream("unix")
    assert int(second.address.removeprefix("unix:")) == int(first.address.removeprefix("unix:")) + 1
    first.says("me").hears(f"1 {first.address} {first.address}")
    first.hangs_up()
    second.says("me").hears(f"1 {second.address} {second.address}")
    third = daemon.stream("unix")
    third.says("me").hears(f"1 unix:{daemon.process.unix_count} {third.address}")


def test_an_ipv6_address_stands_in_brackets(daemon: ProcessDaemon, has_ipv6: bool) -> None:
    if not has_ipv6:
        pytest.skip("no IPv6 on the loopback interface")
    alice = daemon.stream("tcp6")
    assert alice.address.startswith("[::1]:")
    alice.says("me").hears(f"1 {alice.address} {alice.address}")


def test_transports_share_locks_names_and_counters(daemon: ProcessDaemon) -> None:
    alice, bob, carol = (daemon.client(transport) for transport in ("tcp", "unix", "websocket"))
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("g job").hears("0 Lock Get Failure: job")
    carol.says("g job").hears("0 Lock Get Failure: job")
    carol.says("iam Carol").hears("1 ok")
    for count, client in enumerate((alice, bob, carol), 1):
        client.says("sg pool").hears(f"{count} Shared Lock Get Success: pool")
    bob.says("dump shared").hears(f"map[pool:[{alice.address} {bob.address} {carol.address}]]")
    bob.says("who").hears(f"{carol.address}: Carol")
    alice.hangs_up()
    daemon.counts(connections=2, orphans=1, shared_orphans=1)
    carol.says("g job").hears("1 Lock Get Success: job")
