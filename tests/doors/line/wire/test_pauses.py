"""Conversations in lines: how much is carried out at once, and what is kept for after a pause."""

from __future__ import annotations

from collections import deque

import pytest

from glockd.config import UNLIMITED, Config
from glockd.core.events import Granted, Refused
from glockd.core.history import CANCELLED, ORPHANED, History, Record
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.wire import commands, extensions, lines
from glockd.doors.line.wire.language import MAX_LINE, VERBS
from glockd.doors.line.wire.lines import LineConversation
from glockd.notices import Misspoken, Renamed
from glockd.policy import MARGIN, Policy
from tests.support.conversations import VOCABULARY
from tests.support.conversations import policy as policy_of


def conversation(state: State | None = None, policy: Policy | None = None) -> LineConversation:
    """A conversation that nobody resumes but the test."""
    if state is None:
        state = State(verbs=VERBS)
    session = Session(b"address:%d" % len(state.registry))
    state.registry.add(session)
    return LineConversation(state, session, policy or Policy(), deque(), VOCABULARY)


def another(talk: LineConversation) -> LineConversation:
    """Another client of the same daemon, whose outbox is the same."""
    other = conversation(talk.state, talk.policy)
    other.outbox = talk.outbox
    return other


def turns(talk: LineConversation) -> list[bytes]:
    """What each resume says until there is no more."""
    said = []
    while talk.more:
        said.append(talk.resume(0.0))
    return said


PONG = b"1 pong\n"


class Short(LineConversation):
    """One that knows the short way only."""

    __slots__ = ()

    def _receive(self, data: bytes, now: float) -> bytes:
        raise AssertionError("the long way")


@pytest.mark.parametrize("line", [b"g job\n", b"r job\n", b"g %b\n" % (b"n" * (MAX_LINE - 4)), b"who x\n"])
def test_a_plain_line_takes_the_short_way(line: bytes) -> None:
    """The throughput hangs on it."""
    state = State(verbs=VERBS)
    session = Session(b"address")
    talk = Short(state, session, Policy(), deque(), VOCABULARY)
    word = line.split()[0]
    said = talk.receive(line, 0.0)
    assert state.stats.commands[word] == 1
    assert said == b"" if word == b"who" else said.split(b": ")[1].strip() == line[2:-1]


@pytest.mark.parametrize(
    "line",
    [
        b"g  job\n",
        b" g job\n",
        b"g job \n",
        b"g\tjob\n",
        b"g job\r\n",
        b"g a\nr\n",
        b"g\njob\n",
        b"\ng job",
        b"g \xff\n",
        b"g %b\n" % (b"n" * (MAX_LINE - 3)),
        b"ping\n",
        b"x job\n",
    ],
)
def test_all_else_takes_the_long_way(line: bytes) -> None:
    talk = Short(State(verbs=VERBS), Session(b"address"), Policy(), deque(), VOCABULARY)
    with pytest.raises(AssertionError, match="the long way"):
        talk.receive(line, 0.0)


@pytest.mark.parametrize(
    "verb", [b"who", b"explain job", b"find exclusive 0 5", b"d", b"sd", b"dump", b"d job"]
)
def test_others_have_their_turn_behind_what_may_take_long(verb: bytes) -> None:
    talk = conversation()
    talk.receive(b"iam A\n", 0.0)
    alone = talk.receive(verb + b"\n", 0.0)
    assert (talk.more, talk.late) == (False, b"")
    assert talk.receive(verb + b"\nping\nping\n", 0.0) == alone
    assert talk.more
    assert talk.receive(b"version\n", 0.0) == b""
    (rest,) = turns(talk)
    assert rest.startswith(2 * PONG + b"1 glockd ")
    assert talk.receive(b"ping\n", 0.0) == PONG


