"""Names of locks and sessions: what counts as the same name, and how one is shown."""

from __future__ import annotations

import re

# Unicode's White_Space over the bytes of its UTF-8 encodings: exact, whatever else the bytes are. (str.split knows
# U+001C to U+001F besides, bytes.split only ASCII.)
SPACES = re.compile(
    rb"(?:[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)+"
)


def normalise(name: bytes) -> bytes:
    """`name` without white space at its ends and with single spaces for every run of it inside."""
    if name.isascii():
        return b" ".join(name.split())  # bytes.split and Unicode agree on ASCII
    return SPACES.sub(b" ", name).strip(b" ")


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
