"""The Python client's side of the line language, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from glock.errors import (
    BadArgument,
    ConnectionLost,
    Disabled,
    LimitReached,
    LockBusy,
    LockLost,
    NotAuthorised,
    ProtocolError,
    Unsupported,
    WaitTimeout,
)
from glock.wire import questions, recipes
from glock.wire.conversation import Ask, Conversation, Pause, Slot
from glock.wire.language import MAX_LINE, encode, line, refuse, seconds
from glock.wire.recipes import Recipe, Want
from hypothesis import given
from hypothesis import strategies as st

from glockd.core.names import normalise


class Talk:
    """A recipe, and what is said to it in place of a server."""

    def __init__(self, talk: Conversation, recipe: Recipe[object]) -> None:
        self.talk, self.recipe = talk, recipe
        self.slot: Slot | None = None
        self.pauses: list[float] = []
        self.result: object = None
        self.go(next, recipe)

    def go(self, step: Callable[..., Ask | Pause], *arguments: object) -> None:
        try:
            wanted = step(*arguments)
            while isinstance(wanted, Pause):
                self.pauses.append(wanted.seconds)
                wanted = self.recipe.send([])
        except StopIteration as done:
            self.result = done.value
            self.slot = None
            return
        assert isinstance(wanted, Ask)
        self.slot = Slot(wanted)
        self.talk.submit(self.slot)

    def says(self, data: bytes) -> Talk:
        assert self.talk.outgoing() == data
        return self

    def hears(self, data: bytes) -> Talk:
        self.talk.feed(data)
        while self.slot is not None and self.slot.done:
            self.go(self.recipe.send, self.slot.result())
        return self


def modern() -> Conversation:
    talk = Conversation()
    talk.modern = True
    return talk


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")))
def test_names_are_normalised_as_the_daemon_does(name: str) -> None:
    assert encode(name) == normalise(name.encode())


@given(st.binary())
def test_names_of_any_bytes_are_normalised_as_the_daemon_does(name: bytes) -> None:
    if b"\n" in name or b"\r" in name:
        with pytest.raises(ValueError, match="line end"):
            encode(name)
    else:
        assert encode(name) == normalise(name)


def test_a_line_that_the_daemon_would_cut_is_refused() -> None:
    assert len(line(b"g", b"x" * (MAX_LINE - 2))) == 4096
    with pytest.raises(ValueError, match="longer than 4095 bytes"):
        line(b"g", b"x" * (MAX_LINE - 1))
    with pytest.raises(ValueError, match="longer than"):
        encode("x" * 4096)


@pytest.mark.parametrize(
    ("value", "spelled"),
    [(0, b"0"), (5, b"5"), (0.25, b"0.25"), (1e-9, b"0"), (1e9, b"1000000000"), (float("inf"), b"inf")],
)
def test_seconds_are_decimals(value: float, spelled: bytes) -> None:
    assert seconds(value) == spelled


@pytest.mark.parametrize("value", [-1, float("nan"), float("-inf")])
def test_seconds_that_make_no_sense_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        seconds(value)
    with pytest.raises(ValueError, match="wait"):
        Want(b"job", wait=value)


def test_get_and_token_go_in_one_packet() -> None:
    talk = modern()
    get = Talk(talk, recipes.acquire(talk, Want(b"job", wait=0)))
    get.says(b"g job\ntoken job\n").hears(b"1 Lock Get Success: job\r\n17 Lock Token: job\n")
    assert talk.holds[False, b"job"].token == 17


def test_a_reply_in_pieces_is_a_reply() -> None:
    whole = b"1 Lock Get Success: job\r\n17 Lock Token: job\n"
    talk = modern()
    get = Talk(talk, recipes.acquire(talk, Want(b"job", wait=0)))
    for byte in whole:
        assert get.slot is not None
        get.hears(bytes([byte]))
    assert (False, b"job") in talk.holds


@pytest.mark.parametrize(
    ("want", "says"),
    [
        (Want(b"a b", wait=1.5), b"wait 1.5 a b\ntoken a b\n"),
        (Want(b"a b", wait=float("inf"), lease=9), b"wait inf a b\ntoken a b\nlease 9 a b\n"),
        (Want(b"a b", "read", wait=0), b"read 0 a b\ntoken a b\n"),
        (Want(b"a b", "shared"), b"sg a b\n"),
        (Want(b"a b", "shared", wait=2, limit=3), b"share 2 3 a b\n"),
    ],
)
def test_each_way_to_get_a_lock_has_its_words(want: Want, says: bytes) -> None:
    talk = modern()
    Talk(talk, recipes.acquire(talk, want)).says(says)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"0 Lock Get Failure: job\r\n", WaitTimeout),
        (b"0 disabled\n", Disabled),
        (b"0 Not Authorised\n", NotAuthorised),
        (b"0 Bad Argument: SECONDS\n", BadArgument),
        (b"0 Too Many Waiters: job\n", LimitReached),
        (b"1 Lock Get Success: jobs\r\n", ProtocolError),
        (b"HTTP/1.1 400 Bad Request\r\n", ProtocolError),
        (b"\n", ProtocolError),
    ],
)
def test_each_refusal_has_its_error(reply: bytes, error: type[Exception]) -> None:
    talk = modern()
    get = Talk(talk, recipes.acquire(talk, Want(b"job", wait=1)))
    with pytest.raises(error):
        get.hears(reply + b"0 Lock Token: job\n")
    assert not talk.holds


def test_garbage_never_does_worse_than_a_protocol_error() -> None:
    for garbage in (b"", b"\xff", b"1", b"99999999999999999999999", b"-1 x", b"0 Lock Get", b"! ", b"! lost"):
        with pytest.raises(ProtocolError):
            refuse(garbage)


def test_what_nobody_asked_for_ends_the_conversation() -> None:
    talk = modern()
    talk.feed(b"1 pong\n")
    assert talk.closed is not None


def test_an_interrupted_wait_is_cancelled_and_released_whatever_became_of_it() -> None:
    for outcome in (
        b"0 Lock Get Failure: job\n1 Cancelled\n0 Lock Token: job\n0 Lock Release Failure: job\n",
        b"1 Lock Get Success: job\n3 Lock Token: job\n0 Nothing To Cancel\n1 Lock Release Success: job\n",
    ):
        talk = modern()
        get = Talk(talk, recipes.acquire(talk, Want(b"job", wait=9))).says(b"wait 9 job\ntoken job\n")
        assert get.slot is not None
        talk.abandon(get.slot)
        assert talk.outgoing() == b"cancel\nr job\n"
        # The next question finds its own answer behind all that.
        ping = Talk(talk, questions.bound(talk)).says(b"bound\n").hears(outcome + b"30 Dead Peer Seconds\n")
        assert ping.result == 30
        assert not talk.holds


def test_a_push_may_come_between_replies() -> None:
    talk = modern()
    Talk(talk, recipes.acquire(talk, Want(b"a b"))).hears(b"1 Lock Get Success: a b\n1 Lock Token: a b\n")
    hold = talk.holds[False, b"a b"]
    lost = []
    hold.on_lost.append(lambda: lost.append(hold.lost))
    bound = Talk(talk, questions.bound(talk))
    bound.hears(b"! lost a b expired\n! news from a later version\n30 Dead Peer Seconds\n")
    assert bound.result == 30
    assert isinstance(lost[0], LockLost)
    assert lost[0].reason == "expired"
    assert not talk.holds


def test_the_end_of_the_connection_fails_questions_and_loses_holds() -> None:
    talk = modern()
    Talk(talk, recipes.acquire(talk, Want(b"job"))).hears(b"1 Lock Get Success: job\n1 Lock Token: job\n")
    hold = talk.holds[False, b"job"]
    bound = Talk(talk, questions.bound(talk))
    talk.close("gone")
    with pytest.raises(ConnectionLost, match="gone"):
        bound.hears(b"")
    assert isinstance(hold.lost, ConnectionLost)
    with pytest.raises(ConnectionLost):
        Talk(talk, questions.bound(talk)).hears(b"")


def test_a_listing_of_hostile_names_is_taken_as_it_is() -> None:
    talk = modern()
    listing = Talk(talk, questions.holders(talk, None, False))
    sent = talk.outgoing()
    assert sent.startswith(b"d\ni glock-sentinel-")
    sentinel = sent.splitlines()[1].removeprefix(b"i ")
    listing.hears(
        b"! lost x: a\n0 Lock Not Locked: y: b\n: c\nq: r: d\n0 Lock Not Locked: " + sentinel + b"\r\n"
    )
    assert listing.result == [
        questions.Holder("! lost x", "a"),
        questions.Holder("0 Lock Not Locked: y", "b"),
        questions.Holder("", "c"),
        questions.Holder("q: r", "d"),
    ]


def test_the_original_gets_one_line_at_a_time() -> None:
    talk = Conversation()
    first = Talk(talk, questions.inspect(talk, b"a")).says(b"i a\n")
    second = Talk(talk, questions.inspect(talk, b"b")).says(b"")
    first.hears(b"0 Lock Not Locked: a\r\n")
    second.says(b"i b\n").hears(b"1 Lock Is Locked: b\r\n")
    assert (first.result, second.result) == (False, True)


def test_who_does_not_know_version_is_the_original() -> None:
    talk = Conversation()
    opening = Talk(talk, recipes.open_conversation(talk, None, None)).says(b"version\n")
    assert opening.slot is not None
    talk.nudge(opening.slot)
    first = talk.outgoing().removeprefix(b"i ").strip()
    talk.nudge(opening.slot)
    second = talk.outgoing().removeprefix(b"i ").strip()
    opening.hears(b"0 Lock Not Locked: " + first + b"\r\n")
    assert opening.slot is not None, "the second nudge is still on its way, and would swallow what comes next"
    opening.hears(b"0 Lock Not Locked: " + second + b"\r\n")
    assert opening.slot is None
    assert not talk.modern


def test_a_new_daemon_that_is_slow_is_not_taken_for_the_original() -> None:
    talk = Conversation()
    opening = Talk(talk, recipes.open_conversation(talk, b"secret", None)).says(b"auth secret\n")
    opening.hears(b"1 ok\n").says(b"version\n")
    assert opening.slot is not None
    talk.nudge(opening.slot)
    nudge = talk.outgoing().removeprefix(b"i ").strip()
    opening.hears(b"1 glockd 1.2.3\n").says(b"notify on\n")
    opening.hears(b"0 Lock Not Locked: " + nudge + b"\r\n").hears(b"1 ok\n")
    assert opening.slot is None
    assert talk.version == "glockd 1.2.3"


def test_where_the_server_cannot_wait_it_is_asked_again() -> None:
    talk = Conversation()
    get = Talk(talk, recipes.acquire(talk, Want(b"job", wait=0.03)))
    for _ in range(2):
        get.says(b"g job\n").hears(b"0 Lock Get Failure: job\r\n")
    with pytest.raises(WaitTimeout):
        get.says(b"g job\n").hears(b"0 Lock Get Failure: job\r\n")
    assert sum(get.pauses) == pytest.approx(0.03)


def test_a_token_is_a_number_and_no_way_to_ask_about_another_lock() -> None:
    talk = Conversation()
    talk.modern = True
    with pytest.raises(TypeError):
        Talk(talk, questions.check(talk, cast(int, "7 other"), b"a"))
    assert talk.outgoing() == b""


def test_what_the_original_cannot_do_is_not_sent() -> None:
    talk = Conversation()
    for want in (Want(b"a", "read"), Want(b"a", "shared", limit=1), Want(b"a", lease=1)):
        with pytest.raises(Unsupported):
            Talk(talk, recipes.acquire(talk, want))
    for recipe in (questions.explain(talk, b"a"), questions.history(talk, None), questions.kick(talk, b"a")):
        with pytest.raises(Unsupported):
            Talk(talk, recipe)
    assert talk.outgoing() == b""


def test_busy_without_a_wait_is_no_timeout() -> None:
    talk = modern()
    get = Talk(talk, recipes.acquire(talk, Want(b"job", wait=0)))
    with pytest.raises(LockBusy) as caught:
        get.hears(b"0 Lock Get Failure: job\r\n0 Lock Token: job\n")
    assert not isinstance(caught.value, WaitTimeout)
