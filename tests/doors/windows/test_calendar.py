"""The windows of one name, held against a dull model: a list, looked through second by second."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from glockd.doors.windows.blocks import Blocks
from glockd.doors.windows.calendar import EXCLUSIVE, SHARED, Calendar

END = 60
MODES = st.sampled_from([EXCLUSIVE, SHARED])
MOMENTS = st.integers(0, END)
LENGTHS = st.integers(1, 9)


class Windows(RuleBasedStateMachine):
    """Windows come and go; where there is room is asked again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.calendar = Calendar()
        self.windows: list[tuple[str, int, int]] = []
        self.forgotten = 0

    def is_free(self, mode: str, moment: int) -> bool:
        """The model: nothing is in the way at that second."""
        return not any(
            begin <= moment < end and (mode == EXCLUSIVE or kind == EXCLUSIVE)
            for kind, begin, end in self.windows
        )

    def gaps(self, mode: str, begin: int, end: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for moment in range(begin, end):
            if self.is_free(mode, moment):
                if found and found[-1][1] == moment:
                    found[-1] = found[-1][0], moment + 1
                else:
                    found.append((moment, moment + 1))
        return found

    @rule(mode=MODES, begin=MOMENTS, length=LENGTHS, slip=st.integers(0, 20))
    def book(self, mode: str, begin: int, length: int, slip: int) -> None:
        begin = max(begin, self.forgotten)
        end = begin + length + slip
        starts = (
            start
            for start in range(begin, begin + slip + 1)
            if all(self.is_free(mode, moment) for moment in range(start, start + length))
        )
        start = self.calendar.place(mode, begin, end, length)
        assert start == next(starts, None)
        if start is not None:
            assert self.calendar.is_free(mode, start, start + length)
            self.calendar.add(mode, start, start + length)
            self.windows.append((mode, start, start + length))

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        mode = data.draw(MODES)
        ours = [window for window in self.windows if window[0] == mode and window[2] > self.forgotten]
        if ours:
            chosen = data.draw(
                st.lists(st.sampled_from(range(len(ours))), unique=True, min_size=1, max_size=4)
            )
            gone = [ours[place] for place in chosen]
            for window in gone:
                self.windows.remove(window)
            self.calendar.remove(mode, [window[1:] for window in gone])

    @rule(until=st.integers(0, 30))
    def forget(self, until: int) -> None:
        self.forgotten = max(self.forgotten, until)
        self.calendar.forget(until)

    @rule(mode=MODES, begin=MOMENTS, length=st.integers(0, 40), least=LENGTHS)
    def look(self, mode: str, begin: int, length: int, least: int) -> None:
        begin = max(begin, self.forgotten)
        wanted = [gap for gap in self.gaps(mode, begin, begin + length) if gap[1] - gap[0] >= least]
        assert list(self.calendar.free(mode, begin, begin + length, least)) == wanted

    @invariant()
    def is_empty_when_nothing_is_to_come(self) -> None:
        if any(end > self.forgotten for _, _, end in self.windows):
            assert self.calendar


TestWindows = Windows.TestCase


def test_a_calendar_without_windows_is_empty() -> None:
    calendar = Calendar()
    calendar.add(EXCLUSIVE, 0, 10)
    calendar.add(SHARED, 10, 30)
    calendar.add(SHARED, 20, 40)
    calendar.remove(SHARED, [(10, 30), (20, 40)])
    assert calendar
    calendar.remove(EXCLUSIVE, [(0, 10)])
    assert not calendar


def test_an_exclusive_window_that_touches_shared_ones_stays_one_of_its_own() -> None:
    calendar = Calendar()
    calendar.add(EXCLUSIVE, 10, 20)
    calendar.add(SHARED, 20, 30)
    calendar.add(SHARED, 5, 10)
    calendar.remove(EXCLUSIVE, [(10, 20)])
    assert list(calendar.free(EXCLUSIVE, 0, 40, 1)) == [(0, 5), (10, 20), (30, 40)]


@given(st.permutations(range(0, 400, 2)))
def test_blocks_stay_shallow_in_whatever_order_they_come(order: list[int]) -> None:
    blocks = Blocks()
    for begin in order:
        blocks.add(begin, begin + 1)
    assert [begin for begin, _ in blocks] == sorted(order)
    assert _depth(blocks) < 40


def _depth(blocks: Blocks) -> int:
    def below(node: Any) -> int:
        return 0 if node is None else 1 + max(below(node.left), below(node.right))

    return below(blocks._root)
