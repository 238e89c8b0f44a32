"""Losing a lock without one's own doing, and being told; ending sessions as an operator."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.clients import Client, StreamClient, WebSocketClient, wait_until
from tests.support.daemons import Daemon, ProcessDaemon
from tests.support.locks import holders, in_line, is_cut_off, line_is, time_passes, waits
from tests.support.process import Glockd, Spawner

SERVERS = pytest.mark.transports("tcp", "unix", "websocket")
ADMIN = pytest.mark.flags("-admin", "-history=500")


def hears_losses(client: Client, *lines: str) -> None:
    """Just these pushed lines come next, in any order."""
    heard = sorted(client.hears_a_line().decode() for _ in lines)
    assert heard == sorted(f"! lost {line}\n" for line in lines)


# notify


def test_who_wants_to_know_is_told_of_an_expired_lease(daemon: Daemon) -> None:
    alice = daemon.client()
    alice.says("notify on", "g night job").hears("1 ok").hears("1 Lock Get Success: night job")
    alice.says("lease 0.02 night job").hears("1 Lock Lease Success: night job")
    time_passes(daemon, 1)
    alice.hears_bytes("! lost night job expired\n")
    alice.says("ping").hears("1 pong")


def test_who_does_not_want_to_know_is_not_told(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    bob.says("notify on", "notify off").hears("1 ok").hears("1 ok")
    for client, name in ((alice, "a"), (bob, "b")):
        client.says(f"g {name}", f"lease 0.02 {name}")
        client.hears(f"1 Lock Get Success: {name}").hears(f"1 Lock Lease Success: {name}")
    time_passes(daemon, 1)
    wait_until(lambda: holders(carol, "a") + holders(carol, "b") == [])
    for client in (alice, bob):
        client.says("ping").hears("1 pong")


def test_ones_own_releases_are_no_news(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("notify on", "g a", "sg b", "read 0 c", "lease 0.05 a", "lease 100 c")
    alice.hears("1 ok").hears("1 Lock Get Success: a").hears("1 Shared Lock Get Success: b")
    alice.hears("1 Lock Get Success: c").hears("1 Lock Lease Success: a").hears("1 Lock Lease Success: c")
    alice.says("r a", "sr b", "r c", "r a")
    alice.hears("1 Lock Release Success: a").hears("1 Shared Lock Release Success: b")
    alice.hears("1 Lock Release Success: c").hears("0 Lock Release Failure: a")
    bob.says("g a", "wait 0.1 a").hears("1 Lock Get Success: a").hears("1 Lock Get Success: a")
    time_passes(daemon, 1)
    # Longer than her lease was.
    alice.says("wait 0.1 a")
    time_passes(daemon, 1)
    alice.hears("0 Lock Get Failure: a")
    alice.says("ping").hears("1 pong")


def test_what_others_lose_is_no_news(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("notify on").hears("1 ok")
    bob.says("g job", "lease 0 job").hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 0)
    alice.says("wait 20 job").hears("1 Lock Get Success: job")
    alice.says("ping").hears("1 pong")


def test_a_loss_is_told_once_and_while_waiting_too(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    bob.says("g other").hears("1 Lock Get Success: other")
    alice.says("notify on", "read 0 job", "g more", "lease 0.1 job", "lease 0.1 more")
    alice.hears("1 ok").hears("1 Lock Get Success: job").hears("1 Lock Get Success: more")
    alice.hears("1 Lock Lease Success: job").hears("1 Lock Lease Success: more")
    waits(bob, alice, "wait inf other")
    time_passes(daemon, 1)
    alice.asked.clear()
    hears_losses(alice, "job expired", "more expired")
    bob.says("r other").hears("1 Lock Release Success: other")
    alice.hears("1 Lock Get Success: other")
    alice.says("ping").hears("1 pong")


def test_notify_can_be_switched(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    for number, word in enumerate(("on", "off", "on")):
        alice.says(f"notify {word}", f"g {number}", f"lease 0.01 {number}")
        alice.hears("1 ok").hears(f"1 Lock Get Success: {number}").hears(f"1 Lock Lease Success: {number}")
        time_passes(daemon, 1)
        wait_until(lambda n=number: holders(bob, str(n)) == [])
        if word == "on":
            alice.hears_bytes(f"! lost {number} expired\n")
    alice.says("ping").hears("1 pong")


@pytest.mark.parametrize("argument", ["", "maybe", "ON", "on off", "1"])
def test_notify_knows_only_on_and_off(daemon: Daemon, argument: str) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("notify on", f"notify {argument}").hears("1 ok").hears("0 Bad Argument: on or off")
    alice.says("g job", "lease 0 job").hears("1 Lock Get Success: job").hears("1 Lock Lease Success: job")
    time_passes(daemon, 0)
    alice.hears_bytes("! lost job expired\n")
    bob.says("notify off").hears("1 ok")


@SERVERS
def test_the_end_of_the_daemon_is_told_for_each_hold(glockd: Spawner, transport: str) -> None:
    daemon = glockd()
    alice, bob, carol = (daemon.client(transport) for _ in range(3))
    alice.says("notify on", "g a", "read 0 b", "sg c", "g given")
    for _ in range(5):
        alice.hears_a_line()
    alice.says("r given").hears("1 Lock Release Success: given")
    bob.says("g own").hears("1 Lock Get Success: own")
    carol.says("notify on").hears("1 ok")
    daemon.gets(signal.SIGTERM)
    hears_losses(alice, "a shutdown", "b shutdown", "c shutdown")
    for client in (alice, bob, carol):
        if isinstance(client, WebSocketClient):
            client.hears_close(1001)
        else:
            client.is_hung_up_on()
    assert daemon.ends() == 0


# kick


@ADMIN
def test_a_session_is_kicked_by_its_address(daemon: Daemon) -> None:
    alice, bob, operator = daemon.client(), daemon.client(), daemon.client("unix")
    alice.says("notify on", "g a", "sg b", "read 0 c").hears("1 ok")
    for _ in range(3):
        alice.hears_a_line()
    waits(operator, bob, "wait inf a")
    operator.says(f"kick {alice.address}").hears(f"1 Kicked: {alice.address}")
    bob.hears("1 Lock Get Success: a")
    hears_losses(alice, "a kicked", "b kicked", "c kicked")
    is_cut_off(alice)
    daemon.counts(connections=2, orphans=2, shared_orphans=1, locks=1, shared_locks=0)
    events = json.loads(operator.says("history a").hears_a_line().partition(b" ")[2])
    assert [(entry["event"], entry["address"]) for entry in events][-2:] == [
        ("kicked", alice.address),
        ("granted", bob.address),
    ]


@ADMIN
def test_every_session_of_a_name_is_kicked(daemon: Daemon) -> None:
    alice, bob, carol, dave, operator = (*(daemon.client() for _ in range(4)), daemon.client("unix"))
    for client, name in ((alice, "Night Worker"), (bob, "Night Worker"), (carol, "Night")):
        client.says(f"iam {name}").hears("1 ok")
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(operator, bob, "wait inf job")
    waits(operator, dave, "wait inf job")
    operator.says("kick  Night   Worker").hears("2 Kicked: Night Worker")
    dave.hears("1 Lock Get Success: job")
    is_cut_off(alice)
    bob.hears("1 Lock Get Success: job")  # before his turn to go
    is_cut_off(bob)
    daemon.counts(connections=3, locks=1)
    carol.says("ping").hears("1 pong")
    operator.says("kick Night Worker").hears("0 Kicked: Night Worker")


@ADMIN
def test_who_waits_and_is_kicked_leaves_the_line(daemon: Daemon) -> None:
    alice, bob, carol, operator = (*(daemon.client() for _ in range(3)), daemon.client("unix"))
    alice.says("g job").hears("1 Lock Get Success: job")
    waits(operator, bob, "wait inf job", "g other")
    waits(operator, carol, "wait inf job")
    operator.says(f"kick {bob.address}").hears(f"1 Kicked: {bob.address}")
    bob.asked.clear()
    is_cut_off(bob)
    line_is(operator, "job", carol)
    assert holders(operator, "other") == []
    alice.says("r job").hears("1 Lock Release Success: job")
    carol.hears("1 Lock Get Success: job")
    daemon.counts(orphans=0, connections=3)


@ADMIN
def test_who_is_kicked_and_granted_a_lock_at_once_is_gone(daemon: Daemon) -> None:
    """Both are lines of one packet: the lock is his for a moment, and then the next one's."""
    bob, carol, operator = daemon.client(), daemon.client(), daemon.client("unix")
    operator.says("g job").hears("1 Lock Get Success: job")
    waits(operator, bob, "wait inf job")
    waits(operator, carol, "wait inf job")
    operator.says(f"kick {bob.address}", "r job", "ping")
    operator.hears(f"1 Kicked: {bob.address}").hears("1 Lock Release Success: job").hears("1 pong")
    carol.hears("1 Lock Get Success: job")
    bob.hears("1 Lock Get Success: job")
    is_cut_off(bob)
    daemon.counts(connections=2, locks=1, orphans=1)


