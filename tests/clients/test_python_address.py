"""How a server is spelled: the list that all clients share, and what the environment says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from glock import Client
from glock.address import parse, servers
from glock.options import Options

from tests.support.fakes import Daemon, daemon
from tests.support.places import ROOT

SHARED = json.loads((ROOT / "clients" / "addresses.json").read_text("utf-8"))
SPELLED = [pytest.param(each, id=ascii(each["spelled"])) for each in SHARED["addresses"]]


@pytest.mark.parametrize("case", SPELLED)
def test_an_address_is_what_all_clients_take_it_for(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ValueError, match=r"server|:") as caught:
            servers(case["spelled"])
        assert case["error"] in str(caught.value)
        return
    found = servers(case["spelled"])
    if "several" in case:
        assert [each.url for each in found] == case["several"]
        return
    (address,) = found
    assert (address.scheme, address.url, dict(address.options)) == (
        case["kind"],
        case["url"],
        case.get("options", {}),
    )
    assert (address.host, address.port) == (case.get("host", ""), case.get("port", 0))
    assert address.path == case.get("path", "")
    assert parse(address.url) == parse(case["spelled"].partition("?")[0] if address.options else case["url"])


def test_the_list_knows_no_spelling_twice_and_has_every_kind() -> None:
    spelled = [each["spelled"] for each in SHARED["addresses"]]
    assert len(set(spelled)) == len(spelled)
    assert {each.get("kind") for each in SHARED["addresses"]} == {None, "tcp", "unix", "tls", "ws", "wss"}


@pytest.mark.parametrize("spelled", SHARED["unset"], ids=ascii)
def test_a_blank_variable_is_none(spelled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOCK_SERVER", spelled)
    assert [each.url for each in servers()] == ["tcp://127.0.0.1:9999"]


def test_the_variable_is_read_by_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOCK_SERVER", " UNIX:/run/glockd.sock\n")
    assert Client().urls == ["unix:///run/glockd.sock"]
    monkeypatch.setenv("GLOCK_SERVER", "a, b:1")
    assert Client().urls == ["tcp://a:9999", "tcp://b:1"]


@pytest.mark.parametrize(
    "secret", ["tcp://me:hush@host", "me:hush@host", "tcp://me:hu?sh@host", "ws://me:hush@host/#a"]
)
def test_what_may_be_a_secret_is_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="wrong") as caught:
        parse(secret)
    assert "hu" not in str(caught.value).replace("the ", "")


def test_no_server_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no server is named"):
        servers([])


@pytest.mark.parametrize("wrong", [b"tcp://host", 9999, [b"tcp://host"], [1], {1: 2}, True, Path("/run/x")])
def test_an_address_that_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a server's address is text, not"):
        servers(wrong)


@pytest.mark.parametrize("case", SHARED["secrets"], ids=lambda each: ascii(each["secret"]))
def test_a_secret_is_what_all_clients_take_it_for(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sent(secret: str | None) -> bytes | None:
        return Options.checked(secret=secret).secret

    monkeypatch.setenv("GLOCK_SECRET", case["secret"])
    for secret in (case["secret"], None):  # given, or from the environment
        if "error" in case:
            with pytest.raises(ValueError, match=case["error"]) as caught:
                sent(secret)
            assert "one" not in str(caught.value), "a secret is not repeated"
        else:
            wanted = case["sent"]
            assert sent(secret) == (None if wanted is None else wanted.encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("spelled")) as running:
        yield running


def test_every_way_to_spell_a_server_reaches_it(server: Daemon) -> None:
    port, path = server.port, server.unix
    for spelled in (
        f"127.0.0.1:{port}",
        f" TCP://127.0.0.1:{port}/\n",
        f"{path}",
        f"unix:{path}",
        f"UNIX://{path}",
        f"WS://127.0.0.1:{server.ws[1]}",
    ):
        with Client(spelled) as client:
            assert client.ping() > 0
