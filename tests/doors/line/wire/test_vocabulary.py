"""Verbs that other doors offer stand beside the line language's own."""

from __future__ import annotations

from collections import deque

from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.wire.handlers import Vocabulary
from glockd.doors.line.wire.lines import LineConversation
from glockd.policy import Policy
from glockd.service import Talk


def hire(talk: Talk, argument: bytes, now: float) -> bytes | None:
    return b"1 " + argument + b" by " + talk.session.address + b"\n"


def slowly(talk: Talk, argument: bytes, now: float) -> bytes | None:
    return talk.pause_behind(b"1 at length\n")


def conversation(policy: Policy) -> LineConversation:
    vocabulary = Vocabulary({b"hire": hire, b"slowly": slowly})
    state = State(verbs=vocabulary.words)
    session = Session(b"address")
    state.registry.add(session)
    return LineConversation(state, session, policy, deque(), vocabulary)


def test_an_offered_verb_is_carried_out_and_counted() -> None:
    talk = conversation(Policy())
    assert talk.receive(b"hire  two  rooms\n", 0.0) == b"1 two rooms by address\n"
    assert talk.state.stats.commands[b"hire"] == 1
    assert b" hire" in talk.receive(b"help\n", 0.0)


def test_an_offered_verb_may_let_others_have_their_turn() -> None:
    talk = conversation(Policy())
    assert talk.receive(b"slowly\nping\n", 0.0) == b"1 at length\n"
    assert talk.resume(0.0) == b"1 pong\n"


def test_an_offered_verb_is_guarded_as_all_are() -> None:
    talk = conversation(Policy(secrets=(b"s",)))
    assert talk.receive(b"hire a room\n", 0.0) == b"0 Not Authorised\n"
    assert talk.over


def test_what_nobody_offers_is_no_command() -> None:
    vocabulary = Vocabulary()
    talk = LineConversation(State(verbs=vocabulary.words), Session(b"a"), Policy(), deque(), vocabulary)
    assert talk.receive(b"hire a room\n", 0.0) == b""
    assert talk.state.stats.invalid_commands == 1
