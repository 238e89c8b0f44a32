"""Every word the daemon understands or says.

The bytes of the old verbs are those of the original, line ends included (docs/protocol.md, Replies).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, cast

from glockd.core.names import SPACES, shown

if TYPE_CHECKING:
    from glockd.core.holds import Hold

LF = b"\n"
CRLF = b"\r\n"

# As numbers, for comparing single bytes.
SPACE = 0x20
LINE_END = 0x0A

# The longest line that is read whole; a longer one is cut here and the rest is the next line.
MAX_LINE = 4096

# As SPACES, over bytes in reverse order.
_SPACES_FROM_BEHIND = re.compile(
    rb"(?:[\t-\r ]|[\x85\xa0]\xc2|\x80\x9a\xe1|[\x80-\x8a\xa8\xa9\xaf]\x80\xe2|\x9f\x81\xe2|\x80\x80\xe3)+"
)


def trim(line: bytes) -> bytes:
    """`line` without white space at its ends."""
    if line.isascii():
        return line.strip()
    start = SPACES.match(line)
    line = line[start.end() :] if start else line
    # From behind: to find the last run from the front, one has to go through all of them.
    end = _SPACES_FROM_BEHIND.match(line[::-1])
    return line[: len(line) - end.end()] if end else line


# Replies, to be followed by the name and a line end.
GET_SUCCESS = b"1 Lock Get Success: "
GET_FAILURE = b"0 Lock Get Failure: "
IS_LOCKED = b"1 Lock Is Locked: "
NOT_LOCKED = b"0 Lock Not Locked: "
RELEASE_SUCCESS = b"1 Lock Release Success: "
RELEASE_FAILURE = b"0 Lock Release Failure: "
SHARED_RELEASE_SUCCESS = b"1 Shared Lock Release Success: "
SHARED_RELEASE_FAILURE = b"0 Shared Lock Release Failure: "
SHARED_NOT_LOCKED = b"0 Shared Lock Not Locked: "
SHARED_GET_FAILURE = b"0 Shared Lock Get Failure: "
GET_DEADLOCK = b"0 Lock Get Deadlock: "
SHARED_GET_DEADLOCK = b"0 Shared Lock Get Deadlock: "
PUT_SUCCESS = b"1 Item Put Success: "
PUT_FAILURE = b"0 Item Put Failure: "
TAKE_FAILURE = b"0 Item Take Failure: "
DONE_SUCCESS = b"1 Item Done Success: "
DONE_FAILURE = b"0 Item Done Failure: "
FAIL_SUCCESS = b"1 Item Fail Success: "
FAIL_FAILURE = b"0 Item Fail Failure: "
GIVE_SUCCESS = b"1 Item Give Success: "
GIVE_FAILURE = b"0 Item Give Failure: "
KEEP_SUCCESS = b"1 Item Keep Success: "
KEEP_FAILURE = b"0 Item Keep Failure: "
LEASE_SUCCESS = b"1 Lock Lease Success: "
LEASE_FAILURE = b"0 Lock Lease Failure: "
TOKEN_CURRENT = b"1 Lock Token Current: "
TOKEN_STALE = b"0 Lock Token Stale: "

# Replies, to be put between a number and the name.
COUNTED_GET_SUCCESS = b" Lock Get Success: "
SHARED_GET_SUCCESS = b" Shared Lock Get Success: "
SHARED_IS_LOCKED = b" Shared Lock Is Locked: "
TAKE_SUCCESS = b" Item Take Success: "
LOCK_TOKEN = b" Lock Token: "
KICKED = b" Kicked: "
DEAD_PEER_SECONDS = b" Dead Peer Seconds"

# A reply, to be followed by a version.
VERSION = b"1 glockd "

# Behind the verbs that `help` lists.
HINT = b" (help all: what they do; help VERB: what it answers)"

# Whole replies.
OK = b"1 ok\n"
DISABLED = b"0 disabled\n"
PONG = b"1 pong\n"
CANCELLED = b"1 Cancelled\n"
NOTHING_TO_CANCEL = b"0 Nothing To Cancel\n"
NOT_AUTHORISED = b"0 Not Authorised\n"
TOO_MANY_CONNECTIONS = b"0 Too Many Connections\n"
HANDSHAKE_TOO_LONG = b"0 Handshake Too Long\n"
IDLE_TOO_LONG = b"0 Idle Too Long\n"
NO_TLS = b"0 No TLS Here\n"
ONLY_TLS = b"0 Only TLS Here\n"
NO_PROXY = b"0 No PROXY Protocol Here\n"
ONLY_PROXY = b"0 Only PROXY Protocol Here\n"
BYE = b"1 Bye\n"
ALIVE = b"! alive\n"

# Refusals, to be followed by what was asked for.
BAD_ARGUMENT = b"0 Bad Argument: "
TOO_MANY_LOCKS = b"0 Too Many Locks: "
TOO_MANY_WAITERS = b"0 Too Many Waiters: "
NAME_TOO_LONG = b"0 Name Too Long: "
NOT_RECORDED = b"0 Not Recorded: "

# A refusal, to be followed by where that is, if it is anywhere.
NO_HTTP = b"0 No HTTP Here"


class Verb(NamedTuple):
    """One command of the language."""

    word: bytes
    syntax: str
    does: str
    # Without line ends and the errors common to all; words in capitals stand for values.
    replies: tuple[bytes, ...]
    old: bool = False  # of the original; its replies end as the original's do


_N = b"NAME"
_I = b"ITEM"

VERBS = {
    verb.word: verb
    for verb in (
        Verb(b"g", "g NAME", "take an exclusive lock", (GET_SUCCESS + _N, GET_FAILURE + _N), old=True),
        Verb(b"r", "r NAME", "release it", (RELEASE_SUCCESS + _N, RELEASE_FAILURE + _N), old=True),
        Verb(b"i", "i NAME", "is it locked?", (IS_LOCKED + _N, NOT_LOCKED + _N), old=True),
        Verb(
            b"sg",
            "sg NAME",
            "take a shared lock, which any number may hold, and count its holders",
            (b"COUNT" + SHARED_GET_SUCCESS + _N,),
            old=True,
        ),
        Verb(
            b"sr",
            "sr NAME",
            "release it",
            (SHARED_RELEASE_SUCCESS + _N, SHARED_RELEASE_FAILURE + _N),
            old=True,
        ),
        Verb(
            b"si",
            "si NAME",
            "how many hold it?",
            (b"COUNT" + SHARED_IS_LOCKED + _N, SHARED_NOT_LOCKED + _N),
            old=True,
        ),
        Verb(b"d", "d [NAME]", "list exclusive locks and their holders", (b"NAME: WHO",), old=True),
        Verb(b"sd", "sd [NAME]", "list shared locks and their holders", (b"NAME: WHO",), old=True),
        Verb(
            b"dump",
            "dump [shared]",
            "all exclusive (shared) locks in one line, with addresses",
            (b"map[NAME:ADDRESS NAME:[ADDRESS ADDRESS]]",),
            old=True,
        ),
        Verb(
            b"iam",
            "iam [NAME]",
            "register a name for this connection, or take it back",
            (OK.strip(),),
            old=True,
        ),
        Verb(
            b"me", "me", "this connection's address and registered name", (b"1 ADDRESS REGISTERED",), old=True
        ),
        Verb(
            b"who",
            "who [NAME]",
            "list connections with a registered name",
            (b"ADDRESS: REGISTERED",),
            old=True,
        ),
        Verb(b"q", "q", "counters", (b"KEY: VALUE",), old=True),
        Verb(
            b"wait",
            "wait SECONDS NAME",
            "take an exclusive lock, standing in line for up to SECONDS",
            (GET_SUCCESS + _N, GET_FAILURE + _N, GET_DEADLOCK + _N),
        ),
        Verb(
            b"read",
            "read SECONDS NAME",
            "take the same lock as one of several readers",
            (b"READERS" + COUNTED_GET_SUCCESS + _N, GET_FAILURE + _N, GET_DEADLOCK + _N),
        ),
        Verb(
            b"share",
            "share SECONDS LIMIT NAME",
            "take a shared lock that fewer than LIMIT hold",
            (b"COUNT" + SHARED_GET_SUCCESS + _N, SHARED_GET_FAILURE + _N, SHARED_GET_DEADLOCK + _N),
        ),
        Verb(
            b"cancel",
            "cancel",
            "end this connection's pending wait",
            (CANCELLED.strip(), NOTHING_TO_CANCEL.strip()),
        ),
        Verb(
            b"lease",
            "lease SECONDS NAME",
            "let the daemon take my lock back after SECONDS, from now",
            (LEASE_SUCCESS + _N, LEASE_FAILURE + _N),
        ),
        Verb(
            b"token",
            "token NAME",
            "the fencing token of my lock",
            (b"TOKEN" + LOCK_TOKEN + _N, b"0" + LOCK_TOKEN + _N),
        ),
        Verb(
            b"check",
            "check TOKEN NAME",
            "is TOKEN the one now in force?",
            (TOKEN_CURRENT + _N, TOKEN_STALE + _N),
        ),
        Verb(
            b"put",
            "put POOL ITEM",
            "offer an item to whoever takes one",
            (PUT_SUCCESS + _I, PUT_FAILURE + _I),
        ),
        Verb(
            b"take",
            "take SECONDS POOL",
            "take any free item of a pool, standing in line for up to SECONDS",
            (b"ATTEMPT" + TAKE_SUCCESS + _I, TAKE_FAILURE + b"POOL"),
        ),
        Verb(
            b"done", "done POOL ITEM", "my item is finished, and gone", (DONE_SUCCESS + _I, DONE_FAILURE + _I)
        ),
        Verb(
            b"fail", "fail POOL ITEM", "my item is given up, and gone", (FAIL_SUCCESS + _I, FAIL_FAILURE + _I)
        ),
        Verb(
            b"give",
            "give POOL ITEM",
            "my item is to be taken by somebody else",
            (GIVE_SUCCESS + _I, GIVE_FAILURE + _I),
        ),
        Verb(
            b"keep",
            "keep SECONDS POOL ITEM",
            "let the daemon take my item back after SECONDS, from now",
            (KEEP_SUCCESS + _I, KEEP_FAILURE + _I),
        ),
        Verb(
            b"pool",
            "pool [POOL]",
            "how many items of one pool or of all are free, held and done, as JSON",
            (b"1 {json}", b"COUNT [json]"),
        ),
        Verb(
            b"book",
            "book START LENGTH SLIP NAME",
            "have a name for LENGTH seconds from START on, or up to SLIP later",
            (b"ID Booked BEGIN END: NAME", b"0 Not Booked: NAME"),
        ),
        Verb(
            b"sbook",
            "sbook START LENGTH SLIP NAME",
            "the same, beside others who share it",
            (b"ID Shared Booked BEGIN END: NAME", b"0 Not Booked: NAME"),
        ),
        Verb(b"bookings", "bookings [NAME]", "windows that are on or to come, as JSON", (b"COUNT [json]",)),
        Verb(
            b"unbook",
            "unbook ID",
            "give my window back, or end it now",
            (b"1 Unbooked: ID", b"0 Unbook Failure: ID"),
        ),
        Verb(b"explain", "explain NAME", "who holds it and who waits for it, as JSON", (b"1 {json}",)),
        Verb(
            b"history", "history [NAME]", "latest events of one lock or of all, as JSON", (b"COUNT [json]",)
        ),
        Verb(
            b"find", "find WHAT FROM COUNT [TEXT]", "a page of a long listing, as JSON", (b"ENTRIES {json}",)
        ),
        Verb(b"notify", "notify on|off", "push a line when I lose a lock without my doing", (OK.strip(),)),
        Verb(
            b"alive",
            "alive SECONDS",
            "push a line every SECONDS, for whoever ends silent connections; 0: no more",
            (OK.strip(),),
        ),
        Verb(
            b"kick",
            "kick SESSION",
            "end a session, by address or registered name",
            (b"COUNT" + KICKED + b"SESSION",),
        ),
        Verb(
            b"bound",
            "bound",
            "within how many seconds a vanished peer is found",
            (b"SECONDS" + DEAD_PEER_SECONDS,),
        ),
        Verb(b"ping", "ping", "are you there?", (PONG.strip(),)),
        Verb(b"version", "version", "what the daemon is", (VERSION + b"VERSION",)),
        Verb(
            b"help",
            "help [all|VERB]",
            "the verbs in force; what each does; what one answers",
            (
                b"COUNT verb verb \xe2\x80\xa6" + HINT,
                b"SYNTAX  what it does",
                b"1 SYNTAX: what it does -> REPLY | REPLY",
            ),
        ),
        Verb(b"quit", "quit", "end this connection", (BYE.strip(),)),
        Verb(
            b"auth",
            "auth SECRET",
            "prove that I may talk to this daemon",
            (OK.strip(), NOT_AUTHORISED.strip()),
        ),
    )
}

# Counters that `q` always shows; those of other commands come with their first use.
ALWAYS_COUNTED = (b"d", b"dump", b"g", b"i", b"q", b"r", b"sd", b"sg", b"si", b"sr")


def lost(hold: Hold, reason: str) -> bytes:
    """The line that `notify on` asks for: a hold has ended without its session's doing."""
    if hold.table.kind == "items":
        return (
            b"! item " + shown(hold.name) + b" " + shown(cast(bytes, hold.key)) + b" " + reason.encode() + LF
        )
    return b"! lost " + shown(hold.name) + b" " + reason.encode() + LF