@pytest.mark.parametrize(("verb", "pieces"), [(b"d", 5), (b"sd", 5), (b"dump", 9), (b"dump shared", 9)])
def test_input_between_the_pieces_of_a_long_listing_waits(
    monkeypatch: pytest.MonkeyPatch, verb: bytes, pieces: int
) -> None:
    talk = conversation()
    for number in range(9):
        talk.receive(b"g lock-%d\nsg lock-%d\n" % (number, number), 0.0)
    wanted = talk.receive(verb + b"\n", 0.0)
    assert wanted.count(b"lock-") == 9
    for behind in (b"", b"ping\n"):
        monkeypatch.setattr(commands, "SLICE", 2)
        said = [talk.receive(verb + b"\n" + behind, 0.0)]
        assert talk.more
        assert talk.receive(b"version\npi", 0.0) == b""
        while talk.pieces is not None:
            said.append(talk.resume(0.0))
            assert talk.receive(b"", 0.0) == b""
        assert said[-1].startswith(PONG if behind else b"1 glockd ")
        assert b"".join(said[:-1]) == wanted
        assert len(said) == pieces + 1
        assert not talk.more
        assert talk.receive(b"ng\n", 0.0) == PONG


def test_a_plain_line_waits_for_the_rest_of_a_listing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SLICE", 1)
    talk = conversation()
    talk.receive(b"sg a\nsg b\n", 0.0)
    said = talk.receive(b"dump shared\n", 0.0)
    assert talk.receive(b"g job\n", 0.0) == b""
    assert not talk.exclusive.is_held(b"job")
    wanted = b"map[a:[address:0] b:[address:0]]\n1 Lock Get Success: job\r\n"
    assert said + b"".join(turns(talk)) == wanted


def test_a_plain_line_with_a_wrong_secret_is_the_last() -> None:
    talk = conversation(policy=Policy(secrets=(b"s",)))
    assert talk.receive(b"auth x\n", 0.0) == b"0 Not Authorised\n"
    assert (talk.over, talk.more) == (True, False)
    assert talk.receive(b"auth s\n", 0.0) == b""
    assert talk.handlers is not talk.all_handlers()


def test_a_lock_that_is_free_when_its_turn_comes_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SLICE", 2)
    talk = conversation()
    other = another(talk)
    for number in range(6):
        other.receive(b"g %d\n" % number, 0.0)
    left = (0, 1, 2, 3, 5)
    for verb, wanted in (
        (b"d", b"".join(b"%d: address:1\n" % number for number in left)),
        (b"dump", b"map[%b]\n" % b" ".join(b"%d:address:1" % number for number in left)),
    ):
        other.receive(b"g 4\n", 0.0)
        said = talk.receive(verb + b"\n", 0.0)
        other.receive(b"r 4\n", 0.0)
        assert said + b"".join(turns(talk)) == wanted


@pytest.mark.parametrize("gone", [b"0123", b"45", b"012345"])
def test_a_dump_has_no_gaps(monkeypatch: pytest.MonkeyPatch, gone: bytes) -> None:
    monkeypatch.setattr(commands, "SLICE", 2)
    talk = conversation()
    other = another(talk)
    for number in range(6):
        other.receive(b"g %d\n" % number, 0.0)
    said = talk.receive(b"dump\n", 0.0)
    for digit in gone:
        other.receive(b"r %c\n" % digit, 0.0)
    left = [b"%d:address:1" % number for number in range(6) if b"%d" % number not in gone]
    assert said + b"".join(turns(talk)) == b"map[" + b" ".join(left) + b"]\n"


def test_readers_and_shared_holders_stand_in_brackets() -> None:
    talk = conversation()
    other = another(talk)
    talk.receive(b"read 0 a\ng b\nsg c\n", 0.0)
    assert talk.receive(b"dump\n", 0.0) == b"map[a:address:0 b:address:0]\n"
    assert talk.receive(b"dump shared\n", 0.0) == b"map[c:[address:0]]\n"
    other.receive(b"read 0 a\n", 0.0)
    assert talk.receive(b"dump\n", 0.0) == b"map[a:[address:0 address:1] b:address:0]\n"


