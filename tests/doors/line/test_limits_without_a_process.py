"""Limits and counts that a daemon's process shows only at a glance, on bare conversations."""

from __future__ import annotations

from dataclasses import replace

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


def test_who_speaks_another_protocol_is_told_once_and_counted() -> None:
    daemon, alice, bob = with_limits()
    alice.sends(b"\x16\x03\x01\x02\x00")
    assert alice.buffer == b"0 No TLS Here\n"
    assert not alice.is_open
    bob.sends(b"POST / HTTP/1.1\r\nHost: x\r\n\r\ng job\r\n")
    assert bob.buffer == b""
    assert not bob.is_open
    assert daemon.policy.refused == {"tls": 1, "http": 1}
    daemon.counts(connections=0, locks=0)
