"""`glock run`: exit codes, signals, the lock's life, the terminal.

Against the real daemon, with real processes.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import pytest
from glock import Client

from tests.support.fakes import SECONDS, Daemon, Original, daemon, token_of, until
from tests.support.process import environment

GLOCK = [sys.executable, "-X", "dev", "-W", "error", "-m", "glock"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("run"), "-admin") as running:
        yield running


@pytest.fixture
def observer(server: Daemon) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return str(request.node.name)


class Process(subprocess.Popen[str]):
    """A program with all three pipes, which does not outlive its `with`."""

    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]

    def __init__(self, url: str, *command: str) -> None:
        pipe = subprocess.PIPE
        env = environment(GLOCK_SERVER=url)
        super().__init__(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        super().__exit__(kind, error, trace)

    def types(self, text: str) -> None:
        self.stdin.write(text)
        self.stdin.flush()


def started(url: str, *arguments: str) -> Process:
    return Process(url, *GLOCK, *arguments)


def glock(url: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end. No traceback may reach the user."""
    result = subprocess.run(
        [*GLOCK, *arguments],
        env=environment(GLOCK_SERVER=url, **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result


def alive(pid: int) -> bool:
    """Is it there, and no zombie?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (
        FileNotFoundError,
        ProcessLookupError,
    ):  # the latter if it goes between being opened and being read
        return False
    return state not in {"Z", "X"}


# Exit codes: what is asked for, while the observer holds what, and what comes out


@dataclass(frozen=True)
class Case:
    arguments: str
    code: int
    held: str = ""
    says: str = ""

    def __str__(self) -> str:
        return f"{self.arguments}{' / ' + self.held if self.held else ''}"


CASES = (
    Case("NAME -- true", 0),
    Case("NAME -- false", 1),
    Case("NAME -- sh -c 'exit 42'", 42),
    Case("NAME sh -c 'exit 255'", 255),
    Case("NAME -- sh -c 'exit 75'", 75),
    Case("NAME -c 'exit 8'", 8),
    Case("NAME -c", 127, says="-c: No such file"),
    Case("-c 'exit 9' NAME", 9),
    Case("-F NAME -- sh -c 'exit 3'", 3),
    Case("-o NAME -- sh -c 'exit 4'", 4),
    Case("--foreground NAME -- sh -c 'exit 5'", 5),
    Case("NAME -- sh -c 'kill -KILL $$'", 137),
    Case("NAME -- sh -c 'kill -TERM $$'", 143),
    Case("NAME -- sh -c 'kill -SEGV $$'", 139),
    Case("NAME -- /no/such/command", 127, says="/no/such/command: No such file or directory"),
    Case("NAME -- /etc/passwd", 126, says="/etc/passwd: Permission denied"),
    Case("-F NAME -- /no/such/command", 127, says="No such file or directory"),
    Case("-n NAME -- true", 75, held="lock", says="is held by 127.0.0.1"),
    Case("-w 0 NAME -- true", 75, held="lock"),
    Case("-w 0.05 NAME -- true", 76, held="lock", says="was not free within 0.05 s: held by 127.0.0.1"),
    Case("-n -E 5 NAME -- true", 5, held="lock"),
    Case("-w 0.05 -E 6 NAME -- true", 6, held="lock"),
    Case("-n NAME -- true", 75, held="read"),
    Case("-n --read NAME -- true", 0, held="read"),
    Case("-n --read NAME -- true", 75, held="lock"),
    Case("-n -s 1 NAME -- true", 75, held="shared"),
    Case("-w 0.05 -s 1 NAME -- true", 76, held="shared"),
    Case("-n -s 2 NAME -- true", 0, held="shared"),
    Case("-n NAME -- true", 0, held="shared"),
    Case("NAME", 2, says="a command is needed"),
    Case("-c true NAME -- true", 2, says="and not both"),
    Case("-n -w 5 NAME -- true", 2, says="exclude each other"),
    Case("--read -s 2 NAME -- true", 2, says="exclude each other"),
    Case("-w soon NAME -- true", 2, says="no number of seconds"),
    Case("-w nan NAME -- true", 2, says="no number of seconds"),
    Case("-w -1 NAME -- true", 2, says="no number of seconds"),
    Case("-w '' NAME -- true", 2, says="no number of seconds"),
    Case("-w 99999999999 NAME -- true", 0),
    Case("-w 9223372036 NAME -- true", 0),
    Case("-w 4294967.297 NAME -- true", 0),
    Case("-w 1e999 NAME -- true", 0),
    Case("-w inf NAME -- true", 0),
    Case("--grace inf NAME -- true", 0),
    Case("--grace 1e300 NAME -- true", 0),
    Case("--grace nan NAME -- true", 2, says="no number of seconds"),
    Case("-s 999999999999999999 NAME -- true", 0),
    Case("-s 1000000000000000000 NAME -- true", 2, says="limit must be from 1 to"),
    Case("-s 0 NAME -- true", 2, says="0 is not in the range"),
    Case("'one\nline' -- true", 2, says="cannot hold a line end"),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_exit_codes(server: Daemon, observer: Client, name: str, case: Case) -> None:
    arguments = [name if each == "NAME" else each for each in shlex.split(case.arguments)]
    with contextlib.ExitStack() as stack:
        if case.held:
            stack.enter_context(getattr(observer, case.held)(name))
        result = glock(server.url, "run", *arguments)
    assert result.returncode == case.code, result.stderr
    assert case.says in result.stderr
    assert bool(result.stderr) == bool(case.says or (case.held and case.code)), (
        "it says why, and nothing else"
    )


@pytest.mark.parametrize("option", ["--timeout", "--alive"])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("nan", 2),
        ("inf", 2),
        ("0", 2),
        ("-1", 2),
        ("soon", 2),
        ("1e300", 0),
        ("99999999999", 0),
        ("0.5e1", 0),
    ],
)
def test_times_of_all_commands(server: Daemon, name: str, option: str, value: str, code: int) -> None:
    result = glock(server.url, option, value, "inspect", name)
    if option == "--alive" and code == 0:
        assert result.returncode in (1, 81)  # it is free, or this server gives no signs of life
    else:
        assert result.returncode == (code or 1)
        assert ("no number of seconds, more than 0, and finite" in result.stderr) == bool(code)


def test_a_daemon_that_is_lost_with_an_endless_grace_is_waited_for(tmp_path: Path) -> None:
    script = "trap 'echo term; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    with (
        daemon(tmp_path) as server,
        started(server.url, "run", "--grace", "1e300", "job", "--", "sh", "-c", script) as process,
    ):
        assert process.stdout.readline() == "ready\n"
        server.kill()
        assert process.wait(SECONDS) == 79
        assert process.stdout.read() == "term\n"


def test_signs_of_life_are_for_who_reads_them(server: Daemon, name: str) -> None:
    result = glock(server.url, "--alive", "5", "run", "-F", name, "--", "true")
    assert (result.returncode, "-F excludes --alive" in result.stderr) == (2, True)


def test_a_wrong_address_is_told_in_a_line() -> None:
    for server, why in (("host:99999", "the port is no number"), ("me:hush@host", "the secret belongs in")):
        result = glock(server, "run", "job", "--", "true")
        assert (result.returncode, why in result.stderr, "hush" in result.stderr) == (2, True, False)
    assert glock(" \n", "--timeout", "1", "inspect", "job").returncode in (0, 1, 78)  # as if it were not set


def test_nobody_there_is_78(tmp_path: Path) -> None:
    result = glock(f"unix://{tmp_path}/none", "run", "job", "--", "true")
    assert (result.returncode, "No such file" in result.stderr) == (78, True)


def test_a_wrong_secret_is_77(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    with daemon(tmp_path, "-auth-file", str(secret)) as server:
        assert glock(server.url, "run", "job", "--", "true").returncode == 77
        assert glock(server.url, "run", "job", "--", "true", GLOCK_SECRET="guess").returncode == 77
        assert glock(server.url, "run", "job", "--", "true", GLOCK_SECRET="open sesame").returncode == 0


def test_what_the_server_does_not_know_is_81() -> None:
    original = Original()
    try:
        result = glock(original.url, "run", "--read", "job", "--", "true")
        assert (result.returncode, "original glockd" in result.stderr) == (81, True)
        assert glock(original.url, "run", "job", "--", "sh", "-c", "exit 4").returncode == 4
    finally:
        original.close()


# What the command sees


def test_the_command_is_told_name_and_token(server: Daemon, observer: Client, name: str) -> None:
    script = (
        'echo "$GLOCK_NAME|$GLOCK_TOKEN|$GLOCK_SERVER"; test -S /proc/self/fd/$GLOCK_FD && echo inherited'
    )
    result = glock(server.url, "run", f"  {name}  x", "--", "sh", "-c", script, GLOCK_TOKEN="an outer one's")
    first, second = result.stdout.splitlines()
    told_name, token, url = first.split("|")
    assert (told_name, url, second) == (f"{name} x", server.url, "inherited")
    assert int(token) > 0
    with observer.lock(name) as lock:
        assert token_of(lock) > int(token)


def test_standard_streams_are_the_commands(server: Daemon, name: str) -> None:
    with started(server.url, "run", name, "--", "sh", "-c", "cat; echo error >&2; exit 3") as process:
        assert process.communicate("input", timeout=SECONDS) == ("input", "error\n")
        assert process.returncode == 3


def test_it_waits_for_its_turn(server: Daemon, observer: Client, name: str) -> None:
    lock = observer.lock(name).acquire()
    with started(server.url, "run", "-v", name, "--", "echo", "done") as process:
        until(lambda: observer.explain(name)["exclusive"]["waiters"])
        lock.release()
        out, error = process.communicate(timeout=SECONDS)
    assert out == "done\n"
    assert "glock: got" in error


# Signals


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]
)
def test_signals_are_passed_on(server: Daemon, observer: Client, name: str, number: signal.Signals) -> None:
    with started(server.url, "run", name, "--", "sh", "-c", "echo ready; exec sleep 60") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number
    until(lambda: not observer.inspect(name))


def test_a_command_may_end_in_its_own_way(server: Daemon, name: str) -> None:
    script = "trap 'exit 7' TERM; trap 'echo again' USR2; echo ready; while :; do sleep 0.02; done"
    with started(server.url, "run", name, "--", "sh", "-c", script) as process:
        assert process.stdout.readline() == "ready\n"
        for _ in range(2):
            process.send_signal(signal.SIGUSR2)
            assert process.stdout.readline() == "again\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 7


def test_signals_reach_the_whole_group(server: Daemon, name: str) -> None:
    script = "sh -c 'echo $$; exec sleep 60' & wait"
    with started(server.url, "run", name, "--", "sh", "-c", script) as process:
        grandchild = int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 143
        until(lambda: not alive(grandchild))


def test_what_nohup_ignores_stays_ignored(server: Daemon, name: str) -> None:
    script = "echo ready; read line; exit 8"
    nohup = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
    with Process(server.url, *nohup, *GLOCK, "run", name, "--", "sh", "-c", script) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        process.types("\n")
        assert process.wait(SECONDS) == 8


def test_an_interrupted_wait_leaves_nothing_behind(server: Daemon, observer: Client, name: str) -> None:
    with observer.lock(name), started(server.url, "run", name, "--", "true") as process:
        until(lambda: observer.explain(name)["exclusive"]["waiters"])
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
        until(lambda: not observer.explain(name)["exclusive"]["waiters"])


# The promise: the lock lives until the last descendant that has it is gone


@pytest.mark.parametrize("door", ["tcp", "unix"])
def test_a_command_keeps_the_lock_when_glock_is_killed(
    server: Daemon, observer: Client, name: str, door: str
) -> None:
    url = server.url if door == "tcp" else server.unix_url
    with started(url, "run", name, "--", "sh", "-c", "echo $$; read line; exit 0") as process:
        command = int(process.stdout.readline())
        process.kill()
        process.wait()
        assert alive(command)
        assert observer.inspect(name)
        process.types("\n")
        until(lambda: not alive(command))
        until(lambda: not observer.inspect(name))


@pytest.mark.parametrize("door", ["tcp", "unix"])
@pytest.mark.parametrize("killed", ["nobody", "glock", "command", "both"])
def test_a_grandchild_keeps_the_lock_when_both_are_gone(
    server: Daemon, observer: Client, name: str, door: str, killed: str
) -> None:
    url = server.url if door == "tcp" else server.unix_url
    # A subshell in the background has /dev/null for standard input: it reads the pipe by another descriptor.
    script = "exec 9<&0; (echo $(exec sh -c 'echo $PPID'); read line <&9) & echo $$; " + (
        "exit 0" if killed == "nobody" else "exec sleep 60"
    )
    with started(url, "run", name, "--", "sh", "-c", script) as process:
        pids = {int(process.stdout.readline()), int(process.stdout.readline())}
        if killed in {"glock", "both"}:
            process.kill()
            process.wait()
        command, grandchild = sorted(pids)
        if killed in {"command", "both"}:
            os.kill(command, signal.SIGKILL)
        if killed == "glock":
            os.kill(command, signal.SIGKILL)
        until(lambda: not alive(command))
        assert process.wait(SECONDS) == {"nobody": 0, "command": 137}.get(killed, -signal.SIGKILL)
        assert alive(grandchild)
        assert observer.inspect(name)
        process.types("\n")
        until(lambda: not alive(grandchild))
        until(lambda: not observer.inspect(name))


def test_without_inheritance_the_lock_ends_with_glock(server: Daemon, observer: Client, name: str) -> None:
    script = 'echo "$$ ${GLOCK_FD-none}"; exec sleep 60'
    with started(server.url, "run", "-o", name, "--", "sh", "-c", script) as process:
        command, fd = process.stdout.readline().split()
        assert fd == "none"
        process.kill()
        process.wait()
        until(lambda: not observer.inspect(name))
        assert alive(int(command))
        os.kill(int(command), signal.SIGKILL)


def test_a_websocket_cannot_be_inherited_and_glock_says_so(
    server: Daemon, observer: Client, name: str
) -> None:
    script = 'echo "${GLOCK_FD-none} $GLOCK_TOKEN"'
    result = glock(server.ws_url, "run", name, "--", "sh", "-c", script)
    assert "it ends with glock" in result.stderr
    assert result.stdout.startswith("none ")
    result = glock(server.ws_url, "run", "-o", name, "--", "true")
    assert (result.returncode, result.stderr) == (0, "")
    assert glock(server.ws_url, "run", "-F", name, "--", "true").returncode == 2
    assert not observer.inspect(name)


def test_without_a_fork_the_command_is_the_holder(server: Daemon, observer: Client, name: str) -> None:
    with started(server.url, "run", "-F", name, "--", "sh", "-c", "echo $$; read line") as process:
        assert int(process.stdout.readline()) == process.pid
        assert observer.inspect(name)
        process.types("\n")
        assert process.wait(SECONDS) == 0
        until(lambda: not observer.inspect(name))


# Loss


def kill_daemon(server: Daemon) -> None:
    server.kill()


def kick(server: Daemon) -> None:
    with Client(server.unix_url) as client:
        address = client.explain("job")["exclusive"]["holders"][0]["address"]
        assert client.kick(address) == 1


@pytest.mark.parametrize("lose", [kill_daemon, kick])
def test_a_lost_lock_ends_the_command(tmp_path: Path, lose: Callable[[Daemon], None]) -> None:
    script = "trap 'echo term; exit 0' TERM; sh -c 'echo $$; exec sleep 60' & wait; sleep 60"
    with (
        daemon(tmp_path, "-admin") as server,
        started(server.unix_url, "run", "job", "--", "sh", "-c", script) as process,
    ):
        grandchild = int(process.stdout.readline())
        lose(server)
        assert process.wait(SECONDS) == 79
        assert "the lock 'job' was lost" in process.stderr.read()
        assert process.stdout.read() == "term\n"
        assert not alive(grandchild)


def test_a_command_that_does_not_listen_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = "trap '' TERM; echo \\$\\$; while :; do sleep 0.05; done"
    script = f"trap 'echo no' TERM; sh -c \"{deaf}\" & while :; do wait; done"
    with (
        daemon(tmp_path) as server,
        started(server.url, "run", "--grace", "0.3", "job", "--", "sh", "-c", script) as process,
    ):
        grandchild = int(process.stdout.readline())
        server.kill()
        assert process.stdout.readline() == "no\n"
        assert process.wait(SECONDS) == 79
        until(lambda: not alive(grandchild))


def test_a_command_that_is_stopped_is_ended_too(tmp_path: Path) -> None:
    with (
        daemon(tmp_path) as server,
        started(server.url, "run", "job", "--", "sh", "-c", "echo $$; kill -STOP $$") as process,
    ):
        command = int(process.stdout.readline())
        until(lambda: " T " in Path(f"/proc/{command}/stat").read_text())
        server.kill()
        assert process.wait(SECONDS) == 79


def test_get_holds_until_its_input_is_closed(server: Daemon, observer: Client, name: str) -> None:
    with started(server.url, "get", name) as process:
        token, got = process.stdout.readline().split()
        assert got == name
        assert observer.check(int(token), name)
        process.types("not the end\n")
        assert observer.inspect(name)
        process.stdin.close()
        assert process.wait(SECONDS) == 0
    until(lambda: not observer.inspect(name))


def test_get_tells_that_it_has_lost(tmp_path: Path) -> None:
    with daemon(tmp_path) as server, started(server.url, "get", "job") as process:
        assert process.stdout.readline().endswith(" job\n")
        server.kill()
        assert process.wait(SECONDS) == 79
        assert "was lost" in process.stderr.read()


# The terminal


class Terminal:
    """A pseudoterminal with a program in its foreground."""

    def __init__(self, *command: str, **env: str) -> None:
        self.said = ""
        self.passed = ""  # what was shown before the text that `shows` looked for
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment(**{"TERM": "dumb"} | env))

    def types(self, text: str) -> Terminal:
        os.write(self.fd, text.encode())
        return self

    def shows(self, text: str) -> Terminal:
        """Read on until `text` is there; what comes behind it is for the next time."""

        def there() -> bool:
            if text not in self.said:
                ready, _, _ = select.select([self.fd], [], [], 0.05)
                with contextlib.suppress(OSError):
                    self.said += os.read(self.fd, 4096).decode() if ready else ""
            return text in self.said

        until(there, f"the terminal shows {self.said!r}, not {text!r}")
        self.passed, _, self.said = self.said.partition(text)
        return self

    def ends_saying(self) -> int:
        """As `ends`; all that was shown is in `said`."""
        with contextlib.suppress(OSError):
            while data := os.read(self.fd, 4096):
                self.said += data.decode()
        return self.ends()

    def ends(self) -> int:
        """The exit status, as subprocess has it."""
        with contextlib.suppress(OSError):
            while os.read(self.fd, 4096):
                pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_on_a_terminal_the_command_is_in_the_foreground(server: Daemon, name: str) -> None:
    script = (
        "import os; print('foreground', os.tcgetpgrp(0) == os.getpgrp() == os.getpid()); "
        "print('got', input())"
    )
    terminal = Terminal(*GLOCK, "run", name, "--", sys.executable, "-c", script, GLOCK_SERVER=server.url)
    assert terminal.shows("foreground True").types("typed\n").shows("got typed").ends() == 0


def test_control_c_ends_the_command_and_glock_by_the_signal(
    server: Daemon, observer: Client, name: str
) -> None:
    terminal = Terminal(
        *GLOCK, "run", name, "--", "sh", "-c", "echo ready; exec sleep 60", GLOCK_SERVER=server.url
    )
    # A shell sees 130, and that it is to end its script.
    assert terminal.shows("ready").types("\x03").ends() == -signal.SIGINT
    until(lambda: not observer.inspect(name))


def test_job_control_works_as_for_any_command(server: Daemon, observer: Client, name: str) -> None:
    shell = Terminal("bash", "--norc", "-i", GLOCK_SERVER=server.url, PS1="$ ")
    shell.shows("$ ").types(" ".join([*GLOCK, "run", name, "--", "cat"]) + "\n")
    until(lambda: observer.inspect(name))
    shell.types("one\n").shows("one\r\n").shows("one\r\n")  # the echo, and cat
    shell.types("\x1a").shows("Stopped").shows("$ ")
    assert observer.inspect(name), "it is held while it is stopped"
    shell.types("fg\n").shows("cat").types("two\n").shows("two\r\n").shows("two\r\n")
    shell.types("\x04").shows("$ ").types("echo status=$?\n").shows("status=0").types("exit\n")
    assert shell.ends() == 0
    until(lambda: not observer.inspect(name))