@pytest.mark.parametrize(("count", "wanted"), [(2, [2]), (3, [3]), (4, [3, 1]), (7, [3, 3, 1])])
def test_many_lines_are_carried_out_in_turns(
    monkeypatch: pytest.MonkeyPatch, count: int, wanted: list[int]
) -> None:
    monkeypatch.setattr(lines, "LINES_A_TURN", 3)
    talk = conversation()
    said = [talk.receive(count * b"ping\n", 0.0), *turns(talk)]
    assert [one.count(PONG) for one in said] == wanted
    assert not talk.busy
    assert talk.receive(b"g job\n", 0.0) == b"1 Lock Get Success: job\r\n"


def test_the_rest_of_a_packet_comes_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINES_A_TURN", 1)
    talk = conversation()
    assert talk.receive(b"ping\ng job\nr jo", 0.0) == PONG
    assert talk.receive(b"b\n", 0.0) == b""
    assert turns(talk) == [b"1 Lock Get Success: job\r\n", b"1 Lock Release Success: job\n"]


# The end of input


def test_what_was_sent_before_the_end_is_carried_out() -> None:
    talk = conversation()
    assert talk.receive(b"who\nping\nversion\npi", 0.0) == b""
    assert talk.receive(b"ng", 0.0) == b""
    assert talk.end_of_input(0.0) == b""
    assert (talk.ended, talk.over) == (True, False)
    (rest,) = turns(talk)
    assert rest.startswith(PONG + b"1 glockd ")
    assert rest.endswith(b"\n" + PONG)
    assert talk.over


def test_nothing_waits_after_the_end() -> None:
    talk = conversation()
    holder = another(talk)
    holder.receive(b"g job\n", 0.0)
    assert talk.receive(b"who\nwait 9 job\nwait 9 job", 0.0) == b""
    assert talk.end_of_input(0.0) == b""
    assert turns(talk) == [2 * b"0 Lock Get Failure: job\n"]
    assert talk.over
    assert not talk.session.waiters


def test_a_wait_ends_with_the_input_and_the_rest_is_carried_out() -> None:
    talk = conversation()
    holder = another(talk)
    holder.receive(b"g job\n", 0.0)
    assert talk.receive(b"wait 9 job\nping\npi", 0.0) == b""
    assert talk.end_of_input(0.0, "reset") == b"0 Lock Get Failure: job\n"
    assert talk.more
    assert turns(talk) == [PONG]
    assert talk.over
    # An unfinished line alone comes at once; an end behind a wait that has nothing behind it is the end.
    talk = another(holder)
    assert talk.receive(b"wait 9 job", 0.0) == b""
    assert talk.end_of_input(0.0) == b"0 Lock Get Failure: job\n"
    assert talk.over


def test_a_long_listing_at_the_end_is_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SLICE", 2)
    talk = conversation()
    for number in range(5):
        talk.receive(b"g %d\n" % number, 0.0)
    assert talk.receive(b"d", 0.0) == b""
    said = talk.end_of_input(0.0)
    assert not talk.over
    assert talk.more
    assert said + b"".join(turns(talk)) == b"".join(b"%d: address:0\n" % number for number in range(5))
    assert talk.over


def test_a_pause_behind_the_last_line_is_none() -> None:
    talk = conversation()
    talk.receive(b"iam A\n", 0.0)
    assert talk.receive(b"who", 0.0) == b""
    assert talk.end_of_input(0.0) == b"address:0: A\n"
    assert (talk.over, talk.more) == (True, False)


def test_nobody_puts_a_long_reply_together_for_the_deaf() -> None:
    talk = conversation(State(history=History(5), verbs=VERBS), policy_of(history=9))
    talk.receive(b"iam A\ng job\n", 0.0)
    talk.deaf = True
    for verb in (b"d", b"sd", b"dump", b"who", b"explain job", b"history"):
        assert talk.receive(verb + b"\n", 0.0) == b""
        assert (talk.more, talk.late) == (False, b"")


