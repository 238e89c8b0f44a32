"""A client that does not read its replies is not read from: it costs little, and nobody else notices."""

from __future__ import annotations

import contextlib
import re
import select
from pathlib import Path

import pytest

from tests.support.clients import SocketClient, WebSocketClient
from tests.support.process import Glockd, Spawner

pytestmark = pytest.mark.transports("tcp", "unix", "websocket")

MEBIBYTE = 1 << 20
QUIET = 0.5  # seconds without room for another byte: the daemon reads no more


def peak_memory(daemon: Glockd) -> int:
    """The largest resident set so far, in bytes (proc(5), VmHWM)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{daemon.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def say_as_much_as_is_taken(client: SocketClient, question: bytes, most: int) -> int:
    """Send `question` again and again until no more is taken, and read nothing; return how often."""
    client.sock.setblocking(False)
    block = question * 1000
    sent = 0
    while sent < most and select.select([], [client.sock], [], QUIET)[1]:
        with contextlib.suppress(BlockingIOError):
            sent += client.sock.send(block[sent % len(question) :])
    client.sock.settimeout(60)
    return sent // len(question)


@pytest.mark.parametrize("line", ["dump", "i " + "n" * 4000], ids=["much for little", "as much as is asked"])
def test_a_client_that_does_not_read_is_not_read_from(glockd: Spawner, transport: str, line: str) -> None:
    daemon = glockd()
    alice, bob = daemon.client(transport), daemon.client("tcp")
    name = "n" * 4000
    alice.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    question = alice.frame(alice.TEXT, line) if isinstance(alice, WebSocketClient) else f"{line}\n".encode()
    before = peak_memory(daemon)
    most = 64 * MEBIBYTE
    asked = say_as_much_as_is_taken(alice, question, most)
    assert asked * len(question) < most - MEBIBYTE, "the daemon reads on and on"
    bob.says("g job").hears("1 Lock Get Success: job")
    bob.says(f"g {name}").hears(f"0 Lock Get Failure: {name}")
    assert peak_memory(daemon) - before < 32 * MEBIBYTE
    alice.vanishes()
    while bob.says(f"i {name}").hears_a_line().startswith(b"1"):
        pass
    bob.says(f"g {name}").hears(f"1 Lock Get Success: {name}")
    bob.hangs_up()


def test_who_reads_late_misses_nothing(glockd: Spawner, transport: str) -> None:
    daemon = glockd()
    alice = daemon.client(transport)
    line = b"sg job\n"
    if isinstance(alice, WebSocketClient):
        line = alice.frame(alice.TEXT, "sg job")
    asked = say_as_much_as_is_taken(alice, line, 16 * MEBIBYTE)
    for _ in range(asked):
        alice.hears_bytes("1 Shared Lock Get Success: job\r\n")
    alice.vanishes()
