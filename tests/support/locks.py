"""Looking at locks from outside, and time, as the tests of the new verbs need them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from typing import Any

from tests.support.clients import Client, SocketClient, StreamClient, wait_until
from tests.support.conversations import ConversationDaemon

TABLES = ("exclusive", "shared")


def explained(observer: Client, name: str) -> dict[str, Any]:
    """What `explain` says of the lock `name`."""
    reply = observer.says(f"explain {name}").hears_a_line()
    assert reply.startswith(b"1 {"), reply
    found: dict[str, Any] = json.loads(reply[2:])
    return found


def in_line(observer: Client, name: str) -> list[str]:
    """The addresses of those who wait for `name`, first to last, exclusive before shared."""
    found = explained(observer, name)
    return [waiter["address"] for table in TABLES for waiter in found[table]["waiters"]]


def holders(observer: Client, name: str) -> list[str]:
    """The addresses of those who hold `name`, oldest first, exclusive before shared."""
    found = explained(observer, name)
    return [holder["address"] for table in TABLES for holder in found[table]["holders"]]


def name_in(line: str) -> str:
    """The lock that a `wait`, `read` or `share` is about."""
    verb, _, rest = line.partition(" ")
    return rest.split(" ", 2 if verb == "share" else 1)[-1]


def waits(observer: Client, client: Client, *lines: str) -> None:
    """`client` says `lines`, of which the first makes it wait, and the observer sees it in line."""
    client.says(*lines)
    name = name_in(lines[0])
    wait_until(lambda: client.address in in_line(observer, name), about=lambda: explained(observer, name))


def line_is(observer: Client, name: str, *clients: Client) -> None:
    """Wait until just these wait for `name`, in this order."""
    wanted = [client.address for client in clients]
    wait_until(lambda: in_line(observer, name) == wanted, about=lambda: explained(observer, name))


def time_passes(daemon: object, seconds: float) -> None:
    """Let the clock of bare conversations go on; that of a process goes by itself."""
    if isinstance(daemon, ConversationDaemon):
        daemon.passes(seconds)


DEATHS = ("close", "reset", "half close", "kill")


def dies(client: Client, how: str) -> None:
    """The client's connection ends, without regard to what the daemon may still have to say."""
    if not isinstance(client, SocketClient):
        client.vanishes()
    elif how == "close":
        client.sock.close()
    elif how == "reset":
        client.vanishes()
    elif how == "half close":
        client.sock.shutdown(socket.SHUT_WR)
    else:
        assert how == "kill"
        # The connection belongs to a process that is killed.
        owner = subprocess.Popen(["sleep", "1000"], pass_fds=[client.sock.fileno()])
        client.sock.close()
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()


def forget(client: Client) -> None:
    """Close what is left of a client that has died."""
    if isinstance(client, SocketClient):
        with contextlib.suppress(OSError):
            client.sock.close()


def is_cut_off(client: Client) -> None:
    """The daemon has ended the connection and said nothing more but a websocket's close frame."""
    if isinstance(client, StreamClient):
        client.is_hung_up_on()
    elif isinstance(client, SocketClient):
        first, _ = client.receive_frame()  # type: ignore[attr-defined]
        assert first == 0x88
        client.is_hung_up_on()
    else:
        assert not client.is_open
        assert client.receive(1) == b""
