"""Names of locks and sessions: what counts as the same name, and how one is shown."""

from __future__ import annotations

import re

# Unicode's White_Space over the bytes of its UTF-8 encodings: exact, whatever else the bytes are. (str.split knows
# U+001C to U+001F besides, bytes.split only ASCII.)
SPACES = re.compile(
    rb"(?:[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)+"
)


# The same once more: single bytes, as they become spaces; and the others, by the first byte of their encodings.
_BLANKED = bytes(ord(" ") if byte in b"\t\n\v\f\r" else byte for byte in range(256))
_WIDE = {
    b"\xc2": ("\x85", "\xa0"),
    b"\xe1": ("\u1680",),
    b"\xe2": (*map(chr, range(0x2000, 0x200B)), "\u2028", "\u2029", "\u202f", "\u205f"),
    b"\xe3": ("\u3000",),
}

# Bytes above which several passes, each nearly as fast as memory, take less time than one that makes an object of every
# word or run; half a million words took 25 ms and more. No line is that long.
_LONG = 4096


def normalise(name: bytes) -> bytes:
    """`name` without white space at its ends and with single spaces for every run of it inside."""
    if len(name) > _LONG:
        return _normalise_long(name)
    if name.isascii():
        return b" ".join(name.split())  # bytes.split and Unicode agree on ASCII
    return SPACES.sub(b" ", name).strip(b" ")


def _normalise_long(name: bytes) -> bytes:
    name = name.translate(_BLANKED)
    for first, wide in _WIDE.items():
        # UTF-8: no encoding is part of another one, nor becomes one by what is put in the place of others.
        for space in wide if first in name else ():
            name = name.replace(space.encode(), b" ")
    name = name.strip(b" ")
    # Each pass halves every run.
    while b"  " in name:
        name = name.replace(b"  ", b" ")
    return name


def text(name: bytes) -> str:
    """A name as text, one to one for all that is UTF-8."""
    return name.decode("utf-8", "backslashreplace")


def shown(name: bytes) -> bytes:
    """A name as it stands in a line: as it is, or escaped if the line language could not have typed it.

    Doors of other languages take any bytes for a name; a line must stay one line, and its words its words.
    """
    if name == normalise(name):
        return name
    inner = SPACES.sub(_escape_spaces, name.replace(b"\\", b"\\\\"))
    return inner if not inner.endswith(b" ") else inner[:-1] + rb"\x20"


def _escape_spaces(run: re.Match[bytes]) -> bytes:
    """A run of white space, of which a first blank stays one where it stands between words."""
    spaces = run[0]
    kept = b" " if run.start() and spaces.startswith(b" ") else b""
    return kept + b"".join(rb"\x%02x" % byte for byte in spaces[len(kept) :])
