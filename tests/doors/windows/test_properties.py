"""Windows of several names, held against a dull model, over restarts too.

No two exclusive windows of a name overlap, shared ones overlap only shared ones; a slip gives the first gap that is
free; what is cancelled frees its window; nothing that was told is moved.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from glockd.doors.windows.book import Bookings
from glockd.doors.windows.calendar import EXCLUSIVE, SHARED
from glockd.doors.windows.states import CANCELED, FINISHED, MISSED, NONSTART, PENDING, RUNNING
from glockd.doors.windows.task import Run
from tests.support.windows import NOW, bookings, task

NAMES = st.sampled_from([b"db", b"web"])
MODES = st.sampled_from([EXCLUSIVE, EXCLUSIVE, SHARED])


class Windows(RuleBasedStateMachine):
    """Tasks are posted, time goes by, the daemon is started again."""

    def __init__(self) -> None:
        super().__init__()
        self.book: Bookings = bookings(horizon=200, keep=100)
        self.now = NOW
        self.told: dict[int, tuple[int, bytes, str]] = {}  # what was promised, by number

    @initialize()
    def begin(self) -> None:
        self.now = NOW

    def live(self, name: bytes) -> list[Run]:
        """The model: all runs of a name that take room, looked through one by one."""
        return [
            run
            for run in self.book.runs.values()
            if run.task.resource == name and run.state in (PENDING, RUNNING)
        ]

    def first_gap(self, name: bytes, mode: str, begin: int, length: int, slip: int) -> int | None:
        in_the_way = [run for run in self.live(name) if EXCLUSIVE in (mode, run.task.mode)]
        for start in range(begin, begin + slip + 1):
            if not any(run.start < start + length and start < run.end for run in in_the_way):
                return start
        return None

    @rule(
        name=NAMES, mode=MODES, ahead=st.integers(0, 60), length=st.integers(1, 20), slip=st.integers(0, 30)
    )
    def books(self, name: bytes, mode: str, ahead: int, length: int, slip: int) -> None:
        start = int(self.now) + ahead
        wanted = self.first_gap(name, mode, start, length, slip)
        run = self.book.book(task(name, mode, length, by_verb=True, start=start, slip=slip), self.now)
        assert (None if run is None else run.start) == wanted
        if run is not None:
            self.told[run.number] = run.start, name, mode

    @rule(
        name=NAMES,
        mode=MODES,
        ahead=st.integers(0, 60),
        length=st.integers(1, 20),
        slip=st.integers(0, 30),
        repeat=st.integers(25, 60),
        most=st.integers(1, 4),
    )
    def posts(
        self, name: bytes, mode: str, ahead: int, length: int, slip: int, repeat: int, most: int
    ) -> None:
        start = int(self.now) + ahead
        one = task(name, mode, length, added=self.now, start=start, slip=slip, repeat=repeat, max_runs=most)
        wanted = max(start, int(self.now) + 1)
        first = self.first_gap(name, mode, wanted, length, one.plan.slip_of(length))
        for run in self.book.add(one, self.now):
            assert (run.state == NONSTART) == (first is None)
            assert run.start == (wanted if first is None else first)

    @rule(data=st.data())
    def cancels(self, data: Any) -> None:
        if self.book.tasks:
            one = self.book.tasks[data.draw(st.sampled_from(sorted(self.book.tasks)))]
            gone, on = self.book.disable(one, self.now)
            for run in on:
                self.book.move(run, CANCELED, self.now)
            for run in gone:
                self.told.pop(run.number, None)

    @rule(data=st.data())
    def ends_early(self, data: Any) -> None:
        on = sorted(run.number for run in self.book.runs.values() if run.state == RUNNING)
        if on:
            self.book.move(self.book.runs[data.draw(st.sampled_from(on))], FINISHED, self.now)

    @rule(seconds=st.floats(0, 40))
    def time_goes_by(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            ends = [run.end for run in self.book.runs.values() if run.state == RUNNING]
            moment = min([*ends, self.book.next_moment()], default=until)
            if moment > until:
                break
            self.now = max(self.now, moment)
            self.do()
        self.now = until

    def do(self) -> None:
        """What the desk does when it is time for it."""
        for run in list(self.book.runs.values()):
            if run.state == RUNNING and run.end <= self.now:
                self.book.move(run, FINISHED, self.now)
        for run in self.book.starting(self.now, 99):
            self.book.move(run, MISSED if self.book.is_missed(run, self.now) else RUNNING, self.now)
        while (one := self.book.due(self.now)) is not None:
            self.book.make(one, self.now, 5)
            if one.pending >= 1000:
                break

    @rule(most=st.integers(1, 50))
    def sweeps(self, most: int) -> None:
        while self.book.sweep(self.now, most):
            pass
        self.book.tidy(self.now)

    @rule(down=st.floats(0, 60))
    def starts_again(self, down: float) -> None:
        before, self.now = self.book, self.now + down
        after = bookings(horizon=200, keep=100)
        after.run_numbers = before.run_numbers
        for one in before.tasks.values():
            runs, one.runs, one.pending = one.runs, [], 0
            after.put(one)
            for run in sorted(runs, key=lambda run: run.start):
                run.is_placed = False
                if run.state == RUNNING and run.end <= self.now:
                    run.state = FINISHED
                elif run.state == PENDING and run.start <= self.now and after.is_missed(run, self.now):
                    run.state = MISSED
                after.restore(run)
        for one in after.tasks.values():
            after.resume(one, self.now)
        self.book = after

    @invariant()
    def nothing_meets_what_it_must_not(self) -> None:
        for name in (b"db", b"web"):
            live = self.live(name)
            for place, run in enumerate(live):
                for other in live[place + 1 :]:
                    if EXCLUSIVE in (run.task.mode, other.task.mode):
                        assert run.end <= other.start or other.end <= run.start, (run, other)

    @invariant()
    def nothing_moves_once_told(self) -> None:
        for number, (start, name, mode) in self.told.items():
            run = self.book.find(number)
            if run is not None:
                assert (run.start, run.task.resource, run.task.mode) == (start, name, mode)

    @invariant()
    def counts_are_right(self) -> None:
        states = [run.state for run in self.book.runs.values()]
        assert sum((+self.book.states).values()) == len(states)
        assert self.book.states[PENDING] == states.count(PENDING)
        for one in self.book.tasks.values():
            assert one.pending == sum(run.state == PENDING for run in one.runs)
            assert one.made >= len(one.runs)


TestWindows = Windows.TestCase