# A wait that ends in two ways at once: the core has decided, and word of it is on its way.


def test_a_grant_on_its_way_is_told_at_the_end_of_input() -> None:
    holder = conversation()
    holder.receive(b"g job\nshare 0 1 pool\n", 0.0)
    writer, sharer = another(holder), another(holder)
    writer.receive(b"wait 9 job\n", 0.0)
    sharer.receive(b"share 9 1 pool\n", 0.0)
    assert holder.receive(b"r job\nsr pool\n", 0.0).count(b"Success") == 2
    assert writer.end_of_input(0.0) == b"1 Lock Get Success: job\n"
    assert sharer.end_of_input(0.0) == b"1 Shared Lock Get Success: pool\n"
    holder.receive(b"g job\n", 0.0)
    assert (holder.state.exclusive.stats.cancelled, holder.state.shared.stats.cancelled) == (0, 0)


def test_readers_granted_on_their_way_are_told_how_many_they_are() -> None:
    holder = conversation()
    holder.receive(b"g job\n", 0.0)
    readers = [another(holder) for _ in range(3)]
    for one in readers:
        one.receive(b"read 9 job\n", 0.0)
    holder.receive(b"r job\n", 0.0)
    assert readers[0].end_of_input(0.0) == b"3 Lock Get Success: job\n"
    # What the daemon delivers says how many there were at the moment of the grant.
    granted = [event for event in holder.outbox if isinstance(event, Granted)]
    assert [one.granted(event) for one, event in zip(readers[1:], granted[1:], strict=True)] == [
        b"2 Lock Get Success: job\n",
        b"3 Lock Get Success: job\n",
    ]


def test_a_wait_whose_time_is_up_was_in_vain_at_the_end_of_input() -> None:
    holder = conversation()
    holder.receive(b"g job\n", 0.0)
    talk = another(holder)
    talk.receive(b"wait 9 job\nping\n", 0.0)
    assert len(holder.state.expire(9.0, 1)) == 1
    # A cancel comes too late to cancel anything.
    assert talk.receive(b"cancel\n", 9.0) == b""
    assert talk.timed_out() == b"0 Lock Get Failure: job\n"
    assert turns(talk) == [PONG + b"0 Nothing To Cancel\n"]
    assert talk.timed_out() == b""
    assert holder.state.exclusive.stats.cancelled == 0


@pytest.mark.parametrize(("how", "kind"), [("", CANCELLED), ("closed", ORPHANED), ("dead peer", ORPHANED)])
def test_the_history_tells_how_a_wait_was_withdrawn(how: str, kind: str) -> None:
    history = History(10)
    holder = conversation(State(history=history, verbs=VERBS))
    holder.receive(b"g job\n", 0.0)
    talk = another(holder)
    talk.receive(b"wait 9 job\n", 1.0)
    (waiter,) = talk.session.waiters
    assert talk.withdraw(4.0, how) == b"0 Lock Get Failure: job\n"
    assert list(history.records())[-1] == Record(kind, 4.0, waiter, 3.0, how)
    assert talk.withdraw(4.0, how) == b""


# Limits


def test_a_policy_looks_closely_from_the_start_and_near_a_limit() -> None:
    assert Policy().unchecked == Config().max_session_locks
    assert policy_of(max_session_locks=0).unchecked == UNLIMITED
    assert policy_of(max_session_locks=2).unchecked == 2
    assert policy_of(max_session_locks=0, max_locks=MARGIN).unchecked == 0
    assert policy_of(max_session_locks=0, max_locks=MARGIN + 1).unchecked == UNLIMITED
    policy = policy_of(max_session_locks=7, max_locks=MARGIN + 5)
    for held, unchecked in ((0, 7), (4, 7), (5, 0), (6, 0), (4, 7)):
        policy.consider(held)
        assert policy.unchecked == unchecked


