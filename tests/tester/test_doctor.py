"""glockd-tester doctor: the way between a user and the server."""

from __future__ import annotations

import json
import socketserver
import threading
from typing import Any

from click.testing import CliRunner

from glockd_tester.addresses import Address
from glockd_tester.cli import main
from glockd_tester.server import LocalServer


def run(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(main, ["doctor", "--json", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, json.loads(result.stdout)


def test_a_healthy_way() -> None:
    with LocalServer() as server:
        code, report = run(str(server.tcp), "--idle", "0.3")
    assert code == 0
    assert (
        0
        < report["round trip"]["fastest"]
        <= report["round trip"]["median"]
        <= report["round trip"]["slowest"]
    )
    assert report["stated bound"]["bound"] == 30
    assert report["idle limit"] == {"survived": 0.3, "lost": None, "worry": False}
    assert "dead peer" not in report


def test_a_vanished_peer_is_found_within_the_bound() -> None:
    with LocalServer(["-dead-peer-seconds", "5"]) as server:
        code, report = run(str(server.tcp), "--idle", "0", "--dead-peer", "10")
    assert code == 0
    assert report["stated bound"]["bound"] == 5
    assert 1 < report["dead peer"]["found"] < 6


def test_a_peer_that_is_not_found_in_time_is_told() -> None:
    with LocalServer(["-dead-peer-seconds", "60"]) as server:
        code, report = run(str(server.tcp), "--idle", "0", "--dead-peer", "0.5")
    assert code == 0  # it was not looked at for as long as the server may take
    assert report["dead peer"] == {"found": None, "worry": False}


def test_on_a_unix_socket_nobody_vanishes() -> None:
    with LocalServer() as server:
        _, report = run(str(server.unix), "--idle", "0", "--dead-peer", "5")
    assert report["dead peer"]["found"] == 0


class Forgetful(socketserver.StreamRequestHandler):
    """Forgets who says nothing for half a second, as some firewalls do."""

    timeout = 0.5

    def handle(self) -> None:
        try:
            while line := self.rfile.readline():
                if line.startswith(b"i "):
                    self.wfile.write(b"0 Lock Not Locked: " + line[2:])
        except TimeoutError:
            pass


def test_something_between_that_forgets_idle_connections_is_found() -> None:
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forgetful) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = str(Address("tcp", "127.0.0.1", server.server_address[1]))
        try:
            code, report = run(address, "--idle", "1.5")
            person = CliRunner().invoke(main, ["doctor", address, "--idle", "1.2"])
        finally:
            server.shutdown()
            thread.join()
    assert code == 1
    assert report["idle limit"]["worry"]
    assert report["idle limit"]["lost"] <= 1.5
    assert report["stated bound"]["bound"] is None
    assert "forgets idle connections" in person.output
