"""Conversations in messages, without a websocket: what is answered when, and what is held back until then."""

from __future__ import annotations

import pytest

from glockd.core.events import Granted
from glockd.core.sessions import Session
from glockd.doors.line.wire import commands, conversation, messages
from glockd.doors.line.wire.messages import MessageConversation
from tests.support.clients import WHITE_SPACE
from tests.support.conversations import VOCABULARY, ConversationDaemon


class MessageClient:
    """A client that sends messages; nothing goes on behind a pause before the test says so."""

    def __init__(self, daemon: ConversationDaemon) -> None:
        self.daemon = daemon
        daemon.serial += 1
        self.session = Session(b"message:%d" % daemon.serial, "websocket", daemon.now)
        daemon.state.registry.add(self.session)
        self.talk = MessageConversation(daemon.state, self.session, daemon.policy, daemon.outbox, VOCABULARY)
        self.told: list[bytes] = []
        daemon.talks[self.session] = self  # type: ignore[assignment]

    def sends(self, message: bytes) -> list[bytes]:
        """The messages that come back at once."""
        replies = self.talk.receive(message, self.daemon.now)
        self.daemon.deliver()
        return replies

    def goes_on(self, granted: Granted | None = None) -> None:
        self.told.append(self.talk.granted(granted) if granted else self.talk.timed_out())

    def resumes(self) -> list[bytes]:
        """What comes back when it is this client's turn again."""
        replies = self.talk.resume(self.daemon.now)
        self.daemon.deliver()
        return replies

    @property
    def held_back(self) -> int:
        assert self.talk.held_back == sum(map(len, self.talk.unread))
        return self.talk.held_back


@pytest.fixture
def quiet() -> ConversationDaemon:
    return ConversationDaemon()


def pair(daemon: ConversationDaemon, *awaited: bytes) -> tuple[MessageClient, MessageClient]:
    """Alice, who holds what Bob awaits, and Bob."""
    alice, bob = MessageClient(daemon), MessageClient(daemon)
    for name in awaited:
        assert alice.sends(b"g " + name) == [b"1 Lock Get Success: " + name + b"\r\n"]
    return alice, bob


@pytest.mark.parametrize("line", [b"g job", b"g  job", b" g job", b"g job ", b"\tg job\r\n", b"g \n job\n"])
def test_white_space_in_a_message_is_as_in_a_line(quiet: ConversationDaemon, line: bytes) -> None:
    alice = MessageClient(quiet)
    assert alice.sends(line) == [b"1 Lock Get Success: job\r\n"]
    assert alice.sends(b"nonsense") == [b""]
    assert not alice.talk.more
    counted = quiet.state.stats
    assert (counted.commands[b"g"], counted.invalid_commands) == (1, 1)


