"""How sites and hosts are written in options."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_origin(word: str) -> bool:
    """Whether it is what browsers send as Origin (RFC 6454, 7), or stands for such."""
    if word in ("*", "null"):
        return True
    scheme, slashes, site = word.rstrip("/").partition("://")
    try:
        parts = urlsplit(f"//{site}")
        whole = bool(parts.hostname) and parts.netloc == site and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return scheme.lower() in ("http", "https") and bool(slashes) and whole and "@" not in site


def is_host_name(word: str) -> bool:
    """Whether a daemon can be called so in a URL, its port apart."""
    return word == "*" or not set(word) & set("/:@[]?# ")


def bare(host: str) -> str:
    """A host without the brackets that a URL has around an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
