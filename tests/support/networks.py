"""A host of the test's own, in a network namespace, that can vanish from the network without a word."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLONE_NEWNET = 0x40000000  # setns(2)

# RFC 2544 sets 198.18.0.0/15 aside for tests of networks; nobody routes it.
SERVER, ROUTER, CLIENT = "198.18.97.1", "198.18.97.2", "198.18.98.1"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class FarHost:
    """A host behind a veth pair.

    Attributes:
        server: this side's address, for a daemon to listen on.

    Raises:
        subprocess.CalledProcessError: namespaces cannot be made here.
    """

    server = SERVER

    def __init__(self) -> None:
        pid = os.getpid()
        self.name, self.near, self.far = f"glockd-{pid}", f"glk{pid}n"[-15:], f"glk{pid}f"[-15:]
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)
            ip("addr", "add", f"{SERVER}/30", "dev", self.near)
            ip("link", "set", self.near, "up")
            self.there("addr", "add", f"{ROUTER}/30", "dev", self.far)
            self.there("link", "set", self.far, "up")
            self.there("link", "set", "lo", "up")
            # The address is not the link's own: packets for it are lost while the neighbour still answers.
            self.there("addr", "add", f"{CLIENT}/32", "dev", "lo")
            ip("route", "add", f"{CLIENT}/32", "via", ROUTER)
        except subprocess.CalledProcessError:
            self.close()
            raise

    def there(self, *words: str) -> None:
        ip("-netns", self.name, *words)

    def connect(self, where: tuple[str, int]) -> socket.socket:
        """A connection from the host to `where`."""
        # Only the thread moves into the namespace, and ends there; its socket stays.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._connect, where).result()

    def _connect(self, where: tuple[str, int]) -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{self.name}").open("rb") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return socket.create_connection(where, 10, source_address=(CLIENT, 0))

    def vanishes(self) -> None:
        """From now on nothing reaches the host, and nobody says so."""
        self.there("addr", "del", f"{CLIENT}/32", "dev", "lo")
        self.there("route", "add", "blackhole", f"{CLIENT}/32")

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", self.near)
        ip("netns", "del", self.name)
