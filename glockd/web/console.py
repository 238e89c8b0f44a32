"""The console page: one file, and the policy that lets a browser run just what is in it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from websockets.http11 import Request, Response

from glockd.web.app import Page, respond

FILE = Path(__file__).with_name("console.html")

_INLINE = re.compile(rb"<(script|style)\b[^>]*>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)


def page(content: bytes) -> Page:
    """The page with this content."""
    policy = content_policy(content)

    def show(_: Request) -> Response:
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
