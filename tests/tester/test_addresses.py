"""The tester takes an address for what all clients take it for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glockd_tester.addresses import Address, parse_address
from tests.support.places import ROOT

SHARED = json.loads((ROOT / "clients" / "addresses.json").read_text("utf-8"))
SPELLED = [pytest.param(each, id=ascii(each["spelled"])) for each in SHARED["addresses"]]


def why_not(case: dict[str, Any]) -> str:
    """The words in which the tester refuses; none if it does not."""
    if case.get("kind") in ("tls", "wss"):
        return f"this client does not speak {case['kind']}://"
    if "several" in case or "," in case["spelled"]:
        return "several servers"
    error: str = case.get("error", "")
    if case["spelled"].strip().lower().startswith(("tls://", "wss://")):
        return error and "this client does not speak"
    return error


@pytest.mark.parametrize("case", SPELLED)
def test_an_address_is_what_all_clients_take_it_for(case: dict[str, Any]) -> None:
    error = why_not(case)
    if error:
        with pytest.raises(ValueError, match=r".") as caught:
            parse_address(case["spelled"])
        assert error in str(caught.value)
        return
    found = parse_address(case["spelled"])
    assert (found.transport, str(found)) == (case["kind"], case["url"])
    assert (found.host, found.port) == (case.get("host", ""), case.get("port", 0))
    assert found.path == case.get("path", "")


def test_an_option_may_mean_another_transport_where_none_is_named() -> None:
    assert parse_address("host", "ws") == Address("ws", "host", 9998, "/")
    assert parse_address("tcp://host", "ws") == Address("tcp", "host", 9999)
    with pytest.raises(ValueError, match="unix:///absolute/path"):
        parse_address("relative", "unix")
