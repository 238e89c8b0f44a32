"""The console page: joined from its files, with the policy that lets a browser run just what is in it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from glockd.net.answers import respond
from glockd.net.exchange import Answer, Ask
from glockd.web.app import Page

FOLDER = Path(__file__).with_name("console")

# The parts of the script, in the order in which they stand on the page.
SCRIPT = (
    "verbs",
    "bounds",
    "elements",
    "names",
    "ages",
    "wire",
    "link",
    "poll",
    "tiles",
    "counters",
    "list",
    "lists",
    "calendar",
    "details",
    "kick",
    "views",
    "keys",
    "terminal",
    "start",
)

_INLINE = re.compile(rb"<(script|style)\b[^>]*>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)


def content() -> bytes:
    """The page: style and script stand in it, so that one request gets all of it."""
    script = b"\n".join((FOLDER / f"{part}.js").read_bytes() for part in SCRIPT)
    style = (FOLDER / "style.css").read_bytes()
    page = (FOLDER / "page.html").read_bytes()
    return page.replace(b"/* style.css */\n", style).replace(b"/* script */\n", script)


def page(content: bytes) -> Page:
    """The page with this content."""
    policy = content_policy(content)

    def show(_: Ask) -> Answer:
        return respond(content, "text/html; charset=utf-8", policy=policy)

    # Nothing in it is worth a secret, and it asks for one itself: a browser that asked too would ask twice.
    return Page(show, asks=True)


def content_policy(content: bytes) -> str:
    """A Content-Security-Policy (W3C, CSP 3) that allows the page's own scripts and styles, by their hashes.

    Besides that it may talk to where it came from, websockets included, and show pictures that lie in itself.
    """
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, body in _INLINE.findall(content):
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        hashes[kind.lower()].append(f"'sha256-{digest}'")
    scripts, styles = (" ".join(found) or "'none'" for found in hashes.values())
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; img-src data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