def test_the_limit_of_a_session_is_just_that() -> None:
    talk = conversation(policy=policy_of(max_session_locks=2))
    assert talk.receive(b"g a\ng b\ng c\n", 0.0) == (
        b"1 Lock Get Success: a\r\n1 Lock Get Success: b\r\n0 Too Many Locks: c\n"
    )
    assert talk.receive(b"g b\n", 0.0) == b"1 Lock Get Success: b\n"
    assert talk.receive(b"wait 0 c\nread 0 c\nshare 0 9 c\nsg c\n", 0.0) == 4 * b"0 Too Many Locks: c\n"
    other = another(talk)
    assert other.receive(b"g a\ng c\nsg c\n", 0.0) == (
        b"0 Lock Get Failure: a\r\n1 Lock Get Success: c\r\n1 Shared Lock Get Success: c\r\n"
    )
    assert other.receive(b"sg c\ng a\n", 0.0) == b"1 Shared Lock Get Success: c\r\n0 Lock Get Failure: a\r\n"
    assert talk.policy.refused == {"locks": 5}


@pytest.mark.parametrize("policy", [policy_of(max_waiters=2), policy_of(max_lock_waiters=2)])
def test_as_many_may_wait_as_the_limit_says(policy: Policy) -> None:
    holder = conversation(policy=policy)
    holder.receive(b"g job\nshare 0 1 job\ng other\n", 0.0)
    for line in (b"wait 9 job\n", b"read 9 job\n"):
        assert another(holder).receive(line, 0.0) == b""
    assert another(holder).receive(b"wait 9 job\n", 0.0) == b"0 Too Many Waiters: job\n"
    refused = b"0 Too Many Waiters: " if policy.config.max_waiters == 2 else b""
    assert another(holder).receive(b"wait 9 other\n", 0.0) == (refused and refused + b"other\n")
    assert another(holder).receive(b"share 9 1 job\n", 0.0) == (refused and refused + b"job\n")


def test_those_in_line_for_both_kinds_of_lock_count_together() -> None:
    holder = conversation(policy=policy_of(max_waiters=2))
    holder.receive(b"g job\nshare 0 1 job\n", 0.0)
    assert another(holder).receive(b"wait 9 job\n", 0.0) == b""
    assert another(holder).receive(b"share 9 1 job\n", 0.0) == b""
    assert another(holder).receive(b"share 9 1 job\n", 0.0) == b"0 Too Many Waiters: job\n"
    assert another(holder).receive(b"wait 9 job\n", 0.0) == b"0 Too Many Waiters: job\n"


def test_a_name_too_long_is_cut_where_it_may_end() -> None:
    talk = conversation(policy=policy_of(max_name=3))
    said = talk.receive(b"g abcd\nwait 0 abcd\nshare 0 1 abcd\niam abcd\nsg abc\nread 0 abc\n", 0.0)
    assert said == 4 * b"0 Name Too Long: abc\n" + (
        b"1 Shared Lock Get Success: abc\r\n1 Lock Get Success: abc\n"
    )
    assert talk.receive(b"i abcd\n", 0.0) == b"0 Lock Not Locked: abcd\r\n"


@pytest.mark.parametrize(("readers", "pause"), [(extensions.MANY, False), (extensions.MANY + 1, True)])
def test_a_check_of_very_many_holds_lets_others_have_their_turn(readers: int, pause: bool) -> None:
    talk = conversation()
    for _ in range(readers):
        another(talk).receive(b"read 0 job\n", 0.0)
    current = b"1 Lock Token Current: job\n"
    said = talk.receive(b"check %d job\nping\n" % readers, 0.0)
    assert said == (current if pause else current + PONG)
    assert b"".join(turns(talk)) == (PONG if pause else b"")
    assert talk.receive(b"check %d job\n" % (readers + 1), 0.0) == b"0 Lock Token Stale: job\n"


