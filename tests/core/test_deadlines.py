"""One heap of deadlines: what is next, what is stale, when an alarm is to be set anew."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.core.deadlines import NEVER, Deadlines, Timed


class Item(Timed):
    def __init__(self) -> None:
        self.deadline = NEVER


def test_the_soonest_deadline_is_next_whatever_came_first() -> None:
    deadlines, items = Deadlines(), [Item() for _ in range(3)]
    assert deadlines.next() == NEVER
    assert deadlines.pop(10.0**9) is None
    for item, deadline in zip(items, (3.0, 1.0, 2.0), strict=True):
        deadlines.set(item, deadline)
    assert deadlines.next() == 1.0
    assert deadlines.pop(0.999) is None
    assert deadlines.pop(1.0) is items[1]
    assert items[1].deadline == NEVER
    assert [deadlines.pop(3.0), deadlines.pop(3.0), deadlines.pop(3.0)] == [items[2], items[0], None]


def test_of_two_with_the_same_deadline_the_first_set_is_the_first_to_go() -> None:
    deadlines, items = Deadlines(), [Item() for _ in range(20)]
    for item in items:
        deadlines.set(item, 1.0)
    assert [deadlines.pop(1.0) for _ in items] == items


def test_a_deadline_moved_or_taken_away_is_not_kept_to() -> None:
    deadlines, item, other = Deadlines(), Item(), Item()
    deadlines.set(item, 1.0)
    deadlines.set(item, 5.0)
    assert deadlines.pop(4.0) is None
    assert deadlines.next() == 5.0
    deadlines.set(other, 6.0)
    deadlines.clear(item)
    assert item.deadline == NEVER
    assert deadlines.next() == 6.0
    deadlines.set(other, NEVER)
    assert deadlines.next() == NEVER
    assert deadlines.pop(10.0) is None


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([NEVER, 1.0, 2.0, 3.0, "clear", "pop"])), max_size=200
    )
)
def test_stale_deadlines_do_not_pile_up(steps: list[tuple[int, float | str]]) -> None:
    deadlines, items = Deadlines(), [Item() for _ in range(5)]
    deadlines.SMALL = 4
    for place, step in steps:
        item = items[place]
        if isinstance(step, float):
            deadlines.set(item, step)
        elif step == "pop":
            due = min((one.deadline for one in items), default=NEVER)
            popped = deadlines.pop(2.0)
            assert (popped is None) == (due > 2.0)
        elif item.deadline != NEVER:
            deadlines.clear(item)
        live = [one.deadline for one in items if one.deadline != NEVER]
        assert deadlines.next() == min(live, default=NEVER)
        assert len(deadlines._heap) <= 2 * len(live) + 4


@pytest.mark.parametrize("before", ["nothing", "popped", "cleared", "taken away"])
def test_as_many_stale_deadlines_are_kept_as_is_said(before: str) -> None:
    """Twice as many entries as there are deadlines, and SMALL: fewer would cost time, more would cost memory."""
    deadlines, first, item = Deadlines(), Item(), Item()
    for now in range(0 if before == "nothing" else 100):
        gone = Item()
        deadlines.set(gone, float(now))
        if before == "popped":
            assert deadlines.pop(float(now)) is gone
        elif before == "cleared":
            deadlines.clear(gone)
        else:
            deadlines.set(gone, NEVER)
        assert deadlines.next() == NEVER
    deadlines.set(first, 1000.0)  # behind it the stale ones stay
    entries = 0
    for later in range(300):
        deadlines.set(item, 2000.0 + later)
        assert deadlines.next() == 1000.0
        entries = max(entries, len(deadlines._heap))
    assert entries == 2 * 2 + Deadlines.SMALL


@pytest.mark.parametrize("seed", range(5))
def test_deadlines_come_in_order_when_most_have_been_taken_away(seed: int) -> None:
    random = Random(seed)
    deadlines, items = Deadlines(), [Item() for _ in range(400)]
    for item in items:
        deadlines.set(item, random.random())
    random.shuffle(items)
    left, gone = items[:100], items[100:]
    for item in gone:
        deadlines.clear(item)
    left.sort(key=lambda item: item.deadline)
    assert [deadlines.pop(1.0) for _ in left] == left
    assert deadlines.pop(1.0) is None


def test_an_alarm_is_set_anew_when_something_ends_before_all_else() -> None:
    deadlines, first, second = Deadlines(), Item(), Item()
    assert not deadlines.moved
    deadlines.set(first, 5.0)
    assert deadlines.moved
    deadlines.moved = False
    deadlines.set(second, 6.0)
    deadlines.set(second, 5.0)  # as soon as the alarm that there is
    assert not deadlines.moved
    deadlines.set(second, 4.0)
    assert deadlines.moved


def test_a_deadline_put_off_or_taken_away_needs_no_alarm_before_the_old_one() -> None:
    deadlines, first, second = Deadlines(), Item(), Item()
    deadlines.set(first, 5.0)
    deadlines.set(second, 7.0)
    deadlines.moved = False
    deadlines.clear(first)
    deadlines.set(second, NEVER)
    assert not deadlines.moved
    deadlines.set(first, 9.0)  # it is the earliest, whatever was earlier before
    assert deadlines.moved
    deadlines.moved = False
    deadlines.set(first, 11.0)
    assert deadlines.moved


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([NEVER, 1.0, 2.0, 3.0, "look"])), max_size=60)
)
def test_an_alarm_never_rings_too_late(steps: list[tuple[int, float | str]]) -> None:
    """An alarm that is set when something has moved, and at any other time one likes, is never behind."""
    deadlines, items, alarm = Deadlines(), [Item() for _ in range(4)], NEVER
    for place, step in steps:
        if isinstance(step, float):
            deadlines.set(items[place], step)
        if deadlines.moved or step == "look":
            deadlines.moved = False
            alarm = deadlines.next()
        assert alarm <= min(item.deadline for item in items)
