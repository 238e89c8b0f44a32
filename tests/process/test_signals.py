"""SIGHUP and SIGUSR1: what a running daemon takes over, and what it tells."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.support.clients import wait_until
from tests.support.http import ask
from tests.support.process import Glockd, Spawner


def entries(daemon: Glockd, event: str) -> list[dict[str, object]]:
    """The log's entries of one kind."""
    lines = [json.loads(line) for line in daemon.stderr.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def hup(daemon: Glockd, event: str = "reloaded") -> dict[str, object]:
    before = len(entries(daemon, event))
    daemon.gets(signal.SIGHUP)
    wait_until(lambda: len(entries(daemon, event)) > before, about=lambda: daemon.stderr)
    return entries(daemon, event)[-1]


def start(glockd: Spawner, config: Path, *flags: str) -> Glockd:
    daemon = glockd("-config", str(config), "-log-format", "json", *flags)
    daemon.wait_until_ready()
    return daemon


def test_switches_are_taken_over(glockd: Spawner, tmp_path: Path) -> None:
    config = tmp_path / "glockd.toml"
    config.write_text("dump = true\n")
    daemon = start(glockd, config)
    alice = daemon.client()
    alice.says("dump").hears("map[]")
    config.write_text('dump = false\nregistry = false\nlog-level = "debug"\n')
    assert hup(daemon)["changed"] == ["registry", "dump", "log-level"]
    alice.says("dump", "iam alice").hears("0 disabled").hears("0 disabled")


def test_locks_are_kept_and_old_connections_go_on(glockd: Spawner, tmp_path: Path) -> None:
    config = tmp_path / "glockd.toml"
    config.write_text("")
    daemon = start(glockd, config)
    alice = daemon.client()
    alice.says("g job").hears("1 Lock Get Success: job")
    assert hup(daemon)["changed"] == []
    alice.says("i job").hears("1 Lock Is Locked: job")


def test_the_log_level_is_taken_over(glockd: Spawner, tmp_path: Path) -> None:
    config = tmp_path / "glockd.toml"
    config.write_text("")
    daemon = start(glockd, config)
    config.write_text('log-level = "error"\nport = 1\n')
    daemon.gets(signal.SIGHUP)
    config_read = daemon.client()
    config_read.says("ping").hears("1 pong")
    config.write_text("nonsense = 1\n")
    hup(daemon, "reload failed, nothing has changed")
    # A warning that would have come with the first reload is below the level.
    assert not entries(daemon, "a restart is needed for these options")


def test_secrets_are_taken_over(glockd: Spawner, tmp_path: Path) -> None:
    config, secrets = tmp_path / "glockd.toml", tmp_path / "secrets"
    secrets.write_text("old\n")
    config.write_text(f'auth-file = "{secrets}"\n')
    daemon = start(glockd, config)
    alice = daemon.client()
    alice.says("auth old").hears("1 ok")
    secrets.write_text("new\nnewer\n")
    assert hup(daemon)["secrets"] == 2
    alice.says("ping").hears("1 pong")
    daemon.client().says("auth old").hears("0 Not Authorised")
    daemon.client().says("auth newer").hears("1 ok")
    assert ask(daemon.ws, "/metrics", headers={"Authorization": "Bearer old"}).status == 401
    assert ask(daemon.ws, "/metrics", headers={"Authorization": "Bearer new"}).status == 200


def test_what_wants_a_restart_is_named(glockd: Spawner, tmp_path: Path) -> None:
    config = tmp_path / "glockd.toml"
    config.write_text("")
    daemon = start(glockd, config)
    config.write_text("port = 1\nhistory = 7\ndump = false\n")
    assert hup(daemon)["changed"] == ["dump"]
    warned = "a restart is needed for these options"
    daemon.logs(warned)
    (warning,) = entries(daemon, warned)
    assert warning["level"] == "warning"
    assert warning["options"] == ["history"]  # the port is on the command line, which wins
    # And it is named again, as long as it is so.
    hup(daemon)
    wait_until(lambda: len(entries(daemon, warned)) == 2, about=lambda: daemon.stderr)


def test_a_wrong_configuration_changes_nothing(glockd: Spawner, tmp_path: Path) -> None:
    config, secrets = tmp_path / "glockd.toml", tmp_path / "secrets"
    secrets.write_text("secret\n")
    config.write_text(f'auth-file = "{secrets}"\n')
    daemon = start(glockd, config)
    failed = "reload failed, nothing has changed"
    for text in ("dump = false\nno toml", "dump = 7\n", 'dump = false\nlog-level = "loud"\n'):
        config.write_text(text)
        assert str(config) in str(hup(daemon, failed)["reason"]) or "-log-level" in daemon.stderr
    config.unlink()
    hup(daemon, failed)
    config.write_text(f'dump = false\nauth-file = "{secrets}"\n')
    secrets.unlink()
    assert str(secrets) in str(hup(daemon, failed)["reason"])
    alice = daemon.client()
    alice.says("auth secret").hears("1 ok").says("dump").hears("map[]")


def test_a_summary_of_the_state(glockd: Spawner, tmp_path: Path) -> None:
    config = tmp_path / "glockd.toml"
    config.write_text("")
    daemon = start(glockd, config)
    alice, bob = daemon.client(), daemon.client("unix")
    alice.says("iam alice", "g a", "g b", "sg c").hears("1 ok")
    alice.hears("1 Lock Get Success: a").hears("1 Lock Get Success: b").hears("1 Shared Lock Get Success: c")
    bob.says("wait inf a")
    wait_until(
        lambda: 'glockd_waiters{table="exclusive"} 1.0' in ask(daemon.ws, "/metrics").text,
        about=lambda: "nobody waits",
    )
    daemon.gets(signal.SIGUSR1)
    wait_until(lambda: bool(entries(daemon, "state")), about=lambda: daemon.stderr)
    (state,) = entries(daemon, "state")
    assert state["connections"] == {"tcp": 1, "unix": 1}
    assert state["locks"] == {"exclusive": 2, "shared": 1}
    assert state["waiting"] == {"exclusive": 1, "shared": 0}
    assert state["longest_lines"] == {"a": 1}
    assert state["most_locks"] == {"alice": 3}
    assert list(state["longest_wait"]) == ["exclusive"]  # type: ignore[call-overload]
    assert state["commands"] == 5
