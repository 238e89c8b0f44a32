"""Giving a lock that is held a size."""

from __future__ import annotations

import pytest

from glockd.core.sessions import Session
from glockd.core.state import State


def test_takers_to_come_are_bound() -> None:
    table, sessions = State().exclusive, [Session(b"%d" % number) for number in range(3)]
    assert table.take(b"job", sessions[0], 0.0, 1)
    assert table.bound(b"job", 2)
    assert table.size(b"job") == 2
    assert table.take(b"job", sessions[1], 0.0, 1)
    assert table.take(b"job", sessions[2], 0.0, 1) is None
    assert table.bound(b"job", 2)


def test_nothing_changes_where_it_does_not_fit() -> None:
    table, sessions = State().exclusive, [Session(b"%d" % number) for number in range(3)]
    for session in sessions:
        assert table.take(b"job", session, 0.0, 1)
    assert not table.bound(b"job", 2)
    assert table.size(b"job") is None
    assert table.take(b"whole", sessions[0], 0.0)
    assert not table.bound(b"whole", 2)
    assert table.take(b"sized", sessions[0], 0.0, 1, size=3)
    assert not table.bound(b"sized", 2)
    assert table.size(b"sized") == 3
    assert table.offer(b"pool", b"unit", 0, 0.0) == ()
    assert not table.bound(b"pool", 1)


def test_a_free_lock_has_nothing_to_bind() -> None:
    with pytest.raises(ValueError, match="nobody holds"):
        State().exclusive.bound(b"job", 2)
