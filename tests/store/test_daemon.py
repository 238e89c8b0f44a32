"""`-records`: the file from the daemon's start to its end."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clients import wait_until
from tests.support.http import ask, samples
from tests.support.places import ROOT
from tests.support.process import Glockd, Spawner, run_glockd

# A daemon whose book writes something all the time, as if there were a door that did.
# site(3py): sitecustomize is run before the program.
BUSY = """
from glockd.store import book
from tests.store.rooms import PUT, ROOM

class BusyBook(book.Book):
    def __init__(self, path, sync, loop, say):
        super().__init__(path, sync, loop, say)
        self.shelve(ROOM)
        self.loop, self.number = loop, 0
        self.write()

    def write(self):
        self.number += 1
        self.put(PUT, (str(self.number), "x" * 1000))
        self.timer = self.loop.call_later(0.01, self.write)

    def close(self):
        self.timer.cancel()
        super().close()

book.Book = BusyBook
"""


def libraries(daemon: Glockd) -> str:
    return Path(f"/proc/{daemon.pid}/maps").read_text()


def test_without_records_nothing_of_sqlite_is_loaded(glockd: Spawner) -> None:
    daemon = glockd()
    daemon.client("tcp").says("ping").hears("1 pong")
    assert "sqlite" not in libraries(daemon)


def test_there_is_one_thread_beside_the_event_loop(glockd: Spawner, tmp_path: Path) -> None:
    daemon = glockd("-records", str(tmp_path / "records"))
    daemon.client("tcp").says("ping").hears("1 pong")
    assert "sqlite" in libraries(daemon)
    assert len(list(Path(f"/proc/{daemon.pid}/task").iterdir())) == 2


def test_the_file_is_there_from_the_start_and_whole_at_the_end(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "records"
    daemon = glockd("-records", str(path), "-records-sync", "full")
    daemon.client("tcp").says("ping").hears("1 pong")
    assert path.exists()
    daemon.stop()
    assert [one.name for one in tmp_path.glob("records*")] == ["records"]


def test_it_is_taken_up_again_after_a_kill(glockd: Spawner, tmp_path: Path) -> None:
    for _ in range(3):
        daemon = glockd("-records", str(tmp_path / "records"))
        daemon.client("tcp").says("ping").hears("1 pong")
        daemon.kill()


def test_a_second_daemon_is_refused(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "records"
    daemon = glockd("-records", str(path))
    daemon.client("tcp").says("ping").hears("1 pong")
    second = run_glockd("-port", "0", "-ws", "0", "-records", str(path))
    assert second.returncode == 1
    assert second.stderr == f"glockd: -records: {path}: another daemon uses it\n"


def test_a_start_that_fails_lets_go_of_the_file(glockd: Spawner, tmp_path: Path) -> None:
    path, taken = tmp_path / "records", glockd(listen=("tcp",)).tcp[1]
    result = run_glockd("-port", str(taken), "-ws", "0", "-bind", "127.0.0.1", "-records", str(path))
    assert result.returncode != 0
    assert [one.name for one in tmp_path.glob("records*")] == ["records"]


def test_a_disk_that_can_only_be_read(tmp_path: Path, in_namespace: tuple[str, ...]) -> None:
    (tmp_path / "records").touch()
    mount = f'mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path} && exec "$@"'
    daemon = [sys.executable, "-m", "glockd", "-port", "0", "-ws", "0", "-records", str(tmp_path / "records")]
    result = subprocess.run(
        [*in_namespace, "sh", "-c", mount, "sh", *daemon],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.returncode == 1
    assert result.stderr == f"glockd: -records: {tmp_path}/records: Read-only file system\n"


@pytest.mark.parametrize("value", ["", "always", "FULL"])
def test_how_it_is_synced_is_one_of_two_words(value: str) -> None:
    result = run_glockd(f"-records-sync={value}")
    assert result.returncode == 2
    assert "-records-sync: must be one of normal, full" in result.stderr


def test_how_it_is_synced_is_nothing_by_itself() -> None:
    result = run_glockd("-records-sync", "full")
    assert result.returncode == 2
    assert "-records-sync: means nothing without -records" in result.stderr


def metric(daemon: Glockd, name: str) -> float | None:
    return samples(ask(daemon.ws, "/metrics").body.decode()).get(name)


def test_metrics_tell_of_records_where_there_are_any(glockd: Spawner, tmp_path: Path) -> None:
    without, daemon = glockd(), glockd("-records", str(tmp_path / "records"))
    assert metric(without, "glockd_records_failing") is None
    assert metric(without, "glockd_records_written_total") is None
    assert metric(daemon, "glockd_records_failing") == 0
    assert metric(daemon, "glockd_records_written_total") == 0
    assert metric(daemon, "glockd_records_commit_seconds_count") == 0
    assert metric(daemon, "glockd_records_checkpoint_seconds_count") == 0


def test_readyz_log_and_metrics_say_when_records_cannot_be_written(glockd: Spawner, tmp_path: Path) -> None:
    """Beyond a limit no file can grow (RLIMIT_FSIZE, setrlimit(2)), until it is lifted."""
    (tmp_path / "sitecustomize.py").write_text(BUSY)
    daemon = glockd("-records", str(tmp_path / "records"), PYTHONPATH=f"{tmp_path}:{ROOT}")
    wait_until(lambda: (metric(daemon, "glockd_records_written_total") or 0) > 5)
    assert ask(daemon.ws, "/readyz")[::2] == (200, b"ready\n")
    _, most = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    log = (tmp_path / "records-wal").stat().st_size
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (log + 10_000, most))
    daemon.logs("records cannot be written", "reason='disk I/O error'")
    assert ask(daemon.ws, "/readyz")[::2] == (503, b"records cannot be written: disk I/O error\n")
    assert ask(daemon.ws, "/healthz").status == 200
    assert (metric(daemon, "glockd_records_failing"), metric(daemon, "glockd_ready")) == (1, 0)
    daemon.client("tcp").says("g job").hears("1 Lock Get Success: job")
    written = metric(daemon, "glockd_records_written_total")
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (most, most))
    daemon.logs("records are written again", "after=")
    assert ask(daemon.ws, "/readyz")[::2] == (200, b"ready\n")
    assert (metric(daemon, "glockd_records_failing"), metric(daemon, "glockd_ready")) == (0, 1)
    assert (metric(daemon, "glockd_records_written_total") or 0) > (written or 0)


def test_another_file_wants_a_restart(glockd: Spawner, tmp_path: Path) -> None:
    options = tmp_path / "options.toml"
    options.write_text(f'records = "{tmp_path}/one"\n')
    daemon = glockd("-config", str(options))
    daemon.client("tcp").says("ping").hears("1 pong")
    options.write_text(f'records = "{tmp_path}/two"\n')
    daemon.gets(signal.SIGHUP)
    daemon.logs("a restart is needed for these options", "records")
    assert not (tmp_path / "two").exists()