@pytest.mark.parametrize(
    ("policy", "door", "missing"),
    [
        (Policy(), "tcp", {b"history", b"kick"}),
        (policy_of(history=9, admin=True), "unix", set()),
        (policy_of(history=9, admin=True), "tcp", {b"kick"}),
        (policy_of(history=9, registry=False), "unix", {b"kick", b"iam", b"who"}),
        (
            policy_of(history=9, dump=False),
            "unix",
            {b"kick", b"d", b"sd", b"dump", b"who", b"pool", b"explain", b"history", b"find"},
        ),
    ],
)
def test_help_tells_the_verbs_in_force(policy: Policy, door: str, missing: set[bytes]) -> None:
    """Those of windows are in force where the daemon has a calendar; here is none."""
    missing = missing | {b"book", b"sbook", b"bookings", b"unbook"}
    talk = conversation(policy=policy)
    talk.session.transport = door
    number, *words = talk.receive(b"help\n", 0.0).partition(b" (")[0].split()
    assert words == [word for word in VERBS if word not in missing]
    assert int(number) == len(words)


def test_a_daemon_tells_its_bound() -> None:
    assert (
        conversation(policy=policy_of(dead_peer_seconds=17)).receive(b"bound\n", 0.0)
        == b"17 Dead Peer Seconds\n"
    )


# Where a line ends


@pytest.mark.parametrize(("size", "empty_lines"), [(MAX_LINE - 1, 0), (MAX_LINE, 1)])
def test_a_line_of_the_full_length_needs_no_end(size: int, empty_lines: int) -> None:
    """The end that comes nevertheless is that of an empty line."""
    name = b"n" * (size - 2)
    wanted = b"1 Lock Get Success: " + name + b"\r\n"
    for packets in (
        [b"g " + name + b"\nping\n"],
        [b"ping\ng " + name + b"\nping\n"],
        [b"g " + name, b"\nping\n"],
        [b"who\ng " + name, b"\nping\n"],
        [b"g ", name, b"\n", b"ping\n"],
    ):
        talk = conversation()
        said = [talk.receive(packets[0], 0.0), *turns(talk)]
        if len(packets) > 1 and packets[0][-1:] == b"n":
            assert said[-1] == (wanted if empty_lines else b"")
        for packet in packets[1:]:
            said += [talk.receive(packet, 0.0), *turns(talk)]
        assert b"".join(said).removeprefix(PONG if packets[0][:1] == b"p" else b"") == wanted + PONG
        assert talk.state.stats.invalid_commands == empty_lines


def test_what_is_too_long_is_cut_into_lines() -> None:
    talk = conversation()
    # Both halves are lines, although no end has come.
    said = talk.receive(b"g " + b"n" * (MAX_LINE - 2) + b"g " + b"m" * (MAX_LINE - 2) + b"pi", 0.0)
    assert said.count(b"Success") == 2
    assert said.endswith(b"m\r\n")
    assert talk.receive(b"ng\n", 0.0) == PONG
    assert talk.state.stats.invalid_commands == 0


@pytest.mark.parametrize(
    ("packets", "pongs", "invalid"),
    [
        # A client that sends C strings has a NUL behind each LF.
        ([b"ping\n\0ping\n\0", b"ping\n\0"], [2, 1], 0),
        ([b"ping\n\0pi", b"ng\n"], [1, 1], 0),
        ([b"who\n\0ping\n\0", b"ping\n"], [1, 1], 0),
        # At the start of a packet it is one of the line's.
        ([b"\0ping\n"], [0], 1),
        ([b"\0pi", b"ng\n", b"ping\n"], [0, 0, 1], 1),
    ],
)
def test_a_nul_behind_a_line_is_none_of_the_next(
    packets: list[bytes], pongs: list[int], invalid: int
) -> None:
    talk = conversation()
    heard = [talk.receive(packet, 0.0) + b"".join(turns(talk)) for packet in packets]
    assert [said.count(PONG) for said in heard] == pongs
    assert talk.state.stats.invalid_commands == invalid


