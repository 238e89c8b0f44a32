"""LDLM's door as a part of the daemon: how it is switched on, what it shows, what outlives what."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.doors.contract import Observer
from tests.doors.ldlm.adapters import ADAPTERS, GrpcParty, RestParty
from tests.support.clients import wait_until
from tests.support.daemons import Pool
from tests.support.process import Glockd, Spawner, environment, one_clear_line, run_glockd

FLAGS = ADAPTERS[0].flags


@pytest.fixture
def daemon(pool: Pool) -> Glockd:
    return pool.get("-admin", "-history=100", *FLAGS)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Switched on, and not


def test_nothing_of_it_is_there_unless_it_is_wanted() -> None:
    ran = python(
        "import asyncio, sys\n"
        "from glockd.config import Config\n"
        "from glockd.daemon import Daemon\n"
        "Daemon(Config(), asyncio.new_event_loop(), Config)\n"
        "print([name for name in sys.modules if 'ldlm' in name or name in ('hpack', 'sqlite3')])"
    )
    assert ran.stdout == "[]\n", ran.stderr


def test_what_it_needs_is_told_in_one_line() -> None:
    ran = python(
        "import sys\nsys.modules['hpack'] = None\nsys.argv = ['glockd', '-ldlm=127.0.0.1:0', '-port=0', '-ws=0']\n"
        "from glockd.cli import main\nmain()"
    )
    assert ran.returncode == 1
    assert "glockd[ldlm]" in one_clear_line(ran.stderr)


@pytest.mark.parametrize("flag", ["-ldlm=0.0.0.0:0", "-ldlm-rest=0.0.0.0:0"])
def test_it_is_no_back_door(flag: str, tmp_path: Path, glockd: Spawner) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("secret\n", "utf-8")
    refused = run_glockd("-port=0", "-ws=0", flag, f"-auth-file={secrets}", cwd=tmp_path)
    assert refused.returncode == 1
    assert "-ldlm-password-file" in one_clear_line(refused.stderr)
    glockd(flag).logs("lets in everybody")
    guarded = glockd(flag, f"-auth-file={secrets}", f"-ldlm-password-file={secrets}")
    guarded.logs("ready")
    assert "lets in everybody" not in guarded.stderr


def test_a_reload_opens_no_back_door(tmp_path: Path, glockd: Spawner) -> None:
    (tmp_path / "secrets").write_text("secret\n", "utf-8")
    config = tmp_path / "glockd.toml"
    guarded = f'auth-file = "{tmp_path}/secrets"\nldlm-password-file = "{tmp_path}/secrets"\n'
    config.write_text(guarded, "utf-8")
    daemon = glockd("-ldlm=0.0.0.0:0", f"-config={config}")
    daemon.logs("ready")
    config.write_text(guarded.splitlines()[0], "utf-8")
    daemon.gets(signal.SIGHUP).logs("reload failed")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("-ldlm=nowhere", "HOST:PORT"),
        ("-ldlm-rest=host:99999", "HOST:PORT"),
        ("-ldlm-session-seconds=0", "must be from"),
        ("-ldlm-keepalive-seconds=0", "must be from"),
        ("-ldlm-keep-over-restart", "-records"),
    ],
)
def test_options_that_make_no_sense(flag: str, words: str) -> None:
    refused = run_glockd(flag)
    assert refused.returncode == 2
    assert words in refused.stderr


# What it shows


def test_secrets_are_in_no_listing_but_for_the_beginning_of_keys(daemon: Glockd) -> None:
    observer = Observer(daemon)
    grpc, rest = GrpcParty(daemon), RestParty(daemon)
    assert grpc.takes(b"hidden")
    rest.waits(b"hidden")
    observer.sees_waiters("hidden", 1)
    assert rest.takes(b"other")
    secrets = [*grpc.keys.values(), *rest.keys.values(), rest.headers["Cookie"].partition("=")[2]]
    told = "".join(
        json.dumps(observer.asks(line))
        for line in ("explain hidden", "history", "find exclusive 0 100", "find sessions 0 100")
    )
    assert '"rest:' in told
    assert [secret for secret in secrets if secret[9:] in told] == []
    (holder,) = observer.table("hidden")["holders"]
    assert holder["key"] == grpc.keys["hidden"][:8]
    assert observer.asks("history hidden")[0]["key"] == grpc.keys["hidden"][:8]
    assert [secret for secret in secrets if secret[9:] in daemon.stderr] == []
    for party in (rest, grpc):
        party.vanishes()
    observer.closes()


def test_traffic_is_counted_by_face(daemon: Glockd) -> None:
    rest, grpc = RestParty(daemon), GrpcParty(daemon)
    assert grpc.takes(b"counted")
    host, port = daemon.ws
    with urllib.request.urlopen(f"http://{host}:{port}/metrics") as answer:
        metrics = answer.read().decode()
    for kind in ("ldlm", "ldlm-rest"):
        for what in ("connections_opened", "received_bytes", "sent_bytes"):
            line = re.search(rf'glockd_{what}_total{{transport="{kind}"}} (\S+)', metrics)
            assert line is not None
            assert float(line[1]) > 0
    rest.vanishes()
    grpc.vanishes()


# What REST can do besides


def test_tokens_and_reasons_are_in_headers(daemon: Glockd) -> None:
    rest = RestParty(daemon)
    tokens = []
    for number in range(3):
        status, headers, body = rest.sends(
            "POST", "/v1/lock", b'{"name":"told%d","lock_timeout_seconds":1}' % number
        )
        assert status == 200
        tokens.append(int(headers["Glockd-Token"]))
    assert tokens == sorted(set(tokens))
    key = json.loads(body)["key"]
    observer = Observer(daemon)
    observer.sees_holders("told2", 0)
    body = json.dumps({"name": "told2", "key": key, "lock_timeout_seconds": 5}).encode()
    assert rest.sends("POST", "/v1/renew", body)[1]["Glockd-Why"] == "expired"
    assert rest.sends("POST", "/v1/unlock", body)[1]["Glockd-Why"] == "expired"
    assert "Glockd-Why" not in rest.sends("POST", "/v1/unlock", b'{"name":"told2","key":"x"}')[1]
    rest.vanishes()
    observer.closes()


def test_grpc_has_them_behind_its_answers(daemon: Glockd) -> None:
    grpc = GrpcParty(daemon)
    answer, called = grpc.hears_of("TryLock", grpc.begins("TryLock", name="behind", lock_timeout_seconds=1))
    assert int(called.trailers["glockd-token"]) > 0
    observer = Observer(daemon)
    observer.sees_holders("behind", 0)
    _, called = grpc.hears_of("Unlock", grpc.begins("Unlock", name="behind", key=answer["key"]))
    assert called.trailers["glockd-why"] == "expired"
    grpc.vanishes()
    observer.closes()


@pytest.mark.parametrize("words", ["wait=x", "wait=-1", "wait=", "wait=1e3", "wait=nan"])
def test_a_wait_is_a_number_of_seconds(daemon: Glockd, words: str) -> None:
    rest = RestParty(daemon)
    status, _, body = rest.sends("POST", f"/v1/lock?{words}", b'{"name":"w"}')
    assert (status, json.loads(body)["code"]) == (400, 3)
    rest.vanishes()


def test_who_hangs_up_leaves_the_line(daemon: Glockd) -> None:
    observer = Observer(daemon)
    alice, bob = RestParty(daemon), RestParty(daemon)
    assert alice.takes(b"line")
    bob.waits(b"line")
    observer.sees_waiters("line", 1)
    bob.waiting.pop()[1].close()
    observer.sees_waiters("line", 0)
    bob.waits(b"line", 1)
    assert not bob.hears()
    for party in (alice, bob):
        party.vanishes()
    observer.closes()


def test_a_session_that_waits_does_not_lapse(glockd: Spawner) -> None:
    daemon = glockd("-ldlm-session-seconds=1", *FLAGS)
    observer = Observer(daemon)
    grpc, rest, idle = GrpcParty(daemon), RestParty(daemon), RestParty(daemon)
    assert grpc.takes(b"job")
    assert idle.takes(b"idle")
    rest.waits(b"job")
    observer.sees_holders("idle", 0)
    observer.sees_waiters("job", 1)
    assert grpc.gives(b"job")
    assert rest.hears()
    observer.sees_holders("job", 0)  # and lapses then
    assert idle.sends("POST", "/v1/lock", b"{}")[0] == 401


def test_who_waits_is_told_of_the_end_of_the_session(daemon: Glockd) -> None:
    observer = Observer(daemon)
    alice, bob = RestParty(daemon), RestParty(daemon)
    assert alice.takes(b"told")
    bob.waits(b"told")
    observer.sees_waiters("told", 1)
    assert bob.sends("DELETE", "/session")[0] == 200
    assert not bob.hears()
    alice.vanishes()
    observer.closes()


# Over a restart


class Kept:
    """A daemon with records, and the next one with the same."""

    def __init__(self, glockd: Spawner, path: Path, *flags: str) -> None:
        self.glockd = glockd
        self.flags = (f"-records={path}", "-ldlm-keep-over-restart", "-admin", *FLAGS, *flags)
        self.daemon = glockd(*self.flags)

    def starts_anew(self, how: signal.Signals) -> Glockd:
        if how is signal.SIGKILL:
            self.daemon.kill()
        else:
            self.daemon.gets(how)
            assert self.daemon.ends() == 0
        self.daemon = self.glockd(*self.flags)
        return self.daemon


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("party", [GrpcParty, RestParty])
def test_what_was_answered_is_held_again(
    glockd: Spawner, tmp_path: Path, how: signal.Signals, party: Any
) -> None:
    kept = Kept(glockd, tmp_path / "records")
    observer = Observer(kept.daemon)
    alice, bob = party(kept.daemon), party(kept.daemon)
    assert alice.takes(b"job")
    assert alice.takes(b"three", size=3)
    assert alice.takes(b"given")
    assert alice.gives(b"given")
    bob.waits(b"job")
    observer.sees_waiters("job", 1)
    (before,) = observer.table("job")["holders"]
    daemon = kept.starts_anew(how)
    observer, carol = Observer(daemon), party(daemon)
    (after,) = observer.table("job")["holders"]
    assert after["token"] == before["token"]
    assert after["address"].startswith("restored:")
    assert 500 < after["lease"] <= 600
    assert not carol.takes(b"job")
    assert carol.takes(b"three", size=3)
    assert not carol.takes(b"three", size=2)
    assert carol.takes(b"given")
    carol.keys = {**alice.keys, "given": carol.keys["given"]}
    assert carol.gives(b"job")
    observer.sees_holders("job", 0)
    assert carol.takes(b"job")
    daemon = kept.starts_anew(how)
    observer = Observer(daemon)
    observer.sees_holders("job", 1)
    observer.sees_holders("three", 2)
    address = observer.table("three")["holders"][0]["address"]
    observer.client.says(f"kick {address}").hears(f"1 Kicked: {address}")
    observer.sees_holders("three", 1)
    observer.closes()


def test_sessions_that_have_ended_leave_no_records(glockd: Spawner, tmp_path: Path) -> None:
    kept = Kept(glockd, tmp_path / "records")
    parties: list[GrpcParty | RestParty] = [GrpcParty(kept.daemon), RestParty(kept.daemon)]
    for number, party in enumerate(parties):
        assert party.takes(b"own-%d" % number)
        assert party.takes(b"leased-%d" % number, lease=1)
    observer = Observer(kept.daemon)
    observer.sees_holders("leased-0", 0)
    observer.sees_holders("leased-1", 0)
    for number, party in enumerate(parties):
        party.vanishes()
        observer.sees_holders(f"own-{number}", 0)
    # Whoever is answered comes behind their commit.
    assert GrpcParty(kept.daemon).takes(b"last")
    observer = Observer(kept.starts_anew(signal.SIGKILL))
    assert observer.counters()["locks"] == 1
    observer.closes()


def test_without_a_default_lease_all_is_free(glockd: Spawner, tmp_path: Path) -> None:
    kept = Kept(glockd, tmp_path / "records", "-ldlm-default-lease-seconds=0")
    assert GrpcParty(kept.daemon).takes(b"job")
    observer = Observer(kept.starts_anew(signal.SIGKILL))
    assert observer.counters()["locks"] == 0
    observer.closes()


def test_what_outlives_its_connection_outlives_a_restart(glockd: Spawner, tmp_path: Path) -> None:
    kept = Kept(glockd, tmp_path / "records", "-ldlm-keep-on-disconnect")
    alice = GrpcParty(kept.daemon)
    assert alice.takes(b"job")
    alice.vanishes()
    daemon = kept.starts_anew(signal.SIGTERM)
    bob = GrpcParty(daemon)
    assert not bob.takes(b"job")
    bob.keys = alice.keys
    assert bob.gives(b"job")
    wait_until(lambda: bob.takes(b"job"))
