"""Every list of addresses that makes sense, in every order."""

from __future__ import annotations

import socket
from itertools import permutations

import pytest

from glockd.config import StartError
from glockd.process.binding import addresses, overlaps
from tests.support.http import ask
from tests.support.process import Spawner, free_port, one_clear_line, run_glockd


@pytest.mark.parametrize(
    ("hosts", "wanted"),
    [
        (["127.0.0.1", "::1"], {"127.0.0.1", "::1"}),
        (["0.0.0.0", "::"], {"0.0.0.0", "::"}),
        (["*"], {"0.0.0.0", "::"}),
        (["*", "0.0.0.0", "::"], {"0.0.0.0", "::"}),
        (["::"], {":: and IPv4"}),
        (["0:0::0", "::"], {":: and IPv4"}),
        (["::", "127.0.0.1", "::1"], {":: and IPv4"}),
        (["0.0.0.0", "127.0.0.1", "::1"], {"0.0.0.0", "::1"}),
        (["0.0.0.0", "127.0.0.1", "::1", "::"], {"0.0.0.0", "::"}),
        (["127.0.0.1", "127.0.0.1", "::ffff:127.0.0.1"], {"127.0.0.1"}),
        ([], set()),
    ],
)
def test_addresses_that_go_together(hosts: list[str], wanted: set[str]) -> None:
    for order in permutations(hosts):
        found = addresses(order, 9999)
        assert {one.address[0] + " and IPv4" * one.both for one in found} == wanted
        assert len(found) == len(wanted)


def test_a_name_stands_for_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 9999, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9999)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
    assert [one.address[0] for one in addresses(["localhost"], 9999)] == ["::1", "127.0.0.1"]


def test_a_name_without_an_address_is_told() -> None:
    with pytest.raises(StartError, match=r"cannot listen on no\.such\.name\.invalid port 9999"):
        addresses(["no.such.name.invalid"], 9999)


@pytest.mark.parametrize("bind", ["0.0.0.0,::", "::,0.0.0.0", "*", "::", "127.0.0.1,::,::1", "*,::1,[::]"])
def test_the_daemon_listens_on_both_families(glockd: Spawner, has_ipv6: bool, bind: str) -> None:
    if not has_ipv6:
        pytest.skip("there is no IPv6 here")
    port, web = free_port(), free_port()
    daemon = glockd("-port", str(port), "-ws", "0", "-http", f":{web}", "-bind", bind, listen=())
    daemon.tcp, daemon.tcp6 = ("127.0.0.1", port), ("::1", port)
    for transport in ("tcp", "tcp6"):
        alice = daemon.client(transport)
        # An IPv4 client is never called ::ffff:127.0.0.1.
        alice.says("me").hears(f"1 {alice.address} {alice.address}").hangs_up()
    for host in ("127.0.0.1", "::1"):
        assert ask((host, web), "/healthz").status == 200


@pytest.mark.parametrize(
    ("bind", "http"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("::", "127.0.0.1")]
)
def test_an_option_that_is_in_the_way_of_another_is_named(bind: str, http: str) -> None:
    port = free_port()
    result = run_glockd("-port", "0", "-ws", str(port), "-bind", bind, "-http", f"{http}:{port}")
    assert result.returncode == 1
    line = one_clear_line(result.stderr)
    assert f"cannot listen on {http} port {port}" in line
    assert "by this daemon itself (ws " in line


def test_another_program_that_is_in_the_way_is_not_taken_for_the_daemon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run_glockd("-port", str(port), "-ws", "0", "-bind", "127.0.0.2,127.0.0.1")
    assert result.stderr == f"glockd: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize(
    ("listening", "wanted", "so"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.1", False),
        ("127.0.0.1", "::1", False),
        ("127.0.0.1", "::", True),
    ],
)
def test_which_socket_is_in_the_way(listening: str, wanted: str, so: bool) -> None:
    with socket.create_server((listening, 0)) as sock, socket.socket(socket.AF_UNIX) as unix:
        port = sock.getsockname()[1]
        (address,), (elsewhere,) = addresses([wanted], port), addresses([wanted], port ^ 1)
        assert overlaps(address, sock) is so
        assert not overlaps(elsewhere, sock)
        assert not overlaps(address, unix)
