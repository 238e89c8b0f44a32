"""Limits and counts that a daemon's process shows only at a glance, on bare conversations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.conversations import ConversationClient, ConversationDaemon


def with_limits(**limits: int) -> tuple[ConversationDaemon, ConversationClient, ConversationClient]:
    daemon = ConversationDaemon()
    daemon.policy.obey(replace(daemon.policy.config, **limits), ())  # type: ignore[arg-type]
    return daemon, daemon.client(), daemon.client()


def test_a_name_of_the_longest_length_is_not_too_long() -> None:
    daemon, alice, _ = with_limits(max_name=5)
    for verb in ("g", "wait 1", "read 1"):
        alice.says(f"{verb} 12345").hears("1 Lock Get Success: 12345")
        alice.says("r 12345").hears("1 Lock Release Success: 12345")
        assert alice.says(f"{verb} 123456").hears_a_line() == b"0 Name Too Long: 12345\n"
    assert daemon.policy.refused == {"names": 3}


def test_neither_a_pool_nor_an_item_is_put_with_a_name_too_long() -> None:
    daemon, alice, _ = with_limits(max_name=5)
    alice.says("put 12345 12345").hears("1 Item Put Success: 12345")
    assert alice.says("put 123456 1").hears_a_line() == b"0 Name Too Long: 12345\n"
    assert alice.says("put 1 123456").hears_a_line() == b"0 Name Too Long: 12345\n"
    assert daemon.policy.refused == {"names": 2}
    assert len(daemon.state.items) == 1


def test_every_hold_counts_against_the_limit_of_all() -> None:
    daemon, alice, bob = with_limits(max_locks=4)
    for client in (alice, bob):
        client.says("sg job").hears_a_line()
        client.says("read 0 job").hears_a_line()
    assert daemon.state.exclusive.held == daemon.state.shared.held == 2
    assert alice.says("g more").hears_a_line() == b"0 Too Many Locks: more\n"
    bob.says("sr job").hears("1 Shared Lock Release Success: job")
    alice.says("g more").hears("1 Lock Get Success: more")
    assert daemon.policy.refused == {"locks": 1}
    alice.vanishes()
    bob.vanishes()
    assert daemon.state.exclusive.held == daemon.state.shared.held == 0


def test_one_waiter_too_many_is_refused_and_counted() -> None:
    daemon, alice, bob = with_limits(max_lock_waiters=1)
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("wait 9 job")
    assert daemon.client().says("wait 9 job").hears_a_line() == b"0 Too Many Waiters: job\n"
    assert daemon.policy.refused == {"waiters": 1}


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONG = b"/" + b"x" * 5000
FOREIGN = [
    (b"\x16\x03\x01\x02\x00", "tls", b"0 No TLS Here\n"),
    *(
        (begin + b"\r\nHost: x\r\n\r\ng job\r\n", "http", b"0 No HTTP Here: see http://localhost:9998/\n")
        for begin in (
            *(b"%s / HTTP/1.1" % method for method in (b"GET", b"HEAD", b"POST", b"OPTIONS", b"BREW")),
            b"GET http://x/ HTTP/1.0",
            b"CONNECT x:9999 HTTP/1.1",
            b"PRI * HTTP/2.0",
            # Cut in the middle, as any long line.
            b"POST " + LONG + b" HTTP/1.1",
        )
    ),
    (b"PROXY TCP4 203.0.113.9 10.0.0.1 5555 9999\r\ng job\n", "proxy", b"0 No PROXY Protocol Here\n"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 5555 9999\r\ng job\n", "proxy", b"0 No PROXY Protocol Here\n"),
    (b"PROXY UNKNOWN\r\ng job\n", "proxy", b"0 No PROXY Protocol Here\n"),
    (SIGNATURE + b"\x21\x11\0\x0c" + bytes(12) + b"g job\n", "proxy", b"0 No PROXY Protocol Here\n"),
]


@pytest.mark.parametrize(
    ("said", "reason", "answer"), FOREIGN, ids=[str(said[:24]) for said, _, _ in FOREIGN]
)
def test_who_speaks_another_protocol_is_told_once_and_counted(
    said: bytes, reason: str, answer: bytes
) -> None:
    daemon, alice, bob = with_limits()
    daemon.policy.pages = "http://localhost:9998/"
    alice.sends(said)
    assert alice.buffer == answer
    assert not alice.is_open
    assert daemon.policy.refused == {reason: 1}
    daemon.counts(connections=1, locks=0)
    bob.says("i job").hears("0 Lock Not Locked: job")


def test_where_http_is_nowhere_nothing_is_said_of_it() -> None:
    _, alice, _ = with_limits()
    alice.sends(b"GET / HTTP/1.1\r\n")
    assert alice.buffer == b"0 No HTTP Here\n"


@pytest.mark.parametrize(
    "line",
    [
        b"GET",
        b"POST x",
        b"PROXY",
        b"PROXY me",
        b"G " + b"n" * 5000,
        b"QUIT",
        b"g / HTTP/1.1",
        b"GET / HTTP/1.1 x",
    ],
)
def test_what_only_resembles_another_protocol_is_no_reason_to_leave(line: bytes) -> None:
    _, alice, _ = with_limits()
    alice.sends(line + b"\n")
    assert alice.is_open
