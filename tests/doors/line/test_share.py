"""Shared locks that only so many may hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from tests.support.daemons import Daemon
from tests.support.locks import explained, line_is, waits
from tests.support.plays import Play, Step, plays


def test_no_more_than_limit_hold_it(daemon: Daemon) -> None:
    clients = [daemon.client() for _ in range(4)]
    for count, client in enumerate(clients[:3], 1):
        client.says("share 0 3 pool").hears(f"{count} Shared Lock Get Success: pool")
    late = clients[3]
    late.says("share 0 3 pool").hears("0 Shared Lock Get Failure: pool")
    waits(clients[0], late, "share inf 3 pool")
    clients[1].says("sr pool").hears_bytes("1 Shared Lock Release Success: pool\r\n")
    late.hears("3 Shared Lock Get Success: pool")
    late.says("si pool").hears("3 Shared Lock Is Locked: pool")
    daemon.counts(locks=0, shared_locks=1)


def test_each_asks_with_a_limit_of_its_own(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("share 0 5 pool").hears("1 Shared Lock Get Success: pool")
    bob.says("share 0 1 pool").hears("0 Shared Lock Get Failure: pool")
    bob.says("share 0 2 pool").hears("2 Shared Lock Get Success: pool")
    carol.says("share 0 2 pool").hears("0 Shared Lock Get Failure: pool")
    carol.says("share 0 3 pool").hears("3 Shared Lock Get Success: pool")


def test_a_holder_is_told_the_count_whatever_its_limit(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("sg pool").hears("1 Shared Lock Get Success: pool")
    bob.says("share 0 2 pool").hears("2 Shared Lock Get Success: pool")
    alice.says("share 0 1 pool").hears("2 Shared Lock Get Success: pool")
    alice.says("share inf 1 pool").hears("2 Shared Lock Get Success: pool")
    alice.says("sr pool", "sr pool")
    alice.hears("1 Shared Lock Release Success: pool").hears("0 Shared Lock Release Failure: pool")
    bob.says("si pool").hears("1 Shared Lock Is Locked: pool")


def test_share_is_first_come_first_served(daemon: Daemon) -> None:
    alice, bob, carol, dave = (daemon.client() for _ in range(4))
    alice.says("share 0 1 pool").hears("1 Shared Lock Get Success: pool")
    waits(alice, bob, "share inf 1 pool")
    # There would be room for her, but he came first.
    carol.says("share 0 9 pool").hears("0 Shared Lock Get Failure: pool")
    waits(alice, carol, "share inf 9 pool")
    waits(alice, dave, "share inf 2 pool")
    alice.says("sr pool").hears("1 Shared Lock Release Success: pool")
    bob.hears("1 Shared Lock Get Success: pool")
    carol.hears("2 Shared Lock Get Success: pool")
    line_is(alice, "pool", dave)
    bob.vanishes()
    dave.hears("2 Shared Lock Get Success: pool")


def test_a_wider_limit_behind_goes_on_when_the_first_leaves(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("share 0 1 pool").hears("1 Shared Lock Get Success: pool")
    waits(alice, bob, "share inf 1 pool")
    waits(alice, carol, "share inf 2 pool")
    bob.says("cancel").hears("0 Shared Lock Get Failure: pool").hears("1 Cancelled")
    carol.hears("2 Shared Lock Get Success: pool")


def test_plain_sg_never_waits_and_never_fails(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    alice.says("share 0 1 pool").hears("1 Shared Lock Get Success: pool")
    waits(alice, bob, "share inf 1 pool")
    carol.says("sg pool").hears_bytes("2 Shared Lock Get Success: pool\r\n")
    alice.says("sr pool").hears("1 Shared Lock Release Success: pool")
    line_is(alice, "pool", bob)
    carol.says("sr pool").hears("1 Shared Lock Release Success: pool")
    bob.hears("1 Shared Lock Get Success: pool")


def test_a_wait_in_vain_says_which_namespace_it_was(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("share 0 1 pool").hears("1 Shared Lock Get Success: pool")
    bob.says("share 0.01 1 pool")
    if daemon.transport == "conversation":
        daemon.passes(0.02)  # type: ignore[attr-defined]
    bob.hears("0 Shared Lock Get Failure: pool")
    bob.says("ping").hears("1 pong")


@pytest.mark.parametrize("limit", [1, 999999999999999999])
def test_any_limit_is_understood(daemon: Daemon, limit: int) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says(f"share 0 {limit} a b").hears("1 Shared Lock Get Success: a b")
    bob.says(f"share 0 {limit} a b")
    bob.hears("0 Shared Lock Get Failure: a b" if limit == 1 else "2 Shared Lock Get Success: a b")
    shared: dict[str, Any] = explained(alice, "a b")["shared"]
    assert [holder["mode"] for holder in shared["holders"]] == ["shared"] * (1 if limit == 1 else 2)


# Any interleaving

LINES = (
    *(f"share {patience} {limit} pool" for patience in ("0", "inf") for limit in (1, 2, 3)),
    *("sg pool", "sr pool", "sr pool", "sr pool", "cancel", "dies"),
)


@given(plays(LINES, "abcdef", most=60))
@settings(max_examples=300)
def test_limits_are_respected_under_any_interleaving(steps: list[Step]) -> None:
    Play().run(steps)


@given(plays(("share inf 2 pool", "share 0 2 pool", "sr pool", "cancel", "dies"), "abcdef", most=60))
@settings(max_examples=100)
def test_with_one_limit_for_all_no_more_than_that_ever_hold_it(steps: list[Step]) -> None:
    play = Play()
    observer = play.daemon.client()
    for who, line in steps:
        play.step(who, line)
        assert len(explained(observer, "pool")["shared"]["holders"]) <= 2
