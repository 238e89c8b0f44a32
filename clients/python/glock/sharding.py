"""Which of several servers has a name: rendezvous hashing.

For those who outgrow one daemon. Every client that is given the same servers, in whatever order, asks the
same one for a name; when a server is added to N, 1 in N+1 names moves, all of them to the new one. A name is
never looked for elsewhere because its server is down: two clients that disagree who is down would both get
the lock.

David G. Thaler, Chinya V. Ravishankar: Using Name-Based Mappings to Increase Hit Rates (1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def weight(server: str, name: bytes) -> int:
    """How much `server` (its canonical URL) wants `name`: the first 8 bytes of SHA-256 of both, an LF
    between."""
    return int.from_bytes(sha256(server.encode() + b"\n" + name).digest()[:8], "big")


def choose(servers: Sequence[str], name: bytes) -> int:
    """The index of the server that has `name`: the one with the largest weight."""
    return max(range(len(servers)), key=lambda index: (weight(servers[index], name), servers[index]))