@ADMIN
def test_an_address_goes_before_a_name(daemon: Daemon) -> None:
    alice, bob, operator = daemon.client(), daemon.client(), daemon.client("unix")
    bob.says(f"iam {alice.address}").hears("1 ok")
    operator.says(f"kick {alice.address}").hears(f"1 Kicked: {alice.address}")
    is_cut_off(alice)
    bob.says("ping").hears("1 pong")
    operator.says(f"kick {alice.address}").hears(f"1 Kicked: {alice.address}")  # now it is only his name
    is_cut_off(bob)


@ADMIN
def test_nobody_is_kicked_if_nobody_is_meant(daemon: Daemon) -> None:
    alice, operator = daemon.client(), daemon.client("unix")
    operator.says("kick nobody").hears("0 Kicked: nobody")
    operator.says("kick").hears("0 Bad Argument: SESSION")
    operator.says("kick ").hears("0 Bad Argument: SESSION")
    alice.says("ping").hears("1 pong")
    daemon.counts(connections=2, command_kick=3)


@ADMIN
def test_an_operator_may_kick_himself(daemon: Daemon) -> None:
    operator = daemon.client("unix")
    operator.says("g job").hears("1 Lock Get Success: job")
    operator.says(f"kick {operator.address}").hears(f"1 Kicked: {operator.address}")
    is_cut_off(operator)
    daemon.counts(connections=0, orphans=1)


