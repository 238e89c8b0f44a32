"""Processes full of clients that a fault is done to: started here, told apart from us by their own process ids.

    hold ADDRESS COUNT LINE     one process, COUNT connections; each sends LINE and waits for its reply
    fork ADDRESS COUNT LINE     COUNT processes with one connection each; a list of their ids is printed
    watch ADDRESS               one connection that asks all the time; at its end, how long the answers took

`{n}` in LINE is the connection's number. `wait` and its like have no reply at once, so a line of theirs goes
behind a `ping` in one packet, whose reply shows that the daemon has seen both.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .addresses import Address, parse_address
from .peers import Peer, connect
from .process import allow_open_files

PATIENCE = 60.0  # seconds for a crowd to gather


@contextmanager
def crowd(kind: str, address: Address, count: int = 1, line: str = "") -> Iterator[Crowd]:
    """Start one and wait until all its clients are connected; killed at the end, if it still lives."""
    gathered = Crowd(kind, address, count, line)
    try:
        gathered.gather()
        yield gathered
    finally:
        gathered.disperse()


class Crowd:
    """Its process, and with `fork` the `pids` of its clients' own processes."""

    def __init__(self, kind: str, address: Address, count: int, line: str) -> None:
        command = [sys.executable, "-m", f"{__package__}.crowd", kind, str(address), str(count), line]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pids: list[int] = []

    def gather(self) -> None:
        """Wait until it is complete."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise TimeoutError("the clients have not come together")
        self.pids = json.loads(line)

    def kill(self, pid: int | None = None) -> None:
        """kill -9 one client's process, or the crowd's; it is gone when this returns."""
        if pid is None:
            self.process.kill()
            self.process.wait()
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        os.kill(pid, signal.SIGKILL)
        # Its parent reaps it: then its sockets are closed.
        self.process.stdin.write(b"%d\n" % pid)
        self.process.stdin.flush()
        self.process.stdout.readline()

    def end(self) -> Any:
        """Ask it to end, and return what it says."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        said = self.process.stdout.read()
        self.process.wait(PATIENCE)
        return json.loads(said)

    def disperse(self) -> None:
        """End what still lives."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(5 if self.pids else 0.2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


# What runs in the crowd's own process


def say(line: str, peer: Peer, number: int) -> None:
    """Send the line of one client, and make sure that the server has seen it."""
    text = line.replace("{n}", str(number)).encode()
    if text.startswith((b"wait ", b"read ", b"share ")):
        peer.send(b"ping\n" + text + b"\n")
        reply = peer.receive_line(PATIENCE)
    else:
        reply = peer.ask(text)
    if reply is None or reply.startswith(b"0 "):
        sys.exit(f"{text!r}: {reply!r}")


def _tell(value: object) -> None:
    print(json.dumps(value), flush=True)


def hold(address: Address, count: int, line: str) -> None:
    allow_open_files(count + 50)
    peers = []
    for number in range(count):
        peer = connect(address, PATIENCE)
        say(line, peer, number)
        peers.append(peer)
    _tell([])
    sys.stdin.read()


def fork(address: Address, count: int, line: str) -> None:
    pids = []
    reader, writer = os.pipe()
    for number in range(count):
        pid = os.fork()
        if not pid:
            _live(address, line, number, writer)
        pids.append(pid)
        if os.read(reader, 1) != b".":
            sys.exit("a client has failed")
    _tell(pids)
    alive = set(pids)
    for request in sys.stdin:
        pid = int(request)
        os.waitpid(pid, 0)
        alive.discard(pid)
        _tell(pid)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _live(address: Address, line: str, number: int, writer: int) -> None:
    """One client of `fork`: never returns."""
    try:
        peer = connect(address, PATIENCE)
        say(line, peer, number)
        os.write(writer, b".")
        while True:
            signal.pause()
    except BaseException:
        os.write(writer, b"!")
    finally:
        os._exit(1)


def watch(address: Address) -> None:
    times = []
    peer = connect(address, PATIENCE)
    _tell([])
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        start = time.perf_counter()
        peer.ask(b"i watch")
        times.append(time.perf_counter() - start)
    _tell(times)


def main(arguments: Sequence[str]) -> None:
    kind, where, count, line = arguments
    address = parse_address(where)
    if kind == "hold":
        hold(address, int(count), line)
    elif kind == "fork":
        fork(address, int(count), line)
    else:
        watch(address)


if __name__ == "__main__":
    main(sys.argv[1:])