def test_a_tls_handshake_ends_the_talk_without_more() -> None:
    talk = conversation()
    assert talk.receive(b"\x16\x03\x01\x02", 0.0) == b"0 No TLS Here\n"
    assert (talk.over, talk.more, talk.unread) == (True, False, b"")
    assert talk.receive(b"ping\n", 0.0) == b""
    assert talk.policy.refused == {"tls": 1}


@pytest.mark.parametrize(
    "line", [b"cancelx\n", b"xcancel\n", b"cancel x\n", b"cancel\0\n", b"cancel cancel\n"]
)
def test_what_only_holds_the_word_cancels_nothing(line: bytes) -> None:
    talk = conversation()
    holder = another(talk)
    holder.receive(b"g job\n", 0.0)
    talk.receive(b"wait 9 job\n", 0.0)
    for place in range(len(line)):
        assert talk.receive(line[place : place + 1], 0.0) == b""
    assert talk.receive(line + line + b"ping\n", 0.0) == b""
    assert talk.receive(b"\tcancel \r\nping\n", 0.0) == b"0 Lock Get Failure: job\n1 Cancelled\n"
    assert turns(talk) == [2 * PONG]
    assert talk.state.stats.invalid_commands == 3


def test_an_empty_line_before_a_cancel_stays_one() -> None:
    talk = conversation()
    holder = another(talk)
    holder.receive(b"g job\n", 0.0)
    talk.receive(b"wait 9 job\n", 0.0)
    assert talk.receive(b"\ncancel\n", 0.0) == b"0 Lock Get Failure: job\n1 Cancelled\n"
    assert turns(talk) == [b""]
    assert talk.state.stats.invalid_commands == 1


def test_a_cancel_behind_other_lines_is_taken_out_of_them() -> None:
    talk = conversation()
    holder = another(talk)
    holder.receive(b"g job\n", 0.0)
    said = talk.receive(b"wait 9 job\nping\ncancel\nversion\ncan", 0.0)
    assert said == b"0 Lock Get Failure: job\n1 Cancelled\n"
    (rest,) = turns(talk)
    assert rest.startswith(PONG + b"1 glockd ")
    # The second is behind the end of the wait, and in its place.
    assert talk.receive(b"cel\nwait 9 job\n", 0.0) == b"0 Nothing To Cancel\n"
    assert talk.receive(b"cancel\ncancel\n", 0.0) == b"0 Lock Get Failure: job\n1 Cancelled\n"
    assert turns(talk) == [b"0 Nothing To Cancel\n"]
    assert talk.state.stats.commands[b"cancel"] == 4


# What the daemon is told


def test_the_daemon_is_told_of_a_wait_and_what_became_of_it() -> None:
    talk = conversation()
    holder = another(talk)
    holder.receive(b"g a\nlease 9 a\n", 0.0)
    (leased,) = holder.session.holds
    assert leased.deadline == 9.0
    assert holder.state.deadlines.moved
    assert not holder.outbox
    talk.receive(b"g b\nwait 9 a\n", 0.0)
    (waiter,) = talk.session.waiters
    assert waiter.deadline == 9.0
    assert not talk.outbox
    holder.receive(b"lease inf a\n", 0.0)
    assert holder.receive(b"wait 9 b\nping\n", 0.0) == b"0 Lock Get Deadlock: b\n"
    assert turns(holder) == [PONG]
    assert [type(event) for event in holder.outbox] == [Refused]


@pytest.mark.parametrize("verbose", [False, True])
def test_names_and_nonsense_are_reported_if_somebody_wants_to_know(verbose: bool) -> None:
    talk = conversation(policy=policy_of(verbose=verbose))
    assert talk.receive(b"iam A\n what is this \r\n", 0.0) == b"1 ok\n"
    told = [Renamed(talk.session), Misspoken(talk.session, b" what is this \r")] if verbose else []
    assert list(talk.outbox) == told
