"""The blocking Python client against the real daemon, and against what the original does."""

# What a lost lock raises comes out at the end of its `with`, whatever is in it.
# ruff: noqa: PT012, SIM117

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from glock import (
    Client,
    ConnectionLost,
    Deadlock,
    Disabled,
    GlockError,
    Lock,
    LockBusy,
    LockLost,
    NotAuthorised,
    ProtocolError,
    Unreachable,
    Unsupported,
    WaitTimeout,
)
from glock.session import Session
from glock.wire.conversation import Slot

from tests.support.fakes import Daemon, Original, daemon, token_of, until

TRANSPORTS = ("tcp", "unix", "ws")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("glockd"), "-history", "1000", "-admin") as running:
        yield running


@pytest.fixture(params=TRANSPORTS)
def url(request: pytest.FixtureRequest, server: Daemon) -> str:
    return server.url_of(request.param)


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.fixture
def other(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.fixture
def original() -> Iterator[Original]:
    server = Original()
    yield server
    server.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lock of the test's own."""
    return str(request.node.name)


def waiters(client: Client, name: str) -> int:
    found = client.explain(name)
    return len(found["exclusive"]["waiters"]) + len(found["shared"]["waiters"])


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def interrupt_main_thread() -> None:
    """As Control-C does; sent to that very thread, so that its system call ends."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


# Locks


def test_a_lock_is_held_within_its_with(client: Client, other: Client, name: str) -> None:
    with client.lock(name) as lock:
        assert lock.name == name
        assert lock.token is not None
        assert other.inspect(name)
        assert other.check(lock.token, name)
        with pytest.raises(LockBusy):
            other.lock(name, wait=0).acquire()
    assert not other.inspect(name)
    assert not other.check(lock.token, name)


def test_an_error_in_the_body_releases_and_comes_through(client: Client, other: Client, name: str) -> None:
    with pytest.raises(KeyError, match="mine"), client.lock(name):
        raise KeyError("mine")
    assert not other.inspect(name)


def test_tokens_grow(client: Client, other: Client, name: str) -> None:
    tokens = []
    for each in (client, other) * 5:
        with each.lock(name) as lock:
            tokens.append(token_of(lock))
    assert tokens == sorted(set(tokens))


def test_who_waits_gets_it_when_it_is_free(client: Client, other: Client, name: str) -> None:
    lock = client.lock(name).acquire()
    got = []

    def wait() -> None:
        with other.lock(name, wait=math.inf) as theirs:
            got.append(token_of(theirs))

    thread = in_thread(wait)
    until(lambda: waiters(client, name) == 1)
    assert not got
    lock.release()
    thread.join()
    assert got[0] > token_of(lock)


def test_who_waits_too_long_is_told(client: Client, other: Client, name: str) -> None:
    with client.lock(name):
        begin = time.monotonic()
        with pytest.raises(WaitTimeout) as caught:
            other.lock(name, wait=0.05).acquire()
        assert time.monotonic() - begin >= 0.045  # uvloop's timers have a resolution of a millisecond
        assert isinstance(caught.value, LockBusy | TimeoutError)
        assert waiters(client, name) == 0


def test_readers_share_and_exclude_the_writer(client: Client, other: Client, name: str) -> None:
    with client.read(name) as first, other.read(name) as second:
        assert (first.holders, second.holders) == (1, 2)
        with Client(client.urls) as writer, pytest.raises(LockBusy):
            writer.lock(name, wait=0).acquire()
    with client.lock(name), pytest.raises(WaitTimeout):
        other.read(name, wait=0.01).acquire()


def test_a_reader_cannot_ask_for_the_whole(client: Client, other: Client, name: str) -> None:
    with client.read(name):
        with pytest.raises(Deadlock):
            client.lock(name, wait=5).acquire()
        assert other.inspect(name)


def test_shared_locks_count_and_have_limits(client: Client, other: Client, name: str) -> None:
    with client.shared(name, limit=2), other.shared(name, limit=2) as second:
        assert second.holders == 2
        assert client.inspect_shared(name) == 2
        with Client(client.urls) as third:
            with pytest.raises(LockBusy):
                third.shared(name, limit=2, wait=0).acquire()
            with pytest.raises(WaitTimeout):
                third.shared(name, limit=2, wait=0.01).acquire()
            with third.shared(name) as unlimited:
                assert unlimited.holders == 3
                assert unlimited.token is None
        assert not client.inspect(name), "the exclusive lock has nothing to do with it"
    assert client.inspect_shared(name) == 0


def test_within_a_thread_a_lock_can_be_taken_again(client: Client, other: Client, name: str) -> None:
    with client.lock(name) as outer:
        with client.lock(name) as inner:
            assert inner.token == outer.token
        assert other.inspect(name)
        with client.read(name):
            pass
        assert other.inspect(name)
    assert not other.inspect(name)


def test_two_threads_exclude_each_other(client: Client, name: str) -> None:
    inside, most, rounds = [0], [0], [0]

    def work() -> None:
        for _ in range(25):
            with client.lock(name, wait=10):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                rounds[0] += 1
                inside[0] -= 1

    threads = [in_thread(work) for _ in range(6)]
    for thread in threads:
        thread.join()
    assert (most[0], rounds[0]) == (1, 150)


def test_a_deadlock_of_two_threads_is_refused(client: Client, name: str) -> None:
    outcomes, ready = [], threading.Barrier(2)

    def work(first: str, second: str) -> None:
        with client.lock(first):
            ready.wait()
            try:
                with client.lock(second, wait=10):
                    outcomes.append("got both")
            except Deadlock:
                outcomes.append("deadlock")

    threads = [in_thread(partial(work, name + a, name + b)) for a, b in ("xy", "yx")]
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["deadlock", "got both"]


def test_a_lock_can_be_released_by_another_thread(client: Client, other: Client, name: str) -> None:
    lock = client.lock(name).acquire()
    in_thread(lock.release).join()
    assert not other.inspect(name)
    with pytest.raises(RuntimeError, match="released before"):
        lock.release()
    with client.lock(name):
        pass


def test_who_had_a_lock_released_elsewhere_has_no_part_in_what_others_get(client: Client, name: str) -> None:
    in_thread(client.lock(name + " before").acquire().release).join()
    held, enough = threading.Event(), threading.Event()

    def work() -> None:
        with client.lock(name):
            held.set()
            enough.wait(10)

    thread = in_thread(work)
    assert held.wait(10)
    try:
        with pytest.raises(LockBusy):
            client.lock(name, wait=0).acquire()
    finally:
        enough.set()
        thread.join()


def test_one_request_serves_many_threads(client: Client, name: str) -> None:
    request = client.shared(name)
    ready = threading.Barrier(4)
    counts = []

    def work() -> None:
        with request:
            ready.wait()
            counts.append(client.inspect_shared(name))
            ready.wait()

    threads = [in_thread(work) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert counts == [4] * 4
    assert client.inspect_shared(name) == 0


def test_a_function_runs_under_its_lock(client: Client, other: Client, name: str) -> None:
    @client.lock(name, wait=1)
    def work(number: int) -> tuple[int, bool]:
        return number, other.inspect(name)

    assert work(7) == (7, True)
    assert work(8) == (8, True)
    assert not other.inspect(name)


def test_a_function_that_would_run_later_is_no_use(client: Client) -> None:
    async def coroutine() -> None: ...

    def generator() -> Iterator[int]:
        yield 1

    for function in (coroutine, generator):
        with pytest.raises(TypeError, match="after the lock's release"):
            client.lock("job")(function)


def test_names_are_as_the_daemon_has_them(client: Client, other: Client, name: str) -> None:
    odd = f"  größe \t 日本 {name}\udc80 "
    with client.lock(odd) as lock:
        assert lock.name == f"größe 日本 {name}\udc80"
        assert other.inspect(lock.name)
        assert [each.name for each in other.holders(lock.name)] == [lock.name]
    with pytest.raises(ValueError, match="line end"):
        client.lock("one\ng two")
    with pytest.raises(ValueError, match="longer"):
        client.lock("x" * 4096)


@pytest.mark.parametrize(
    "wrong", [{"wait": -1}, {"wait": math.nan}, {"lease": 0}, {"lease": -1}, {"lease": math.nan}]
)
def test_arguments_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    client = Client("tcp://127.0.0.1:1")
    with pytest.raises(ValueError, match="must be"):
        client.lock("job", **wrong)
    with pytest.raises(ValueError, match="limit"):
        client.shared("job", limit=0)
    with pytest.raises(ValueError, match="timeout"):
        Client(timeout=math.inf)


# Loss


def test_a_lease_that_ends_is_told(client: Client, other: Client, name: str) -> None:
    told: list[Lock] = []
    with (
        pytest.raises(LockLost, match="expired") as caught,
        client.lock(name, lease=0.05, on_lost=told.append) as lock,
    ):
        assert lock.lost.wait(10)
        assert lock.reason == "expired"
        with pytest.raises(LockLost):
            lock.check()
        with pytest.raises(LockLost):
            lock.renew(5)
    assert not isinstance(caught.value, ConnectionLost)
    until(lambda: told == [lock])
    with client.lock(name):
        assert other.inspect(name)


def test_a_lease_that_ends_is_told_at_the_end_without_watching(
    client: Client, other: Client, name: str
) -> None:
    with pytest.raises(LockLost), client.lock(name, lease=0.01):
        until(lambda: not other.inspect(name))


def test_a_lease_is_renewed_from_now_on(client: Client, other: Client, name: str) -> None:
    def left() -> float | None:
        found: float | None = other.explain(name)["exclusive"]["holders"][0]["lease"]
        return found

    with client.lock(name, lease=60) as lock:
        first = left()
        assert first is not None
        assert first <= 60
        lock.renew(3600)
        second = left()
        assert second is not None
        assert 60 < second <= 3600
        lock.renew(math.inf)
        assert left() is None
        lock.check()


def test_a_released_lock_is_not_told_lost(client: Client, name: str) -> None:
    told: list[Lock] = []
    with client.lock(name, on_lost=told.append) as lock:
        lost = lock.lost
    client.close()
    assert not lost.is_set()
    assert not told


def test_a_callback_that_fails_does_no_harm(
    client: Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(lock: Lock) -> None:
        raise OSError("the callback's own trouble")

    with pytest.raises(LockLost), client.lock(name, lease=0.01, on_lost=fail) as lock:
        assert lock.lost.wait(10)
    until(lambda: "the callback's own trouble" in caplog.text)
    with client.lock(name):
        pass


@pytest.mark.parametrize("door", TRANSPORTS)
def test_a_daemon_that_dies_takes_the_locks(tmp_path: Path, door: str) -> None:
    told: list[Lock] = []
    with daemon(tmp_path) as server, Client(server.url_of(door)) as client:
        with pytest.raises(ConnectionLost, match="outer"), client.lock("outer", on_lost=told.append) as outer:
            with pytest.raises(ConnectionLost, match="inner"), client.lock("inner") as inner:
                server.kill()
                assert outer.lost.wait(10)
                assert inner.lost.wait(10)
                # It must not get a new connection, and locks, as long as it believes to hold the old ones.
                with pytest.raises(ConnectionLost):
                    client.lock("third").acquire()
            with pytest.raises(ConnectionLost):
                client.lock("third").acquire()
        until(lambda: told == [outer])
        with pytest.raises(Unreachable):
            client.lock("third").acquire()


def test_a_restarted_daemon_is_found_again(tmp_path: Path) -> None:
    with daemon(tmp_path) as server, Client(server.url) as client:
        with client.lock("job"):
            pass
        server.kill()
        with daemon(tmp_path, port=server.port), client.lock("job") as lock:
            assert lock.token


def test_an_error_in_the_body_is_not_hidden_by_the_loss(tmp_path: Path) -> None:
    with daemon(tmp_path) as server, Client(server.url) as client:
        with pytest.raises(KeyError) as caught, client.lock("job"):
            server.kill()
            raise KeyError("mine")
        assert any("was lost" in note for note in caught.value.__notes__)


def test_a_closed_client_has_lost_its_locks(client: Client, other: Client, name: str) -> None:
    lock = client.lock(name).acquire()
    client.close()
    until(lambda: not other.inspect(name))
    with pytest.raises(ConnectionLost, match="closed"):
        lock.release()
    with pytest.raises(RuntimeError, match="closed"):
        client.lock(name).acquire()


def test_a_daemon_that_does_not_answer_is_given_up(server: Daemon, name: str) -> None:
    with Client(server.url, timeout=0.2) as client, Client(server.unix_url) as other:
        lock = client.lock(name).acquire()
        server.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionLost, match=r"no answer within 0\.2 s"):
                lock.release()
            with pytest.raises(Unreachable):
                client.lock(name).acquire()
        finally:
            server.process.send_signal(signal.SIGCONT)
        until(lambda: not other.inspect(name))


def test_many_may_look_at_a_connection_at_once(client: Client, name: str) -> None:
    with client.lock(name) as lock:
        lock.lost.is_set()  # a thread watches
        failed: list[BaseException] = []

        def look() -> None:
            try:
                for _ in range(500):
                    assert not lock._session.is_lost
                    lock.check()
            except BaseException as error:
                failed.append(error)

        threads = [in_thread(look) for _ in range(3)]
        for thread in threads:
            thread.join()
        assert not failed


# Interruption


@pytest.mark.parametrize("holding", [False, True])
def test_an_interrupted_wait_leaves_nothing_behind(
    client: Client, other: Client, name: str, holding: bool
) -> None:
    with contextlib.ExitStack() as stack:
        if holding:
            stack.enter_context(client.lock(name + " another"))
        theirs = other.lock(name).acquire()

        def interrupt() -> None:
            until(lambda: waiters(other, name) == 1)
            interrupt_main_thread()

        thread = in_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.lock(name, wait=30).acquire()
        thread.join()
        until(lambda: waiters(other, name) == 0)
        theirs.release()
        assert not other.inspect(name)
        with client.lock(name):
            assert other.inspect(name)
        if holding:
            assert other.inspect(name + " another")


def test_an_interrupted_get_from_the_original_leaves_nothing_behind(
    original: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, receive = threading.Event(), Session._receive

    def note(session: Session, timeout: float) -> None:
        waiting.set()
        receive(session, timeout)

    interrupted, give_up = threading.Event(), Session._give_up

    def note_interrupt(session: Session, slot: Slot) -> None:
        interrupted.set()
        give_up(session, slot)

    monkeypatch.setattr(Session, "_receive", note)
    monkeypatch.setattr(Session, "_give_up", note_interrupt)
    with Client(original.url) as client, Client(original.url) as other, client.lock("kept"):
        answer = original.answer

        def slow(sock: socket.socket, verb: bytes, name: bytes) -> bytes:
            if verb == b"g":
                assert waiting.wait(10)
                # CPython forgets a signal that comes just before a system call until that ends.
                time.sleep(0.05)
                interrupt_main_thread()
                assert interrupted.wait(10)
            return answer(sock, verb, name)

        with monkeypatch.context() as patch:
            patch.setattr(original, "answer", slow)
            waiting.clear()
            with pytest.raises(KeyboardInterrupt):
                client.lock("job").acquire()
        assert not other.inspect("job")
        assert other.inspect("kept")


# Forks


def test_a_forked_child_holds_nothing_and_keeps_nothing_alive(
    client: Client, other: Client, name: str
) -> None:
    from_child, to_parent = os.pipe()
    to_child, from_parent = os.pipe()
    lock = client.lock(name).acquire()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            try:
                lock.check()
            except ConnectionLost:
                said = "lost"
            with client.lock(name + " child"):
                said += ", has its own"
        except BaseException as error:
            said = repr(error)
        os.write(to_parent, said.encode())
        os.close(from_parent)
        os.read(to_child, 1)  # outlive the parent's lock
        os._exit(0)
    try:
        assert os.read(from_child, 100) == b"lost, has its own"
        lock.check()
        assert other.inspect(name)
        client.close()
        until(lambda: not other.inspect(name))
    finally:
        os.close(from_parent)
        os.waitpid(child, 0)
        for fd in (from_child, to_parent, to_child):
            os.close(fd)


# Questions


def test_holders_are_listed(client: Client, url: str, name: str) -> None:
    with (
        Client(url, name="the other one") as other,
        other.lock(name),
        client.shared(name),
        other.shared(name),
    ):
        assert [(each.name, each.who) for each in client.holders(name)] == [(name, "the other one")]
        assert name in [each.name for each in client.holders()]
        assert len(client.holders(name, shared=True)) == 2
        assert client.holders(name + " of nobody") == []
        peers = client.who("the other one")
        assert {peer.name for peer in peers} == {"the other one"}
        assert client.explain(name)["exclusive"]["holders"][0]["name"] == "the other one"
        assert client.stats()["locks"] >= 1
    assert [each["event"] for each in client.history(name)] == ["granted", "granted", "granted"] + [
        "released"
    ] * 3
    assert client.history()[-1]["lock"] == name
    assert client.bound() == 30
    assert client.version().startswith("glockd ")
    assert 0 < client.ping() < 10


def test_kick_ends_a_session_where_it_is_allowed(server: Daemon, name: str) -> None:
    with Client(server.unix_url) as admin, Client(server.url, name=name) as victim:
        with pytest.raises(ConnectionLost), victim.lock(name):
            with pytest.raises(Disabled):
                victim.kick(name)
            assert admin.kick("nobody of that name") == 0
            # One that holds, and one that has just asked.
            assert admin.kick(name) == 2
            until(lambda: not admin.inspect(name))


# Opening


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    for url in (f"tcp://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", f"unix://{tmp_path}/none"):
        with pytest.raises(Unreachable, match=r"refused|No such file"):
            Client(url).ping()


@pytest.mark.parametrize(
    "greeting", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100 + b"\n"]
)
@pytest.mark.parametrize("scheme", ["tcp", "ws"])
def test_something_else_there_is_an_error_of_ours(scheme: str, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(100)
                sock.sendall(greeting)

        thread = in_thread(serve)
        with Client(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}") as client, pytest.raises(GlockError):
            client.ping()
        thread.join()


def test_something_silent_there_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, timeout=0.2) as client, pytest.raises((Unreachable, ConnectionLost)):
            client.ping()


def test_the_server_comes_from_the_environment(server: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOCK_SERVER", server.unix_url)
    with Client() as client:
        assert client.urls == [server.unix_url]
        assert client.ping()
    monkeypatch.delenv("GLOCK_SERVER")
    assert Client().urls == ["tcp://127.0.0.1:9999"]
    assert Client("tcp://[::1]").urls == ["tcp://[::1]:9999"]


def test_the_secret_is_shown_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    with daemon(tmp_path, "-auth-file", str(secret)) as server:
        for url in (server.url, server.unix_url, server.ws_url):
            with Client(url, secret="open sesame") as client, client.lock("job") as lock:
                assert lock.token
            for wrong in (None, "guess"):
                with Client(url, secret=wrong) as client, pytest.raises(NotAuthorised):
                    client.lock("job").acquire()
        monkeypatch.setenv("GLOCK_SECRET", "open sesame")
        with Client(server.url) as client:
            assert client.ping()


def test_a_secret_for_a_daemon_that_wants_none_does_no_harm(server: Daemon) -> None:
    with Client(server.url, secret="for nothing") as client:
        assert client.ping()


# The original


def test_the_original_is_good_enough_for_the_old_words(original: Original) -> None:
    with Client(original.url, name="one") as client, Client(original.url) as other:
        with client.lock("job") as lock:
            assert lock.token is None
            with pytest.raises(LockBusy):
                other.lock("job", wait=0).acquire()
            with pytest.raises(WaitTimeout):
                other.lock("job", wait=0.05).acquire()
            assert [(each.name, each.who) for each in other.holders()] == [("job", "one")]
            assert other.holders("free") == []
        with client.shared("s"), other.shared("s") as second:
            assert second.holders == 2
            assert len(client.holders("s", shared=True)) == 2
        assert client.stats()["locks"] == 0
        assert client.version() == ""
        assert client.ping() > 0
        for question in (
            lambda: client.explain("job"),
            client.history,
            client.bound,
            lambda: client.check(1, "job"),
        ):
            with pytest.raises(Unsupported):
                question()


def test_who_waits_at_the_original_gets_it_in_the_end(original: Original) -> None:
    with Client(original.url) as client, Client(original.url) as other:
        lock = client.lock("job").acquire()
        got = threading.Event()

        def wait() -> None:
            with other.lock("job", wait=30):
                got.set()

        thread = in_thread(wait)
        until(lambda: original.lines.count(b"g job") > 2)
        lock.release()
        thread.join()
        assert got.is_set()


def test_an_original_that_goes_takes_the_locks(original: Original) -> None:
    with Client(original.url) as client, pytest.raises(ConnectionLost), client.lock("job") as lock:
        original.close()
        assert lock.lost.wait(10)


def test_a_reply_that_makes_no_sense_ends_the_connection(
    original: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(original.url) as client:
        client.ping()
        nonsense = b"1 Lock Get Success: something else\r\n"
        monkeypatch.setattr(original, "answer", lambda sock, verb, name: nonsense)
        with pytest.raises(ProtocolError):
            client.lock("job").acquire()
