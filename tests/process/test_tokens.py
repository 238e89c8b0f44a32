"""Fencing tokens: each grant has a larger one, whatever happens to the daemon, its folder and its clock."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from glockd import tokens
from glockd.tokens import TokenFile, from_clock
from tests.doors.line.test_leases import DAY
from tests.support.clients import Client
from tests.support.daemons import Daemon
from tests.support.locks import waits
from tests.support.process import Spawner, run_glockd

LARGEST = 1 << 53  # what every language can count to


def token_of(client: Client, name: str) -> int:
    number, _, rest = client.says(f"token {name}").hears_a_line().partition(b" ")
    assert rest == f"Lock Token: {name}\n".encode()
    return int(number)


def get(client: Client, name: str) -> int:
    """Get a lock and its token."""
    client.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    token = token_of(client, name)
    assert 0 < token < LARGEST
    return token


# On every transport


def test_a_token_belongs_to_the_hold(daemon: Daemon) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("token job").hears("0 Lock Token: job")
    token = get(alice, "job")
    assert token_of(alice, "job") == token
    alice.says("g job", "wait 5 job", "read 5 job")
    for _ in range(3):
        alice.hears("1 Lock Get Success: job")
    assert token_of(alice, "job") == token
    bob.says("token job").hears("0 Lock Token: job")
    alice.says("r job").hears("1 Lock Release Success: job")
    alice.says("token job").hears("0 Lock Token: job")


def test_every_grant_has_a_larger_token_by_one(daemon: Daemon) -> None:
    alice, bob, carol = (daemon.client() for _ in range(3))
    first = get(alice, "job")
    assert get(bob, "other") == first + 1
    waits(alice, carol, "wait inf job")
    bob.says("sg pool", "share 0 9 pool2", "read 0 page")
    bob.hears("1 Shared Lock Get Success: pool").hears("1 Shared Lock Get Success: pool2")
    bob.hears("1 Lock Get Success: page")
    assert token_of(bob, "page") == first + 4
    alice.says("r job").hears("1 Lock Release Success: job")
    carol.hears("1 Lock Get Success: job")
    assert token_of(carol, "job") == first + 5
    assert get(alice, "more") == first + 6


def test_check_tells_the_token_in_force_from_all_others(daemon: Daemon) -> None:
    alice, bob, resource = (daemon.client() for _ in range(3))
    old = get(alice, "job")
    resource.says(f"check {old} job").hears("1 Lock Token Current: job")
    for wrong in (old + 1, 10 * old, LARGEST):
        resource.says(f"check {wrong} job").hears("0 Lock Token Stale: job")
    resource.says(f"check {old} other").hears("0 Lock Token Stale: other")
    waits(resource, bob, "wait inf job")
    alice.vanishes()
    bob.hears("1 Lock Get Success: job")
    resource.says(f"check {old} job").hears("0 Lock Token Stale: job")
    resource.says(f"check {token_of(bob, 'job')} job").hears("1 Lock Token Current: job")
    bob.says("r job").hears("1 Lock Release Success: job")
    resource.says(f"check {old} job").hears("0 Lock Token Stale: job")


def test_the_tokens_of_all_readers_are_current(daemon: Daemon) -> None:
    alice, bob, resource = (daemon.client() for _ in range(3))
    for number, client in enumerate((alice, bob), 1):
        client.says("read 0 page").hears(f"{number} Lock Get Success: page")
    held = [token_of(alice, "page"), token_of(bob, "page")]
    assert held[0] < held[1]
    for token in held:
        resource.says(f"check {token} page").hears("1 Lock Token Current: page")
    alice.says("r page").hears("1 Lock Release Success: page")
    resource.says(f"check {held[0]} page").hears("0 Lock Token Stale: page")
    resource.says(f"check {held[1]} page").hears("1 Lock Token Current: page")


# Over restarts


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("with_folder", [True, False], ids=["-state-dir", "clock"])
def test_tokens_grow_over_restarts(
    glockd: Spawner, tmp_path: Path, how: signal.Signals, with_folder: bool
) -> None:
    flags = ("-state-dir", str(tmp_path / "state")) if with_folder else ()
    last = 0
    for _ in range(3):
        daemon = glockd(*flags, listen=("tcp",))
        client = daemon.client()
        for name in ("a", "b", "c"):
            token = get(client, name)
            assert token > last
            last = token
        daemon.gets(how)
        daemon.ends()
        if how == signal.SIGKILL:
            daemon.kill()


def test_tokens_grow_although_the_clock_was_set_back(
    glockd: Spawner, tmp_path: Path, fake_time: Callable[[str], dict[str, str]]
) -> None:
    last = 0
    for offset in ("+0", f"-{DAY}", f"-{2 * DAY}", f"+{DAY}", "+0"):
        daemon = glockd("-state-dir", str(tmp_path / "state"), listen=("tcp",), **fake_time(offset))
        token = get(daemon.client(), "job")
        assert token > last
        last = token
        daemon.kill()


def test_two_daemons_do_not_share_a_folder(glockd: Spawner, tmp_path: Path) -> None:
    folder = str(tmp_path / "state")
    daemon = glockd("-state-dir", folder, listen=("tcp",))
    before = get(daemon.client(), "job")
    second = run_glockd("-port", "0", "-ws", "0", "-state-dir", folder)
    assert second.returncode == 1
    assert second.stderr == f"glockd: -state-dir: {folder}: another daemon uses it\n"
    assert get(daemon.client(), "other") == before + 1


@pytest.mark.parametrize("content", ["", "many\n", "12 13\n", "0x10\n"])
def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    result = run_glockd("-port", "0", "-ws", "0", "-state-dir", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == f"glockd: -state-dir: {tmp_path}/token does not hold a number\n"
    assert (tmp_path / "token").read_text() == content


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run_glockd("-port", "0", "-ws", "0", "-state-dir", str(tmp_path / "file" / "state"))
    assert result.returncode == 1
    assert result.stderr == f"glockd: -state-dir: {tmp_path}/file/state: Not a directory\n"


# The file


def unheard(error: OSError) -> None:
    raise AssertionError(error)


def mark(folder: Path) -> int:
    return int((folder / "token").read_text())


def test_the_mark_is_always_above_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "BLOCK", 10)
    file = TokenFile(tmp_path, 1.0, unheard)
    last = 999_999
    for token in islice(file.tokens(), 95):
        assert token == last + 1
        assert token < mark(tmp_path) <= token + 20
        last = token
    file.close()


@pytest.mark.parametrize("given", [1, 9, 10, 11, 20, 21, 35])
def test_the_next_run_starts_above_all_tokens_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: int
) -> None:
    monkeypatch.setattr(tokens, "BLOCK", 10)
    last = 0
    for wall in (1.0, 0.0, 0.5, 1.0):  # the clock goes back, and never catches up
        file = TokenFile(tmp_path, wall, unheard)
        run = list(islice(file.tokens(), given))
        assert run == list(range(run[0], run[0] + given))
        assert run[0] > last
        last = run[-1]
        file.close()


def test_the_clock_counts_if_it_is_ahead(tmp_path: Path) -> None:
    for wall in (1000.0, 2000.0):
        file = TokenFile(tmp_path, wall, unheard)
        assert next(file.tokens()) == wall * 1_000_000
        file.close()
    assert next(from_clock(3000.5)) == 3_000_500_000


def test_one_write_serves_many_grants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "BLOCK", 100)
    written = []
    replace = Path.replace

    def count_and_replace(path: Path, target: Path) -> Path:
        written.append(path)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", count_and_replace)
    file = TokenFile(tmp_path, 1.0, unheard)
    assert len(list(islice(file.tokens(), 1000))) == 1000
    assert len(written) == 10
    file.close()


def test_the_mark_is_synced_before_a_token_of_its_block_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync(2), of the file before it takes its name and of the folder after."""
    monkeypatch.setattr(tokens, "BLOCK", 2)
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        done.append("folder synced" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file synced")
        fsync(descriptor)

    def note_replace(path: Path, target: Path) -> Path:
        done.append("replaced")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    file = TokenFile(tmp_path, 1.0, unheard)
    given = file.tokens()
    for _ in range(5):
        next(given)
        done.append("given")
    saved = ["file synced", "replaced", "folder synced"]
    assert done == [*saved, "given", "given", *saved, "given", "given", *saved, "given"]
    file.close()


def test_a_full_disk_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens go on and are complained of; once there is room again, the file is right again."""
    monkeypatch.setattr(tokens, "BLOCK", 10)
    complaints: list[OSError] = []
    file = TokenFile(tmp_path, 1.0, complaints.append)
    given = file.tokens()
    run = list(islice(given, 10))

    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_room)
        run += islice(given, 25)
    assert [error.errno for error in complaints] == [errno.ENOSPC] * 3
    run += islice(given, 10)
    assert run == list(range(1_000_000, 1_000_045))
    assert len(complaints) == 3
    assert mark(tmp_path) > run[-1]
    file.close()


def test_an_unwritable_folder_is_complained_of_in_the_log(glockd: Spawner, tmp_path: Path) -> None:
    """The daemon's own block is too large to be used up here, so it runs with a small one."""
    folder = tmp_path / "state"
    # site(3py): sitecustomize is run before the program.
    (tmp_path / "sitecustomize.py").write_text("import glockd.tokens\nglockd.tokens.BLOCK = 5\n")
    daemon = glockd("-state-dir", str(folder), listen=("tcp",), PYTHONPATH=str(tmp_path))
    client = daemon.client()
    first = get(client, "0")
    shutil.rmtree(folder)
    for number in range(1, 20):
        assert get(client, str(number)) == first + number
    daemon.logs("cannot save the token mark", "No such file or directory")
