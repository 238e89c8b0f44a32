"""The line language fed whole, in pieces, followed by junk, and with nothing but junk."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.core.names import normalise
from glockd.core.sessions import Session
from glockd.doors.line.wire.language import VERBS, trim
from glockd.doors.line.wire.messages import MessageConversation
from tests.support.clients import WHITE_SPACE, normalised
from tests.support.conversations import VOCABULARY, ConversationClient, ConversationDaemon

OLD_VERBS = [verb.word for verb in VERBS.values() if verb.old]
MAX_LINE = 4096

# Names collide often, hold what is white space only to some, and are sometimes as long as a line may be.
spaces = [b" ", b"  ", b"\t", b"\r", b"\xc2\xa0", b"\xe3\x80\x80", b"\xa0", b"\x85", b"\x1c"]
pieces = st.sampled_from([b"a", b"b", b"job", *spaces, b"\xe3", b"\xff"])
short_names = st.lists(pieces, max_size=5).map(b"".join)
long_names = st.integers(MAX_LINE - 8, MAX_LINE + 8).map(lambda size: b"n" * size)
verbs = st.sampled_from([*OLD_VERBS, b"", b"x", b"G", b"\xc2\xa0g"])
# No NUL: at the start of a line it is skipped or not, depending on the packet.
names = st.one_of(short_names, short_names, long_names)
lines = st.builds(lambda *parts: b"".join(parts), verbs, st.sampled_from([b" ", b"", b"\t"]), names)
ends = st.sampled_from([b"\n", b"\n", b"\r\n"])
inputs = st.lists(st.builds(lambda line, end: line + end, lines, ends), max_size=12).map(b"".join)
junk = st.binary(max_size=200)
COUNT = b"q\n"  # the last packet: what was counted without a reply must be the same too


def hears(client: ConversationClient, *packets: bytes) -> bytes:
    """All that comes back for `packets`."""
    client.buffer = b""
    for packet in packets:
        client.sends(packet)
    return client.buffer


def split(data: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(cuts)]


@given(data=inputs, places=st.lists(st.integers(0, 100_000), max_size=6))
def test_packets_make_no_difference(data: bytes, places: list[int]) -> None:
    whole, parts = ConversationDaemon().client(), ConversationDaemon().client()
    assert hears(whole, data, COUNT) == hears(parts, *split(data, places), COUNT)


@given(data=inputs)
def test_bytes_one_by_one_make_no_difference(data: bytes) -> None:
    whole, parts = ConversationDaemon().client(), ConversationDaemon().client()
    one_by_one = (data[place : place + 1] for place in range(len(data)))
    assert hears(whole, data, COUNT) == hears(parts, *one_by_one, COUNT)


@pytest.mark.parametrize("end", [b" ", b"\t", b"\r"])
def test_white_space_at_the_end_of_a_packet_ends_no_line(end: bytes) -> None:
    client = ConversationDaemon().client()
    assert hears(client, b"g job" + end) == b""
    assert hears(client, b"x\n") == b"1 Lock Get Success: job x\r\n"


@given(data=inputs, rest=junk)
def test_junk_behind_it_makes_no_difference(data: bytes, rest: bytes) -> None:
    alone, followed = ConversationDaemon().client(), ConversationDaemon().client()
    assert hears(followed, data + rest).startswith(hears(alone, data))


@given(data=inputs)
def test_a_missing_line_end_is_made_up_for_at_the_end(data: bytes) -> None:
    whole, cut = ConversationDaemon().client(), ConversationDaemon().client()
    data = data.rstrip(b"\n")
    wanted = hears(whole, data + b"\n" if data else b"")
    heard = hears(cut, data)
    cut.buffer = b""
    cut.vanishes()
    assert heard + cut.buffer == wanted


@given(packets=st.lists(junk, max_size=20))
def test_junk_never_raises(packets: list[bytes]) -> None:
    daemon = ConversationDaemon()
    client = daemon.client()
    hears(client, *packets)
    client.vanishes()
    daemon.counts(connections=0, locks=0, shared_locks=0)


WORDS = [b"0", b"1", b"5", b"inf", b"-1", b"nan", b"1e999", b"on", b"off", b"shared", b"a", b"\0", b"\xff"]
commands = st.builds(
    lambda verb, rest: b" ".join([verb, *rest]) + b"\n",
    st.sampled_from(list(VERBS)),
    st.lists(st.sampled_from(WORDS), max_size=3),
)


@given(said=st.lists(st.tuples(st.integers(0, 2), commands), max_size=40), seconds=st.integers(0, 10))
def test_no_arguments_make_any_verb_raise(said: list[tuple[int, bytes]], seconds: int) -> None:
    daemon = ConversationDaemon()
    clients = [daemon.client() for _ in range(3)]
    for who, command in said:
        if clients[who].is_open:
            clients[who].sends(command)
    daemon.passes(seconds)
    for client in clients:
        if client.is_open:
            client.vanishes()
    daemon.counts(connections=0, locks=0, shared_locks=0)


@given(messages=st.lists(st.one_of(junk, lines), max_size=20))
def test_each_message_has_exactly_one_reply(messages: list[bytes]) -> None:
    daemon = ConversationDaemon()
    session = Session(b"websocket:1", "websocket")
    daemon.state.registry.add(session)
    talk = MessageConversation(daemon.state, session, daemon.policy, daemon.outbox, VOCABULARY)
    for message in messages:
        replies = talk.receive(message, daemon.now)
        if talk.more:
            replies += talk.resume(daemon.now)
        assert len(replies) == 1


@given(text=st.text(st.sampled_from([*WHITE_SPACE, "a", "\u00e9", "\u200b", "\x1c", "\u180e", "\ufeff"])))
def test_normalising_knows_exactly_the_white_space_of_unicode(text: str) -> None:
    assert normalise(text.encode()) == normalised(text.encode())
    assert normalise(trim(text.encode())) == normalised(text.encode())
    assert trim(text.encode()) == text.strip(WHITE_SPACE).encode()


pieces = st.sampled_from(
    [*(char.encode() for char in WHITE_SPACE), b"a", b"\xc2", b"\xe1\x9a", b"\xe2\x80", b"\xe3", b"\x85"]
)


@given(pieces=st.lists(pieces, max_size=30), filler=st.sampled_from([b"\xff", b" ", b"\xc2\xa0"]))
def test_a_long_name_is_normalised_as_a_short_one(pieces: list[bytes], filler: bytes) -> None:
    name = b"".join(pieces)
    long = name + filler * 5000 + name
    short = name + filler * 5 + name
    assert normalise(long) == normalise(short).replace(b"\xff" * 5, b"\xff" * 5000)


@given(data=st.binary())
def test_normalising_twice_changes_nothing(data: bytes) -> None:
    assert normalise(normalise(data)) == normalise(data)
    assert trim(trim(data)) == trim(data)
