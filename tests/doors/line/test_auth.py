"""With -auth-file, nothing but `auth` is served before it."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from glockd.doors.line.wire.language import VERBS
from glockd.policy import read_secrets
from tests.support.clients import Client, StreamClient, WebSocketClient, encoded, wait_until
from tests.support.conversations import VOCABULARY, ConversationDaemon
from tests.support.locks import is_cut_off
from tests.support.process import Glockd, run_glockd

SECRETS = ("s3cret", "correct horse battery staple", "gr\u00fc\u00df dich")
FILE = f"\n{SECRETS[0]}\n   {SECRETS[1].replace(' ', '   ')}  \r\n\n{SECRETS[2]}\n"
LINES = [*(verb.syntax.replace("[", "").replace("]", "") for verb in VERBS.values() if verb.word != b"auth")]
JUNK = [
    "",
    " ",
    "nonsense",
    "AUTH s3cret",
    "authenticate s3cret",
    "auth\ts3cret",
    b"\xff\xfe",
    "s3cret",
    "help me",
]
WRONG = [
    "auth",
    "auth ",
    "auth wrong",
    "auth s3cre",
    "auth s3cretX",
    "auth S3CRET",
    "auth s3cret x",
    "auth s3cret, g",
]


class GuardedProcess:
    def __init__(self, process: Glockd, transport: str) -> None:
        self.process, self.transport = process, transport

    def client(self) -> Client:
        return self.process.client(self.transport)


@pytest.fixture(scope="module")
def guarded_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glockd]:
    """A daemon with secrets, that logs all it ever logs."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "secrets").write_text(FILE)
    process = Glockd(
        folder, "-auth-file", str(folder / "secrets"), "-verbose", "-log-level", "debug", "-history", "100"
    )
    yield process
    process.stop()


@pytest.fixture
def guarded(request: pytest.FixtureRequest, transport: str) -> GuardedProcess | ConversationDaemon:
    """A daemon that wants one of SECRETS first, on every transport."""
    if transport == "conversation":
        daemon = ConversationDaemon()
        daemon.observer.client.talk.authorise()  # type: ignore[attr-defined]
        daemon.policy.secrets = tuple(encoded(secret) for secret in SECRETS)
        return daemon
    return GuardedProcess(request.getfixturevalue("guarded_process"), transport)


Guarded = GuardedProcess | ConversationDaemon


@pytest.mark.parametrize("line", [*LINES, *JUNK])
def test_nothing_is_served_before_auth(guarded: Guarded, line: str | bytes) -> None:
    alice = guarded.client()
    alice.says(line, "g job")
    alice.asked.clear()
    alice.hears_bytes("0 Not Authorised\n")
    is_cut_off(alice)


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_secret_closes(guarded: Guarded, line: str) -> None:
    alice = guarded.client()
    alice.says(line, "auth s3cret", "g job")
    alice.asked.clear()
    alice.hears_bytes("0 Not Authorised\n")
    is_cut_off(alice)


@pytest.mark.parametrize("secret", SECRETS)
def test_each_secret_in_the_file_opens(guarded: Guarded, secret: str) -> None:
    alice = guarded.client()
    alice.says(f"auth {secret}").hears("1 ok")
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("wait 5 job").hears("1 Lock Get Success: job")
    alice.says("nonsense").hears_nothing()
    alice.says("r job").hears("1 Lock Release Success: job")
    alice.hangs_up()


def test_what_follows_auth_in_one_packet_is_served(guarded: Guarded) -> None:
    alice = guarded.client()
    alice.says("auth s3cret", "g packet", "nonsense", "ping", "r packet")
    alice.hears("1 ok").hears("1 Lock Get Success: packet").hears_nothing().hears("1 pong")
    alice.hears("1 Lock Release Success: packet")
    alice.hangs_up()


def test_auth_may_be_said_again(guarded: Guarded) -> None:
    alice = guarded.client()
    alice.says("auth s3cret", f"auth {SECRETS[1]}").hears("1 ok").hears("1 ok")
    alice.says("g job").hears("1 Lock Get Success: job")
    alice.says("auth wrong").hears("0 Not Authorised")
    is_cut_off(alice)
    bob = guarded.client()
    bob.says("auth s3cret").hears("1 ok")
    bob.says("wait 20 job").hears("1 Lock Get Success: job")
    bob.says("r job").hears("1 Lock Release Success: job")
    bob.hangs_up()


def test_nothing_that_was_refused_has_been_done(guarded: Guarded) -> None:
    alice, bob = guarded.client(), guarded.client()
    bob.says("auth s3cret").hears("1 ok")
    alice.says("g refused", "g refused").hears_bytes("0 Not Authorised\n")
    is_cut_off(alice)
    bob.says("i refused").hears("0 Lock Not Locked: refused")
    bob.says("who").hears_nothing()
    bob.hangs_up()


