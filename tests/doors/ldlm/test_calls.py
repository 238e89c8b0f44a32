"""What LDLM's calls decide, without a socket."""

from __future__ import annotations

import re

import pytest

from glockd.core.deadlines import NEVER
from glockd.core.holds import WHOLE, Waiter
from glockd.core.sessions import Session
from glockd.doors.ldlm import outcomes
from glockd.doors.ldlm.calls import MOST_ENDED, key_of, new_key
from glockd.doors.ldlm.outcomes import Outcome, Problem
from tests.support.ldlm import Counter

LARGEST = (1 << 31) - 1


def test_keys_are_random_uuids() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    form = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
    assert all(form.match(key) for key in keys)


# Taking


def test_who_comes_first_holds_the_whole(counter: Counter) -> None:
    alice, bob = counter.session(), counter.session()
    taken = counter.try_lock(alice)
    assert taken.done
    assert taken.hold is not None
    assert (taken.hold.weight, taken.hold.key, taken.hold.session) == (WHOLE, taken.key.encode(), alice)
    refused = counter.try_lock(bob)
    assert refused == Outcome(False, refused.key)
    assert refused.key
    assert refused.key != taken.key


def test_nobody_takes_a_lock_twice(counter: Counter) -> None:
    alice = counter.session()
    counter.takes(alice)
    assert not counter.try_lock(alice).done
    waiter = counter.waits(alice)  # on another call of the same connection
    assert waiter.session is alice


def test_a_lock_with_room_for_three(counter: Counter) -> None:
    alice, bob = counter.session(), counter.session()
    keys = [counter.takes(one, size=3) for one in (alice, alice, bob)]
    assert len(set(keys)) == 3
    assert counter.try_lock(bob, size=3) == Outcome(False, "key-6")
    assert counter.unlock(keys[1]).done
    assert counter.takes(bob, size=3)


@pytest.mark.parametrize("size", [2, WHOLE - 1, WHOLE, WHOLE + 1, LARGEST])
def test_sizes_of_every_kind(counter: Counter, size: int) -> None:
    alice = counter.session()
    counter.takes(alice, size=size)
    counter.takes(alice, size=size)
    assert counter.try_lock(alice, size=size - 1).problem == outcomes.OTHER_SIZE


@pytest.mark.parametrize(
    ("name", "size", "lease", "problem"),
    [
        (b"", 0, -1, outcomes.BAD_LEASE),
        (b"", 0, 0, outcomes.NO_NAME),
        (b"job", 0, 0, outcomes.BAD_SIZE),
        (b"job", -LARGEST, 0, outcomes.BAD_SIZE),
        (b"held", 3, 0, outcomes.OTHER_SIZE),
    ],
)
def test_the_first_check_that_fails_decides(
    counter: Counter, name: bytes, size: int, lease: int, problem: Problem
) -> None:
    alice = counter.session()
    counter.takes(alice, b"held", size=2)
    for found in (
        counter.try_lock(alice, name, size, lease),
        counter.lock(alice, name, size, lease),
    ):
        assert isinstance(found, Outcome)
        assert not found.done
        assert found.problem == problem
        assert bool(found.key) == (problem is not outcomes.BAD_LEASE)
    assert not counter.state.exclusive.is_held(b"job")
    assert b"job" not in counter.calls.sizes


def test_a_wait_below_nothing_has_no_key(counter: Counter) -> None:
    assert counter.lock(counter.session(), wait=-1) == Outcome(False, "", outcomes.BAD_WAIT)
    assert not counter.state.exclusive.is_held(b"job")


# Waiting


def test_first_come_first_served(counter: Counter) -> None:
    holder, *line = (counter.session() for _ in range(4))
    key = counter.takes(holder)
    waiters = [counter.waits(one) for one in line]
    assert not counter.try_lock(counter.session()).done
    for waiter in waiters:
        assert counter.unlock(key).done
        key = counter.turns[-1].key
        assert key == key_of(waiter)
    assert len(counter.turns) == 3
    assert counter.unlock(key).done


def test_a_lock_that_is_free_is_taken_at_once(counter: Counter) -> None:
    found = counter.lock(counter.session(), lease=5, wait=3)
    assert isinstance(found, Outcome)
    assert found.done
    assert found.hold is not None
    assert found.hold.deadline == counter.now + 5


def test_a_wait_ends_in_vain(counter: Counter) -> None:
    alice, bob = counter.session(), counter.session()
    counter.takes(alice)
    waiter = counter.waits(bob, wait=3)
    assert waiter.deadline == counter.now + 3
    assert counter.calls.timed_out(waiter) == Outcome(False, key_of(waiter), outcomes.TIMED_OUT)
    assert counter.waits(bob).deadline == NEVER
    assert counter.waits(bob, wait=float("inf")).deadline == NEVER