def test_a_plain_message_needs_no_second_look(
    quiet: ConversationDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short way through carry_out: half of a websocket's throughput hangs on it."""
    alice = MessageClient(quiet)
    monkeypatch.setattr(conversation, "trim", None)
    monkeypatch.setattr(conversation, "normalise", None)
    assert alice.sends(b"g job") == [b"1 Lock Get Success: job\r\n"]
    assert alice.sends(b"r job") == [b"1 Lock Release Success: job\n"]


def test_what_comes_during_a_wait_is_answered_behind_it(quiet: ConversationDaemon) -> None:
    alice, bob = pair(quiet, b"job")
    assert bob.sends(b"wait 9 job") == []
    assert bob.held_back == 0
    assert bob.sends(b"g other") == []
    assert bob.sends(b"ping") == []
    assert bob.held_back == 11
    assert bob.resumes() == []
    assert bob.held_back == 11
    assert alice.sends(b"r job") == [b"1 Lock Release Success: job\n"]
    assert bob.told == [b"1 Lock Get Success: job\n"]
    assert bob.talk.more
    assert bob.resumes() == [b"1 Lock Get Success: other\r\n", b"1 pong\n"]
    assert (bob.held_back, bob.talk.more) == (0, False)
    assert bob.sends(b"ping") == [b"1 pong\n"]


def test_a_wait_in_vain_goes_on_too(quiet: ConversationDaemon) -> None:
    _, bob = pair(quiet, b"job")
    assert bob.sends(b"wait 1 job") == []
    assert bob.sends(b"ping") == []
    quiet.passes(1)
    assert bob.told == [b"0 Lock Get Failure: job\n"]
    assert bob.resumes() == [b"1 pong\n"]


def test_nothing_held_back_means_nothing_to_resume(quiet: ConversationDaemon) -> None:
    alice, bob = pair(quiet, b"job")
    assert bob.sends(b"wait 9 job") == []
    alice.sends(b"r job")
    assert not bob.talk.more
    assert bob.sends(b"ping") == [b"1 pong\n"]


def test_only_a_cancel_overtakes(quiet: ConversationDaemon) -> None:
    _, bob = pair(quiet, b"job")
    assert bob.sends(b"wait 9 job") == []
    assert bob.sends(b"ping") == []
    assert bob.sends(b"cancel job") == []
    assert bob.sends(b"\tcancel ") == [b"0 Lock Get Failure: job\n", b"1 Cancelled\n"]
    assert bob.resumes() == [b"1 pong\n", b""]
    assert bob.sends(b"cancel") == [b"0 Nothing To Cancel\n"]
    assert quiet.state.stats.commands[b"cancel"] == 2


def test_a_cancel_behind_a_pause_takes_its_turn(quiet: ConversationDaemon) -> None:
    alice = MessageClient(quiet)
    alice.sends(b"iam A")
    assert alice.sends(b"who") == [alice.session.address + b": A\n"]
    assert alice.talk.more
    assert alice.sends(b"cancel") == []
    assert alice.sends(b"ping") == []
    assert alice.held_back == 10
    assert alice.resumes() == [b"0 Nothing To Cancel\n", b"1 pong\n"]
    assert not alice.talk.more


def test_another_wait_may_be_among_what_was_held_back(quiet: ConversationDaemon) -> None:
    alice, bob = pair(quiet, b"one", b"two")
    for message in (b"wait 9 one", b"ping", b"wait 9 two", b"version", b"ping"):
        assert bob.sends(message) == []
    alice.sends(b"r one")
    assert bob.resumes() == [b"1 pong\n"]
    assert not bob.talk.more
    assert bob.sends(b"me") == []
    alice.sends(b"r two")
    version, pong, me = bob.resumes()
    assert version.startswith(b"1 glockd ")
    assert (pong, me) == (b"1 pong\n", b"1 %s %s\n" % (bob.session.address, bob.session.address))
    assert bob.told == [b"1 Lock Get Success: one\n", b"1 Lock Get Success: two\n"]


@pytest.mark.parametrize(("held_back", "turns"), [(2, [2]), (3, [3]), (4, [3, 1]), (7, [3, 3, 1])])
def test_others_have_their_turn_between_many_messages(
    quiet: ConversationDaemon, monkeypatch: pytest.MonkeyPatch, held_back: int, turns: list[int]
) -> None:
    monkeypatch.setattr(messages, "MESSAGES_A_TURN", 3)
    alice, bob = pair(quiet, b"job")
    bob.sends(b"wait 9 job")
    for _ in range(held_back):
        bob.sends(b"ping")
    alice.sends(b"r job")
    taken = []
    while bob.talk.more:
        replies = bob.resumes()
        assert set(replies) == {b"1 pong\n"}
        taken.append(len(replies))
    assert taken == turns


def test_a_wait_at_the_end_of_a_turn_is_waited_for(
    quiet: ConversationDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MESSAGES_A_TURN", 2)
    alice, bob = pair(quiet, b"one", b"two")
    for message in (b"wait 9 one", b"ping", b"wait 9 two", b"ping"):
        bob.sends(message)
    alice.sends(b"r one")
    assert bob.resumes() == [b"1 pong\n"]
    assert not bob.talk.more
    alice.sends(b"r two")
    assert bob.resumes() == [b"1 pong\n"]


@pytest.mark.parametrize("verb", [b"d", b"sd", b"dump", b"dump shared"])
def test_a_long_listing_is_one_message(
    quiet: ConversationDaemon, monkeypatch: pytest.MonkeyPatch, verb: bytes
) -> None:
    alice, bob = pair(quiet, *(b"lock-%d" % number for number in range(7)))
    for number in range(7):
        alice.sends(b"sg lock-%d" % number)
    (wanted,) = bob.sends(verb)
    assert bob.resumes() == []
    monkeypatch.setattr(commands, "SLICE", 2)
    assert bob.sends(verb) == []
    assert bob.talk.more
    assert bob.sends(b"ping") == []
    assert bob.sends(verb) == []
    assert bob.sends(b"version") == []
    turns = []
    while bob.talk.more:
        turns.append(bob.resumes())
    assert len(turns) > 6
    first, pong, second, version = (reply for turn in turns for reply in turn)
    assert first == second == wanted
    assert pong == b"1 pong\n"
    assert version.startswith(b"1 glockd ")
    assert bob.held_back == 0
    # What is short is said at once again.
    (short,) = bob.sends(b"d lock-1")
    assert short.startswith(b"lock-1: ")
    assert bob.resumes() == []
    assert bob.sends(b"ping") == [b"1 pong\n"]


def with_secret() -> tuple[ConversationDaemon, MessageClient]:
    daemon = ConversationDaemon()
    daemon.policy.secrets = (b"s", b"second")
    return daemon, MessageClient(daemon)


@pytest.mark.parametrize("secret", [b"s", b"second"])
def test_any_secret_opens_a_conversation(secret: bytes) -> None:
    daemon, alice = with_secret()
    assert alice.sends(b"auth " + secret) == [b"1 ok\n"]
    assert not alice.talk.more
    assert alice.sends(b"ping") == [b"1 pong\n"]
    assert not alice.talk.over
    assert daemon.policy.refused == {}


@pytest.mark.parametrize("message", [b"g job", b"auth S", b"auth", b"ping", b"nonsense", b"auth x y"])
def test_who_has_no_secret_is_told_once_and_counted(message: bytes) -> None:
    daemon, alice = with_secret()
    assert alice.sends(message) == [b"0 Not Authorised\n"]
    assert alice.talk.over
    assert not alice.talk.more
    assert daemon.policy.refused == {"auth": 1}
    assert alice.sends(b"auth s") == []
    assert alice.held_back == 0
    assert alice.resumes() == []
    assert len(daemon.state.exclusive) == 0


def test_what_comes_behind_the_end_is_not_carried_out() -> None:
    daemon, alice = with_secret()
    bob = MessageClient(daemon)
    for client in (alice, bob):
        assert client.sends(b"auth s") == [b"1 ok\n"]
    alice.sends(b"g job")
    for message in (b"wait 9 job", b"ping", b"auth wrong", b"g other"):
        assert bob.sends(message) == []
    alice.sends(b"r job")
    assert bob.resumes() == [b"1 pong\n", b"0 Not Authorised\n"]
    assert bob.talk.over
    assert not bob.talk.more
    assert not daemon.state.exclusive.is_held(b"other")
    assert bob.sends(b"cancel") == []


MANY = (1 << 20) - 64  # bytes, and some for the verb
SPACES = WHITE_SPACE.encode()


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        (b"x " * (MANY // 2), b"x " * (MANY // 2 - 1) + b"x"),
        (b"x" + b" " * MANY + b"y", b"x y"),
        ("x\u3000".encode() * (MANY // 4), b"x " * (MANY // 4 - 1) + b"x"),
        ("\u3000".encode() * (MANY // 3), b""),
        ("\u00a0x\u2003\t".encode() * (MANY // 7), b"x " * (MANY // 7 - 1) + b"x"),
        ((b"x" + SPACES) * (MANY // (len(SPACES) + 1)), b"x " * (MANY // (len(SPACES) + 1) - 1) + b"x"),
        (b"\xe2\x80 " * (MANY // 3), b"\xe2\x80 " * (MANY // 3 - 1) + b"\xe2\x80"),
    ],
    ids=["words", "one run", "wide", "nothing else", "mixed", "all kinds", "halves"],
)
def test_a_message_may_have_any_number_of_words(
    quiet: ConversationDaemon, argument: bytes, name: bytes
) -> None:
    alice = MessageClient(quiet)
    assert alice.sends(b"g " + argument) == [b"1 Lock Get Success: " + name + b"\r\n"]
    assert quiet.policy.refused == {}


@pytest.mark.parametrize(
    ("spaces", "size", "refused"),
    [
        (messages.WORDY + 1, messages.LARGE + 1, True),
        (messages.WORDY, messages.LARGE + 1, False),
        (messages.WORDY + 1, messages.LARGE, False),
    ],
)
def test_a_message_of_very_many_words_is_no_name(
    quiet: ConversationDaemon, spaces: int, size: int, refused: bool
) -> None:
    alice = MessageClient(quiet)
    message = b"g" + b" x" * spaces
    message += b"x" * (size - len(message))
    (reply,) = alice.sends(message)
    assert reply == (
        b"0 Name Too Long: " + message[:64] + b"\n"
        if refused
        else b"1 Lock Get Success: " + message[2:] + b"\r\n"
    )
    assert quiet.policy.refused == ({"names": 1} if refused else {})
