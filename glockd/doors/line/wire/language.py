"""Every word the daemon understands or says.

The bytes of the old verbs are those of the original, line ends included (docs/protocol.md, Replies).
"""

from __future__ import annotations

from typing import NamedTuple

from glockd.core.names import SPACES, shown

LF = b"\n"
CRLF = b"\r\n"

# As numbers, for comparing single bytes.
SPACE = 0x20
LINE_END = 0x0A

# The longest line that is read whole; a longer one is cut here and the rest is the next line.
MAX_LINE = 4096


def trim(line: bytes) -> bytes:
    """`line` without white space at its ends."""
    if line.isascii():
        return line.strip()
    start = SPACES.match(line)
    begin = start.end() if start else 0
    end = len(line)
    # Run by run and not with an anchored expression, which would take quadratic time.
    for run in SPACES.finditer(line, begin):
        if run.end() == len(line):
            end = run.start()
    return line[begin:end]


class Verb(NamedTuple):
    """One command of the language."""

    word: bytes
    syntax: str
    does: str
    old: bool = False  # of the original; its replies end as the original's do


VERBS = {
    verb.word: verb
    for verb in (
        Verb(b"g", "g NAME", "take an exclusive lock", old=True),
        Verb(b"r", "r NAME", "release it", old=True),
        Verb(b"i", "i NAME", "is it locked?", old=True),
        Verb(
            b"sg", "sg NAME", "take a shared lock, which any number may hold, and count its holders", old=True
        ),
        Verb(b"sr", "sr NAME", "release it", old=True),
        Verb(b"si", "si NAME", "how many hold it?", old=True),
        Verb(b"d", "d [NAME]", "list exclusive locks and their holders", old=True),
        Verb(b"sd", "sd [NAME]", "list shared locks and their holders", old=True),
        Verb(b"dump", "dump [shared]", "all exclusive (shared) locks in one line, with addresses", old=True),
        Verb(b"iam", "iam [NAME]", "register a name for this connection, or take it back", old=True),
        Verb(b"me", "me", "this connection's address and registered name", old=True),
        Verb(b"who", "who [NAME]", "list connections with a registered name", old=True),
        Verb(b"q", "q", "counters", old=True),
        Verb(b"wait", "wait SECONDS NAME", "take an exclusive lock, standing in line for up to SECONDS"),
        Verb(b"read", "read SECONDS NAME", "take the same lock as one of several readers"),
        Verb(b"share", "share SECONDS LIMIT NAME", "take a shared lock that fewer than LIMIT hold"),
        Verb(b"cancel", "cancel", "end this connection's pending wait"),
        Verb(b"lease", "lease SECONDS NAME", "let the daemon take my lock back after SECONDS, from now"),
        Verb(b"token", "token NAME", "the fencing token of my lock"),
        Verb(b"check", "check TOKEN NAME", "is TOKEN the one now in force?"),
        Verb(b"explain", "explain NAME", "who holds it and who waits for it, as JSON"),
        Verb(b"history", "history [NAME]", "latest events of one lock or of all, as JSON"),
        Verb(b"find", "find WHAT FROM COUNT [TEXT]", "a page of a long listing, as JSON"),
        Verb(b"notify", "notify on|off", "push a line when I lose a lock without my doing"),
        Verb(b"kick", "kick SESSION", "end a session, by address or registered name"),
        Verb(b"bound", "bound", "within how many seconds a vanished peer is found"),
        Verb(b"ping", "ping", "are you there?"),
        Verb(b"version", "version", "what the daemon is"),
        Verb(b"help", "help", "the verbs in force"),
        Verb(b"auth", "auth SECRET", "prove that I may talk to this daemon"),
    )
}

# Counters that `q` always shows; those of other commands come with their first use.
ALWAYS_COUNTED = (b"d", b"dump", b"g", b"i", b"q", b"r", b"sd", b"sg", b"si", b"sr")

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
LEASE_SUCCESS = b"1 Lock Lease Success: "
LEASE_FAILURE = b"0 Lock Lease Failure: "
TOKEN_CURRENT = b"1 Lock Token Current: "
TOKEN_STALE = b"0 Lock Token Stale: "

# Replies, to be put between a number and the name.
COUNTED_GET_SUCCESS = b" Lock Get Success: "
SHARED_GET_SUCCESS = b" Shared Lock Get Success: "
SHARED_IS_LOCKED = b" Shared Lock Is Locked: "
LOCK_TOKEN = b" Lock Token: "
KICKED = b" Kicked: "

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

# Refusals, to be followed by what was asked for.
BAD_ARGUMENT = b"0 Bad Argument: "
TOO_MANY_LOCKS = b"0 Too Many Locks: "
TOO_MANY_WAITERS = b"0 Too Many Waiters: "
NAME_TOO_LONG = b"0 Name Too Long: "


def lost(name: bytes, reason: str) -> bytes:
    """The line that `notify on` asks for: a hold has ended without its session's doing."""
    return b"! lost " + shown(name) + b" " + reason.encode() + LF
