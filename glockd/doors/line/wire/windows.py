"""Booked windows: what the line language says of them. The door of windows carries it out, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glockd.doors.line.wire.language import DISABLED

if TYPE_CHECKING:
    from glockd.doors.line.wire.conversation import Conversation


def book(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`book START LENGTH SLIP NAME`: have a name for oneself for a stretch of time."""
    return _at_door(talk, b"book", argument, now)


def shared_book(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`sbook START LENGTH SLIP NAME`: have a name for a stretch of time, beside others who share it."""
    return _at_door(talk, b"sbook", argument, now)


def bookings(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`bookings [NAME]`: windows that are on or to come."""
    return _at_door(talk, b"bookings", argument, now)


def unbook(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`unbook ID`: give a window back, or end it."""
    return _at_door(talk, b"unbook", argument, now)


def _at_door(talk: Conversation, word: bytes, argument: bytes, now: float) -> bytes | None:
    handler = talk.vocabulary.elsewhere.get(word)
    return DISABLED if handler is None else handler(talk, argument, now)
