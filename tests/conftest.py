"""Fixtures for tests that talk to the real daemon.

`daemon` is a running glockd on each transport in turn, and bare conversations without any;
`@pytest.mark.flags("-registry=false")` runs it with flags, `@pytest.mark.transports("tcp", "unix")` on some
transports only. Daemons are shared by the tests that want the same flags, but a test sees none of that:
whatever it left has gone before the next begins, and `daemon.counts` counts from the test's own start.
`glockd` starts a process of the test's own.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.doors.contract import parametrize_adapters
from tests.support.conversations import ConversationDaemon
from tests.support.daemons import Daemon, Pool, ProcessDaemon, Views
from tests.support.networks import FarHost
from tests.support.process import Spawner

TRANSPORTS = ("tcp", "unix", "websocket", "conversation")
FAILED = pytest.StashKey[bool]()

# Property tests are the same in each run, so that a failure is the doing of the change at hand. To look for
# more: pytest --hypothesis-profile=explore
busy = [HealthCheck.too_slow]  # whatever else the machine has to do is no fault of a test
settings.register_profile(
    "default", derandomize=True, database=None, deadline=None, suppress_health_check=busy
)
settings.register_profile("explore", max_examples=2000, deadline=None, suppress_health_check=busy)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "flags(*flags): command line of the shared daemon that the test talks to"
    )
    config.addinivalue_line("markers", "transports(*names): the transports that the test is meant for")
    config.addinivalue_line("markers", "figures: judges by the time that something takes; for `make figures`")
    hear_signals()


def hear_signals() -> None:
    """Undo what a shell's `&` and nohup do to signals: whom they started ignores some, and so do its children.

    A signal with a handler is the default again after exec(2), so that a test's programs start as usual.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the daemons of a failed test have said."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Spawner | Views | ProcessDaemon):
                for process in value.processes:
                    title = f"glockd {' '.join(process.flags)} (pid {process.pid}), standard error"
                    report.sections.append((title, process.stderr))
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "transport" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("transports")
        metafunc.parametrize("transport", marker.args if marker else TRANSPORTS)
    parametrize_adapters(metafunc)


@pytest.fixture(scope="session")
def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory, has_ipv6: bool) -> Iterator[Pool]:
    listen = ("tcp", "tcp6", "unix", "ws") if has_ipv6 else ("tcp", "unix", "ws")
    pool = Pool(lambda: tmp_path_factory.mktemp("glockd"), listen)
    yield pool
    for process in pool.processes.values():
        process.stop()


@pytest.fixture
def shared_daemon(request: pytest.FixtureRequest, pool: Pool) -> Iterator[Views]:
    views = Views(pool)
    yield views
    views.end(failed=request.node.stash.get(FAILED, False))


@pytest.fixture
def daemon(request: pytest.FixtureRequest, transport: str) -> Iterator[Daemon]:
    """A running glockd, seen from the transport under test; or bare conversations, without a process."""
    marker = request.node.get_closest_marker("flags")
    flags: tuple[str, ...] = marker.args if marker else ()
    if transport == "conversation":
        daemon = ConversationDaemon(flags)
        yield daemon
        if not request.node.stash.get(FAILED, False):
            daemon.ends()
    else:
        yield request.getfixturevalue("shared_daemon")(transport, *flags)


@pytest.fixture
def glockd(tmp_path: Path) -> Iterator[Spawner]:
    spawner = Spawner(tmp_path)
    yield spawner
    for process in spawner.processes:
        process.stop()


@pytest.fixture(scope="session")
def need() -> Callable[[str, str | None], str]:
    """Find a program that a test needs: skip without it, but never in CI, which installs them all."""

    def find(program: str, package: str | None = None) -> str:
        path = shutil.which(program)
        if path is None:
            message = f"{program} is not installed (package {package or program})"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find


@pytest.fixture
def far_host(need: Callable[[str, str | None], str]) -> Iterator[FarHost]:
    need("ip", "iproute2")
    try:
        host = FarHost()
    except (subprocess.CalledProcessError, PermissionError) as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', error)}")
    yield host
    host.close()


@pytest.fixture
def fake_time(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Environment in which the wall clock is what the file says (libfaketime), and monotonic time is left alone."""
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not found:
        message = "libfaketime is not installed (package faketime)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    def environment(offset: str) -> dict[str, str]:
        (tmp_path / "faketimerc").write_text(offset)
        return {
            "LD_PRELOAD": found[0],
            "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "faketimerc"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    return environment
