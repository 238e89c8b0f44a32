"""Clients that are looked at once a second: nobody of them holds up the end of the daemon."""

from __future__ import annotations

from signal import SIGTERM

import pytest

from tests.support.process import Spawner

BEGINNINGS = {
    "no handshake": ("websocket", (), b""),
    "half a handshake": ("websocket", (), b"GET / HTTP/1.1\r\nHost"),
    "no header": ("tcp", ("-proxy-protocol", "127.0.0.0/8"), b""),
    "half a header": ("websocket", ("-proxy-protocol", "127.0.0.0/8"), b"PROXY TCP4 "),
}


@pytest.mark.parametrize(("way", "flags", "said"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_who_has_only_begun_is_cut_off_when_the_daemon_ends(
    glockd: Spawner, way: str, flags: tuple[str, ...], said: bytes
) -> None:
    daemon = glockd(*flags, "-max-connections", "1")
    client = daemon.connect(way).sends(said)
    daemon.connect(way).take_until(b"0 Too Many Connections")  # accepted after that one, and turned away
    assert daemon.gets(SIGTERM).ends() == 0
    client.is_hung_up_on()
