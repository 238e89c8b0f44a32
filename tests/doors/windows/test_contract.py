"""Windows keep of what every door promises what is not about connections: they outlive those, and nobody waits in line.

A time that is taken is agreed before, so what waits is a window to come, and what ends it is its own end.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.doors.contract import Contract, Observer
from tests.doors.windows.adapters import ADAPTERS, Adapter
from tests.support.clients import wait_until
from tests.support.process import Glockd, Spawner

NOT_PROMISED = (
    "test_an_ended_session_holds_nothing",
    "test_an_ended_session_waits_for_nothing",
    "test_first_come_first_served",
    "test_a_grant_to_who_is_gone_goes_on",
    "test_a_wait_ends_in_vain_and_the_line_moves_on",
    "test_limits_answer_and_count",
    "test_a_reload_takes_new_secrets_over",  # pScheduler's API knows none
    "test_a_crowd_that_vanishes_leaves_nothing",
)


class TestWindows(Contract):
    adapters = ADAPTERS
    namespace = "windows"

    def test_a_lease_ends(self, adapter: Any, daemon: Glockd, observer: Observer, name: str) -> None:
        alice, bob = adapter.opens(daemon), adapter.opens(daemon)
        assert alice.takes(name.encode(), lease=2)
        assert 0 < observer.table(name)["holders"][0]["lease"] <= 2
        assert not bob.takes(name.encode())
        observer.sees_holders(name, 0)
        assert not alice.gives(name.encode())
        assert observer.history(name) == ["granted", "expired"]
        assert bob.takes(name.encode())
        alice.vanishes()
        bob.vanishes()

    def test_a_kicked_session_holds_nothing(
        self, adapter: Any, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        alice, bob = adapter.opens(daemon), adapter.opens(daemon)
        assert alice.takes(name.encode())
        address = observer.table(name)["holders"][0]["address"]
        observer.client.says(f"kick {address}").hears(f"1 Kicked: {address}")
        observer.sees_holders(name, 0)
        assert bob.takes(name.encode())
        assert not alice.gives(name.encode())
        alice.vanishes()
        bob.vanishes()

    def test_a_daemon_that_is_told_to_stop_ends_every_session(self, adapter: Any, starts: Any) -> None:
        daemon = starts()
        assert adapter.opens(daemon).takes(b"job")
        daemon.stop()
        assert "Traceback" not in daemon.stderr


for _name in NOT_PROMISED:
    setattr(TestWindows, _name, None)


@pytest.mark.parametrize(("one", "other"), [ADAPTERS, ADAPTERS[::-1]], ids=lambda adapter: adapter.name)
def test_a_window_is_in_the_way_of_the_other_way_to_book(
    one: Adapter, other: Adapter, glockd: Spawner
) -> None:
    daemon = glockd(*one.flags)
    alice, bob = one.opens(daemon), other.opens(daemon)
    assert alice.takes(b"db")
    assert not bob.takes(b"db")
    assert alice.gives(b"db")
    wait_until(lambda: bob.takes(b"db"))
    bob.vanishes()