@ADMIN
@pytest.mark.transports("tcp", "websocket", "conversation")
def test_without_secrets_only_the_unix_socket_may_kick(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    for line in (f"kick {alice.address}", "kick", "kick nobody"):
        bob.says(line).hears("0 disabled")
    alice.says("ping").hears("1 pong")
    daemon.counts(connections=2)


# kick by who knows a secret

FOREIGN = "https://admin.example.org"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A file of secrets, each of which may be taken out."""
    path = tmp_path / "secrets"
    path.write_text("open sesame\nanother one\n")
    return path


def guarded(glockd: Spawner, secrets: Path, *flags: str) -> Glockd:
    return glockd("-auth-file", str(secrets), "-ws-origin", f"{FOREIGN},null", *flags)


def websocket(daemon: Glockd, **headers: str | None) -> WebSocketClient:
    """One that has proved to know a secret."""
    client = daemon.web().opens(headers=headers)
    client.says("auth open sesame").hears("1 ok")
    return client


def may_kick(client: Client, victim: StreamClient) -> bool:
    """Whether `help` and `kick` say so, both alike; whoever is meant is there until then."""
    listed = b" kick " in client.says("help").hears_a_line()
    client.says(f"kick {victim.address}")
    if listed:
        client.hears(f"1 Kicked: {victim.address}")
        victim.is_hung_up_on()
    else:
        client.hears("0 disabled")
        victim.says("ping").hears("1 pong")
    return listed


def test_a_websocket_that_knows_a_secret_may_kick(glockd: Spawner, secrets: Path) -> None:
    daemon = guarded(glockd, secrets, "-admin")
    host = f"127.0.0.1:{daemon.ws[1]}"
    for headers in (
        {},
        {"Origin": f"http://{host}", "Host": host},
        {"Origin": f"HTTPS://{host}", "Host": host},
    ):
        alice = daemon.stream()
        alice.says("auth another one").hears("1 ok")
        operator = websocket(daemon, **headers)
        assert may_kick(operator, alice)
        daemon.logs("kicked", f"session={alice.address}", f"by={operator.address}", "transport=websocket")


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://localhost:8000", "http://127.0.0.1"])
def test_no_page_of_another_site_may_kick_whatever_it_knows(
    glockd: Spawner, secrets: Path, origin: str
) -> None:
    daemon = guarded(glockd, secrets, "-admin")
    alice = daemon.stream()
    alice.says("auth another one").hears("1 ok")
    mallory = websocket(daemon, Origin=origin, Host=f"127.0.0.1:{daemon.ws[1]}")
    assert not may_kick(mallory, alice)


@pytest.mark.transports("tcp", "websocket")
def test_who_knows_a_secret_needs_admin_and_a_websocket(
    glockd: Spawner, secrets: Path, transport: str
) -> None:
    daemon = guarded(glockd, secrets, *(["-admin"] if transport == "tcp" else []))
    alice, bob = daemon.stream(), daemon.client(transport)
    for client in (alice, bob):
        client.says("auth open sesame").hears("1 ok")
    assert not may_kick(bob, alice)


def test_a_secret_that_is_not_in_force_is_no_proof(glockd: Spawner, secrets: Path) -> None:
    daemon = guarded(glockd, secrets, "-admin")
    alice, operator = daemon.stream(), websocket(daemon)
    alice.says("auth another one").hears("1 ok")
    secrets.write_text("another one\n")
    daemon.gets(signal.SIGHUP).logs("reloaded")
    assert not may_kick(operator, alice)
    operator.says("auth another one").hears("1 ok")
    assert may_kick(operator, alice)


def test_who_came_before_there_were_secrets_has_proved_nothing(glockd: Spawner, tmp_path: Path) -> None:
    config = tmp_path / "glockd.toml"
    config.write_text("admin = true\n")
    daemon = glockd("-config", str(config))
    alice, operator = daemon.stream(), daemon.web().opens()
    operator.says("auth anything at all").hears("1 ok")
    (tmp_path / "secrets").write_text("anything at all\n")
    config.write_text(f'admin = true\nauth_file = "{tmp_path}/secrets"\n')
    daemon.gets(signal.SIGHUP).logs("reloaded")
    assert not may_kick(operator, alice)
    operator.says("auth anything at all").hears("1 ok")
    assert may_kick(operator, alice)


def test_without_admin_nobody_may_kick(daemon: Daemon) -> None:
    alice, operator = daemon.client(), daemon.client("unix")
    operator.says(f"kick {alice.address}").hears("0 disabled")
    alice.says("ping").hears("1 pong")
    daemon.counts(connections=2)


@ADMIN
@pytest.mark.transports("websocket")
def test_a_kicked_websocket_is_told_by_a_close_code(daemon: ProcessDaemon) -> None:
    alice, operator = daemon.websocket(), daemon.client("unix")
    operator.says(f"kick {alice.address}").hears(f"1 Kicked: {alice.address}")
    alice.hears_close(1008)


@ADMIN
def test_a_kicked_session_that_holds_very_much_is_gone_as_well(daemon: Daemon) -> None:
    alice, bob, operator = daemon.client(), daemon.client(), daemon.client("unix")
    names = [str(number) for number in range(2500)]
    alice.says(*(f"g {name}" for name in names))
    for name in names:
        alice.hears(f"1 Lock Get Success: {name}")
    waits(operator, bob, "wait inf 2499")
    operator.says(f"kick {alice.address}").hears(f"1 Kicked: {alice.address}")
    bob.hears("1 Lock Get Success: 2499")
    is_cut_off(alice)
    daemon.counts(orphans=2500, locks=1, connections=2)
    assert in_line(operator, "2499") == []