@pytest.mark.transports("tcp", "unix")
def test_an_unfinished_line_is_not_served_either(guarded: GuardedProcess) -> None:
    alice = guarded.client()
    assert isinstance(alice, StreamClient)
    alice.sends("g job").finishes().hears_bytes("0 Not Authorised\n")
    alice.is_hung_up_on()
    bob = guarded.client()
    assert isinstance(bob, StreamClient)
    bob.sends("auth s3cret").finishes().hears_bytes("1 ok\n").is_hung_up_on()


@pytest.mark.transports("websocket")
def test_a_refused_websocket_is_closed_properly(guarded: GuardedProcess) -> None:
    alice = guarded.client()
    assert isinstance(alice, WebSocketClient)
    alice.says("ping").hears("0 Not Authorised").hears_close(1000)


def test_every_comparison_is_in_constant_time_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    class Unequal(bytes):
        """A secret that no comparison but the right one may touch."""

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared with ==")

        def __hash__(self) -> int:
            raise AssertionError("looked up")

    real = hmac.compare_digest

    def note(one: bytes, other: bytes) -> bool:
        compared.append((bytes(one), bytes(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", note)
    daemon = ConversationDaemon()
    daemon.policy.secrets = tuple(Unequal(encoded(secret)) for secret in SECRETS)
    wanted = [encoded(secret) for secret in SECRETS]
    for said in ("wrong", *SECRETS):
        compared.clear()
        alice = daemon.client()
        alice.says(f"auth {said}").hears("0 Not Authorised" if said == "wrong" else "1 ok")
        assert compared == [(encoded(said), one) for one in wanted]


def test_no_secret_is_ever_logged(guarded_process: Glockd) -> None:
    """Not the right ones, nor wrong ones, nor what looks like one; on a daemon that logs everything."""
    said = ["auth s3cret", "auth not-it-4711", "AUTH not-it-4712", "auth\tnot-it-4713", "not-it-4714"]
    for transport in ("tcp", "unix", "websocket"):
        for line in said:
            client = guarded_process.client(transport)
            client.says(line).hears_a_line()
            client.sock.close()
        client = guarded_process.client(transport)
        client.says(f"auth {SECRETS[1]}", "g logged", "r logged", f"auth {SECRETS[2]}", "auth not-it-4715")
        for _ in range(5):
            client.hears_a_line()
        client.sock.close()
    last = guarded_process.client("tcp")
    last.says("auth s3cret", "g the-last-one").hears("1 ok").hears("1 Lock Get Success: the-last-one")
    guarded_process.logs("granted", "the-last-one")
    log = guarded_process.stderr
    assert log.count("connected") > 10
    for word in (*SECRETS, "not-it", "battery", "horse"):
        assert word not in log
    last.hangs_up()


def test_without_secrets_auth_is_welcome_and_means_nothing() -> None:
    daemon = ConversationDaemon()
    alice = daemon.client()
    alice.says("g job", "auth anything", "auth").hears("1 Lock Get Success: job").hears("1 ok").hears("1 ok")
    alice.says("r job").hears("1 Lock Release Success: job")


def test_both_tables_of_verbs_are_guarded() -> None:
    """If a verb is added that this module does not try, this fails."""
    tried = {encoded(line).split(b" ")[0] for line in LINES}
    assert tried | {b"auth"} == set(VOCABULARY.words)


# The file


def test_secrets_are_read_as_the_line_language_would(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_bytes("  a \t b \n\n\u2003c\u00a0d\u3000\r\n\xff\n".encode() + b"\xfe\n")
    assert read_secrets(str(path)) == (b"a b", b"c d", b"\xc3\xbf", b"\xfe")
    assert read_secrets("") == ()


@pytest.mark.parametrize(
    ("content", "reason"), [("\n \n\t\n", "there is no secret in it"), (None, "No such file or directory")]
)
def test_a_file_without_secrets_is_no_open_door(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "secrets"
    if content is not None:
        path.write_text(content)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        result = run_glockd("-port", "0", "-ws", "0", "-auth-file", str(path))
    assert result.returncode == 1
    assert result.stderr == f"glockd: -auth-file: {path}: {reason}\n"


def test_a_client_is_refused_while_others_work(guarded_process: Glockd) -> None:
    bob = guarded_process.client("tcp")
    bob.says("auth s3cret", "g held").hears("1 ok").hears("1 Lock Get Success: held")
    for _ in range(20):
        alice = guarded_process.client("tcp")
        alice.says("auth wrong").hears("0 Not Authorised")
        is_cut_off(alice)
    bob.says("q")
    bob.asked.clear()
    reply = b""
    while b"shared_orphans" not in reply:
        reply += bob.hears_a_line()
    assert b"locks: 1\n" in reply
    bob.hangs_up()
    wait_until(lambda: guarded_process.is_running)