def test_a_lease_begins_with_the_grant(counter: Counter) -> None:
    alice, bob = counter.session(), counter.session()
    counter.takes(alice, lease=10)
    counter.waits(bob, lease=5)
    counter.passes(11)
    (granted,) = counter.turns
    assert granted.hold is not None
    assert granted.hold.deadline == counter.now + 5
    counter.passes(6)
    assert not counter.state.exclusive.is_held(b"job")


# Giving back


def test_whoever_knows_the_key_gives_a_lock_back(counter: Counter) -> None:
    alice = counter.session()
    mine, other = counter.takes(alice), counter.takes(alice, b"other")
    assert counter.unlock(other).problem == outcomes.WRONG_KEY
    assert counter.unlock("").problem == outcomes.WRONG_KEY
    assert counter.unlock(mine, b"nobody's").problem == outcomes.NO_LOCK
    assert counter.unlock(mine, b"").problem == outcomes.NO_LOCK
    done = counter.unlock(mine)
    assert done.done
    assert done.hold is not None
    assert done.hold.session is alice
    assert counter.unlock(mine).problem == outcomes.WRONG_KEY
    assert [hold.name for hold in alice.holds] == [b"other"]


def test_name_and_key_are_a_pair_and_not_one_text(counter: Counter) -> None:
    alice = counter.session()
    key = counter.takes(alice, b"colX", lease=10)
    assert counter.renew("X" + key, 60, b"col").problem == outcomes.NOTHING_TO_RENEW
    assert counter.unlock("X" + key, b"col").problem == outcomes.NO_LOCK
    counter.passes(11)
    assert not counter.state.exclusive.is_held(b"colX")


# Renewing


def test_a_lease_is_renewed_longer_or_shorter(counter: Counter) -> None:
    key = counter.takes(counter.session(), lease=10)
    for lease in (100, 2):
        found = counter.renew(key, lease)
        assert found.done
        assert found.key == key
        assert found.hold is not None
        assert found.hold.deadline == counter.now + lease
    counter.passes(3)
    assert counter.renew(key, 10) == Outcome(False, key, outcomes.NOTHING_TO_RENEW)


@pytest.mark.parametrize("lease", [0, -1, -LARGEST])
def test_a_lease_to_renew_has_a_length(counter: Counter, lease: int) -> None:
    key = counter.takes(counter.session(), lease=10)
    assert counter.renew(key, lease) == Outcome(False, "", outcomes.BAD_LEASE)
    assert counter.renew("none", lease, b"") == Outcome(False, "", outcomes.BAD_LEASE)


def test_what_is_held_without_a_lease_is_not_renewed(counter: Counter) -> None:
    key = counter.takes(counter.session())
    assert counter.renew(key, 5).problem == outcomes.NOTHING_TO_RENEW
    assert counter.renew(key, 5, b"other").problem == outcomes.NOTHING_TO_RENEW


def test_who_comes_too_late_learns_why(counter: Counter) -> None:
    alice = counter.session()
    taken = counter.try_lock(alice, lease=1)
    assert taken.hold is not None
    counter.passes(2)
    counter.calls.note_end(taken.hold, "expired")
    assert counter.renew(taken.key, 5).why == "expired"
    assert counter.unlock(taken.key).why == "expired"
    assert counter.unlock(taken.key, b"other").why == ""
    other = counter.try_lock(alice, b"other")
    assert other.hold is not None
    for number in range(MOST_ENDED):
        other.hold.key = b"%d" % number
        counter.calls.note_end(other.hold, "kicked")
    assert counter.unlock(taken.key).why == ""
    assert counter.unlock("0", b"other").why == "kicked"


# Sizes that stay


def test_a_size_stays_until_it_is_collected(counter: Counter) -> None:
    alice = counter.session()
    key = counter.takes(alice, size=2)
    assert counter.try_lock(alice).problem == outcomes.OTHER_SIZE
    counter.unlock(key)
    assert counter.try_lock(alice, size=3).problem == outcomes.OTHER_SIZE
    counter.passes(10)
    assert not counter.calls.sizes.collect(counter.now, 10, 100)
    assert counter.unlock(key).problem == outcomes.WRONG_KEY
    counter.passes(1)
    counter.calls.sizes.collect(counter.now, 10, 100)
    assert counter.unlock(key).problem == outcomes.NO_LOCK
    assert counter.takes(alice, size=3)


def test_what_is_held_is_not_collected(counter: Counter) -> None:
    alice = counter.session()
    key = counter.takes(alice, size=2)
    counter.takes(alice, b"free")
    counter.unlock("key-3", b"free")
    counter.passes(100)
    assert counter.calls.sizes.collect(counter.now, 10, 1)
    assert not counter.calls.sizes.collect(counter.now, 10, 100)
    assert len(counter.calls.sizes) == 1
    assert counter.try_lock(alice).problem == outcomes.OTHER_SIZE
    counter.unlock(key)
    counter.passes(11)
    counter.calls.sizes.collect(counter.now, 10, 100)
    assert len(counter.calls.sizes) == 0


