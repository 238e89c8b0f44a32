"""`help`: what there is to say, for who talks by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glockd.doors.line.wire.language import HINT, LF, VERBS

if TYPE_CHECKING:
    from glockd.doors.line.wire.conversation import Conversation

BOOKINGS = {b"book", b"sbook", b"bookings", b"unbook"}

# The longest syntax, and two blanks behind it.
_WIDTH = max(len(verb.syntax) for verb in VERBS.values()) + 2


def verbs(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`help`: the verbs in force, and where there is more."""
    words = _in_force(talk)
    return b"%d %b" % (len(words), b" ".join(words)) + HINT + LF


def every_verb(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`help all`: a line for each verb in force, with what it does."""
    if talk.deaf:
        return b""
    return talk.pause_behind(b"".join(_line(word) for word in _in_force(talk)))


def one_verb(talk: Conversation, word: bytes, now: float) -> bytes:
    """`help VERB`: its syntax and its replies, in force or not."""
    verb = VERBS[word]
    said = b" | ".join(verb.replies)
    return f"1 {verb.syntax}: {verb.does} -> ".encode() + said + LF


def _line(word: bytes) -> bytes:
    verb = VERBS.get(word)
    return word + LF if verb is None else f"{verb.syntax:{_WIDTH}}{verb.does}\n".encode()


def _in_force(talk: Conversation) -> list[bytes]:
    config = talk.policy.config
    out_of_force: set[bytes] = set()
    if not config.dump:
        out_of_force |= {b"d", b"sd", b"dump", b"who", b"pool", b"bookings", b"explain", b"history", b"find"}
    # They are their door's, and there is none unless an option says where.
    out_of_force |= BOOKINGS - talk.vocabulary.elsewhere.keys()
    if not config.registry:
        out_of_force |= {b"iam", b"who"}
    if not config.history:
        out_of_force.add(b"history")
    if not talk.may_kick():
        out_of_force.add(b"kick")
    return [word for word in talk.vocabulary.words if word not in out_of_force]
