"""Which function carries out which verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from glockd.doors.line.wire import commands, extensions, listings
from glockd.doors.line.wire.language import VERBS

if TYPE_CHECKING:
    from glockd.doors.line.wire.conversation import Conversation

# Takes the conversation, the normalised argument and the time; gives the reply, or None for a pause.
Handler = Callable[["Conversation", bytes, float], bytes | None]
# With each handler, where its uses are counted.
Handlers = dict[bytes, tuple[Handler, int]]


def _numbered(handlers: dict[bytes, Handler]) -> Handlers:
    places = {word: place for place, word in enumerate(VERBS)}
    return {word: (handler, places[word]) for word, handler in handlers.items()}


_HANDLERS: dict[bytes, Handler] = {
    b"g": commands.get,
    b"r": commands.release,
    b"i": commands.inspect,
    b"sg": commands.shared_get,
    b"sr": commands.shared_release,
    b"si": commands.shared_inspect,
    b"d": commands.list_exclusive,
    b"sd": commands.list_shared,
    b"dump": commands.dump,
    b"iam": commands.iam,
    b"me": commands.me,
    b"who": commands.who,
    b"q": commands.counters,
    b"wait": extensions.wait,
    b"read": extensions.read,
    b"share": extensions.share,
    b"lease": extensions.lease,
    b"token": extensions.token,
    b"check": extensions.check,
    b"explain": extensions.explain,
    b"history": extensions.history,
    b"find": listings.find,
    b"notify": extensions.notify,
    b"kick": extensions.kick,
    b"auth": extensions.auth,
}

# Verbs that are the whole line: with an argument they are no command, as in the original, which has none of them.
_BARE: dict[bytes, Handler] = {
    b"cancel": extensions.cancel,
    b"bound": extensions.bound,
    b"ping": extensions.ping,
    b"version": extensions.version,
    b"help": extensions.show_help,
}

assert _HANDLERS.keys() | _BARE.keys() == VERBS.keys()

HANDLERS = _numbered(_HANDLERS)
BARE = _numbered(_BARE)

# Verbs that keep a name, and how many words come before it.
KEEPERS = {b"g": 0, b"sg": 0, b"iam": 0, b"wait": 1, b"read": 1, b"share": 2}


def _careful(handler: Handler, words: int) -> Handler:
    def check(talk: Conversation, argument: bytes, now: float) -> bytes | None:
        if len(argument) > talk.policy.max_name:
            name = argument.split(b" ", words)[-1]
            if len(name) > talk.policy.max_name:
                return talk.name_too_long(name)
        return handler(talk, argument, now)

    return check


# In force where the length of names is limited.
CAREFUL = _numbered(_HANDLERS | {word: _careful(_HANDLERS[word], words) for word, words in KEEPERS.items()})

# In force until a client has proved that it may talk to this daemon.
UNAUTHORISED = _numbered(dict.fromkeys(_HANDLERS, extensions.refuse) | {b"auth": extensions.auth})