def test_no_more_sizes_are_remembered_than_there_is_room_for(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glockd.doors.ldlm.sizes.MOST_NAMES", 10)
    alice = counter.session()
    counter.takes(alice, b"held", size=2)
    for number in range(100):
        name = b"%d" % number
        counter.unlock(counter.takes(alice, name), name)
    assert len(counter.calls.sizes) == 10
    assert counter.try_lock(alice, b"held").problem == outcomes.OTHER_SIZE
    assert counter.unlock("", b"0").problem == outcomes.NO_LOCK
    assert counter.unlock("", b"99").problem == outcomes.WRONG_KEY


def test_long_names_need_more_room(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glockd.doors.ldlm.sizes.MOST_BYTES", 10_000)
    alice = counter.session()
    for number in range(10):
        name = b"n" * 2000 + b"%d" % number
        counter.unlock(counter.takes(alice, name), name)
    assert len(counter.calls.sizes) == 4


# Beside the line language


def test_what_the_line_holds_is_taken(counter: Counter) -> None:
    alice, line = counter.session(), Session(b"line")
    table = counter.state.exclusive
    assert table.take(b"job", line, counter.now) is not None
    assert counter.try_lock(alice) == Outcome(False, "key-2")
    assert counter.unlock("key-2").problem == outcomes.WRONG_KEY
    waiter = counter.waits(alice)
    counter.tell(table.release(b"job", line, counter.now))
    assert counter.turns[0].key == key_of(waiter)
    assert table.take(b"job", line, counter.now) is None


def test_readers_of_the_line_leave_room_as_their_size_says(counter: Counter) -> None:
    alice, line = counter.session(), Session(b"line")
    table = counter.state.exclusive
    assert table.take(b"job", line, counter.now, 1, 2, size=2) is not None
    assert counter.takes(alice, size=3)
    assert not counter.try_lock(alice, size=3).done
    assert not counter.try_lock(alice, b"whole").problem


def test_a_lock_whose_size_came_with_a_waiter_has_it_for_the_line_too(counter: Counter) -> None:
    alice, bob, line = counter.session(), counter.session(), Session(b"line")
    table = counter.state.exclusive
    assert table.take(b"job", line, counter.now) is not None
    for one in (alice, bob):
        counter.waits(one, size=2)
    counter.tell(table.release(b"job", line, counter.now))
    assert table.size(b"job") == 2
    reader = Session(b"reader")
    assert table.take(b"job", reader, counter.now, 1) is None  # both places are taken
    counter.unlock(counter.turns[0].key)
    assert table.take(b"job", reader, counter.now, 1) is not None


def test_holds_of_other_doors_are_not_to_be_had_by_their_keys(counter: Counter) -> None:
    other = counter.session()
    other._door = "locket"
    counter.state.exclusive.take(b"job", other, counter.now, key=b"known")
    assert counter.unlock("known").problem == outcomes.WRONG_KEY
    assert counter.renew("known", 5).problem == outcomes.NOTHING_TO_RENEW


# Limits


def test_limits_answer_and_count() -> None:
    counter = Counter(max_session_locks=2, max_lock_waiters=1, max_name=5)
    alice, bob, carol = (counter.session() for _ in range(3))
    counter.takes(alice, b"a")
    counter.takes(alice, b"b")
    assert counter.try_lock(alice, b"c").problem == outcomes.TOO_MANY_LOCKS
    assert b"c" not in counter.calls.sizes
    counter.waits(bob, b"a")
    found = counter.lock(carol, b"a")
    assert isinstance(found, Outcome)
    assert found.problem == outcomes.TOO_MANY_WAITERS
    assert counter.try_lock(bob, b"longer").problem == outcomes.NAME_TOO_LONG
    assert counter.policy.refused == {"locks": 1, "waiters": 1, "names": 1}


def test_one_session_has_so_many_waits() -> None:
    counter = Counter(max_session_waiters=3)
    alice, bob = counter.session(), counter.session()
    counter.takes(alice)
    assert [isinstance(counter.lock(bob), Waiter) for _ in range(4)] == [True, True, True, False]


def test_waits_count_as_the_locks_they_may_become() -> None:
    counter = Counter(max_session_locks=2)
    alice, bob = counter.session(), counter.session()
    counter.takes(alice)
    counter.waits(bob)
    counter.takes(bob, b"one")
    assert counter.try_lock(bob, b"two").problem == outcomes.TOO_MANY_LOCKS
