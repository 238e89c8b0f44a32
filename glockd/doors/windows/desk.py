"""Where calls are made: the clock, the core, what decides about windows, and its records.

A window that is on is a hold with a lease in the core's table `windows`. Its lease is counted by the monotonic clock:
whatever happens to the wall clock, a window that has begun is as long as it was promised. Those to come follow the wall
clock, which is looked at once a second at least.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from glockd.core.history import RELEASED
from glockd.core.holds import WHOLE
from glockd.core.names import shown
from glockd.doors.windows.book import Bookings, Full
from glockd.doors.windows.calendar import EXCLUSIVE
from glockd.doors.windows.refusal import Refusal
from glockd.doors.windows.states import CANCELED, FAILED, FINISHED, MISSED, RUNNING
from glockd.doors.windows.task import Run, Task
from glockd.doors.windows.window import Alarm, Clock, Keeper, Window

if TYPE_CHECKING:
    from glockd.core.sessions import Session
    from glockd.doors.windows.records import Records
    from glockd.service import Service

# How often the wall clock is looked at while there is anything to come, in seconds.
LOOK = 1.0

# How often what is old is forgotten, in seconds.
SWEEP = 15.0

# How much is done of each before others get their turn: some 2 ms.
BEGINNINGS_A_TURN = 25
RUNS_A_TURN = 20
OLD_A_TURN = 250

RANDOMLY = "Randomly-induced failure"
STILL_ON = "What held its name before was still on."

T = TypeVar("T")


class Desk:
    """Where calls are made.

    Args:
        service: the core at work.
        records: what outlives the daemon; None: nothing does.
    """

    def __init__(self, service: Service, records: Records | None) -> None:
        self.service = service
        self.records = records
        config = service.policy.config
        self._chance = Random()
        self.book = Bookings(
            records,
            self._chance,
            lambda: str(uuid4()),
            config.windows_horizon_seconds,
            config.windows_keep_seconds,
        )
        self.draining = False
        self.finished_at: float | None = None  # when the last run ended, seconds since 1970
        self.scheduled_at: float | None = None  # when the last one was made
        self._windows: dict[Run, Window] = {}  # those that are on
        self._told: dict[Run, Session] = {}  # who is told of them
        self._watchers: dict[Task, dict[Callable[[], None], None]] = {}
        self._waits: dict[Future[Any], Callable[[], None]] = {}  # with each, how it is given up
        self._alarm = Alarm(service.now())
        self._swept_at = service.now()
        self._looking = False  # a look is due in the next turn

    def start(self) -> None:
        """Go to work; put back what outlived the last run, if there are records.

        Raises:
            StartError: they cannot be used.
            ValueError: a record does not fit.
        """
        self.service.admit(self._alarm, Clock(self))
        if self.records is not None:
            for run in self.records.restore(self.book, self.wall()):
                self._hold(run)
        self._set_alarm()

    def wall(self) -> float:
        """Now, in seconds since 1970."""
        return self.service.now() + self.service.policy.wall_offset()

    # Records

    def demand(self) -> None:
        """See that records can be written, where there are any.

        Raises:
            Refusal: they cannot.
        """
        if self.draining:
            raise Refusal(503, "The server is being shut down")
        if self.records is not None and self.records.trouble:
            raise Refusal(503, f"Records cannot be written: {self.records.trouble}")

    def recorded(self, render: Callable[[], T]) -> T | Future[T]:
        """An answer, behind the commit of what it tells."""
        if self.records is None:
            return render()
        future: Future[T] = self.service.loop.create_future()
        self.records.then(lambda: None if future.done() else future.set_result(render()))
        return future

    # Calls

    def add(self, task: Task) -> list[Run]:
        """A new task; its first run, if it is time for one.

        Raises:
            Refusal: there are too many.
        """
        try:
            made = self.book.add(task, self.wall())
        except Full as full:
            raise Refusal(422, f"{full}.") from None
        self._made(task, made)
        return made

    def book_window(self, task: Task) -> Run | None:
        """The one run of a new task that a verb makes; None if there is no room.

        Raises:
            Refusal: there are too many.
        """
        try:
            run = self.book.book(task, self.wall())
        except Full as full:
            raise Refusal(422, f"{full}.") from None
        self._made(task, [] if run is None else [run])
        return run

    def post(self, task: Task, start: int) -> Run | None:
        """A run of a task just there; None if there is no room.

        Raises:
            Refusal: there are too many.
        """
        try:
            run = self.book.post(task, start, self.wall())
        except Full as full:
            raise Refusal(422, f"{full}.") from None
        self._made(task, [] if run is None else [run])
        return run

    def disable(self, task: Task) -> None:
        """Let a task make no more runs; one that is on is canceled, and those to come are forgotten."""
        gone, on = self.book.disable(task, self.wall())
        for run in on:
            self.cancel(run)
        for run in gone:
            self._told.pop(run, None)
        self._changed(task)

    def remove(self, run: Run) -> None:
        """Forget a run; its window is free."""
        self._release(run)
        self.book.remove(run, self.wall())
        self._told.pop(run, None)
        self._changed(run.task)

    def cancel(self, run: Run) -> None:
        """Let a run that is on be canceled; its window is free."""
        self._release(run)
        self._end(run, CANCELED)

    def give_back(self, run: Run) -> None:
        """Let a run that is on be finished before its time."""
        self._release(run)
        self._end(run, FINISHED)

    def over(self, run: Run) -> None:
        """The time of a run is over."""
        self._release(run)
        self._end(run, FINISHED)

    def tell(self, run: Run, session: Session) -> None:
        """Let a client be told when a run begins and ends."""
        self._told[run] = session

    # Who waits for something to happen

    def when(
        self, task: Task, ready: Callable[[], T | None], seconds: float, otherwise: Callable[[], T]
    ) -> T | Future[T]:
        """What `ready` gives once that is not None; looked at whenever something happens to the task.

        Args:
            task: that is waited for.
            ready: the answer, or None as long as there is none.
            seconds: how long to wait.
            otherwise: the answer if there is none by then.
        """
        found = ready()
        if found is not None:
            return found
        if seconds <= 0 or self.draining:
            return otherwise()
        loop = self.service.loop
        future: Future[T] = loop.create_future()

        def look() -> None:
            answer = ready()
            if answer is not None and not future.done():
                future.set_result(answer)

        def give_up() -> None:
            if not future.done():
                answer = ready()
                future.set_result(otherwise() if answer is None else answer)

        watchers = self._watchers.setdefault(task, {})
        watchers[look] = None
        self._waits[future] = give_up
        timer = loop.call_later(seconds, give_up)

        def leave(_: Future[T]) -> None:
            timer.cancel()
            del watchers[look], self._waits[future]
            if not watchers and self._watchers.get(task) is watchers:
                del self._watchers[task]

        future.add_done_callback(leave)
        return future

    # What time brings

    def look(self) -> None:
        """Do what it is time for, some of it a turn, and set the alarm for the rest."""
        self._looking = False
        if self.draining:
            return
        wall = self.wall()
        starting = self.book.starting(wall, BEGINNINGS_A_TURN)
        for run in starting:
            self._begin(run, wall)
        busy = len(starting) == BEGINNINGS_A_TURN
        if not busy:
            task = self.book.due(wall)
            if task is not None:
                made = self.book.make(task, wall, RUNS_A_TURN)
                if made:
                    self._made(task, made)
                busy = True
        if not busy and self.service.now() >= self._swept_at + SWEEP:
            busy = self.book.sweep(wall, OLD_A_TURN)
            if not busy:
                self.book.tidy(wall)
                self._swept_at = self.service.now()
        self.service.settle()
        if busy:
            self._look_again()
        else:
            self._set_alarm()

    def drain(self) -> None:
        """Answer everybody who waits; nothing begins any more."""
        self.draining = True
        for give_up in list(self._waits.values()):
            give_up()

    # Inside

    def _look_again(self) -> None:
        if not self._looking:
            self._looking = True
            self.service.loop.call_soon(self.look)

    def _set_alarm(self) -> None:
        """Ring when the next thing is to be done, by the wall clock as it goes now."""
        now = self.service.now()
        wait = self.book.next_moment() - (now + self.service.policy.wall_offset())
        if self.book.tasks:
            deadline = now + max(0.0, min(wait, LOOK))
            if deadline < self._alarm.deadline:
                self.service.state.extend(self._alarm, deadline)
        self.service.settle()

    def _made(self, task: Task, runs: list[Run]) -> None:
        if runs:
            self.scheduled_at = self.wall()
            self._changed(task)
        self._set_alarm()

    def _begin(self, run: Run, wall: float) -> None:
        if self.book.is_missed(run, wall):
            self._end(run, MISSED)
        elif self._hold(run):
            self.book.move(run, RUNNING, wall)
            self._push(run, b"open")
            if run.task.test == "noop":
                self._end_noop(run)
            else:
                self._changed(run.task)
        else:
            # The wall clock was put forward: what is on is as long as it was promised.
            self._end(run, MISSED, STILL_ON)

    def _end_noop(self, run: Run) -> None:
        self._release(run)
        if self._chance.random() < run.task.spec.get("fail", 0):
            self._end(run, FAILED, RANDOMLY)
        else:
            self._end(run, FINISHED)

    def _hold(self, run: Run) -> bool:
        """Let a run hold its resource until its time is over; whether it does."""
        service, task = self.service, run.task
        now = service.now()
        until = run.start + task.lasts - service.policy.wall_offset()
        window = Window(run, now)
        if task.is_background:
            service.state.extend(window, until)
        else:
            table = service.state.tables["windows"]
            weight = WHOLE if task.mode == EXCLUSIVE else 1
            hold = table.take(task.resource, window, now, weight, overtake=True)
            if hold is None:
                return False
            table.lease(hold, until)
        self._windows[run] = window
        service.admit(window, Keeper(self, window))
        return True

    def _release(self, run: Run) -> None:
        """Let a run hold nothing any more, if it does."""
        window = self._windows.pop(run, None)
        if window is None:
            return
        now = self.service.now()
        for hold in list(window.holds):
            self.service.outbox += hold.table.drop(hold, now, RELEASED)
        self.service.part(window, "closed")

    def _end(self, run: Run, state: str, errors: str | None = None) -> None:
        wall = self.wall()
        if self.book.move(run, state, wall, errors):
            self.finished_at = wall
            self._push(run, b"over")
            self._told.pop(run, None)
            self._changed(run.task)

    def _push(self, run: Run, what: bytes) -> None:
        session = self._told.get(run)
        listener = None if session is None else self.service.state.registry.listeners.get(session)
        if listener is not None:
            listener.hear(pushed(run, what))

    def _changed(self, task: Task) -> None:
        """Let everybody look who waits for something of a task."""
        for look in list(self._watchers.get(task, ())):
            look()


def pushed(run: Run, what: bytes) -> bytes:
    """The line that a client is told when a window of its begins (`open`) or ends (`over`)."""
    return b"! window %d %b %b\n" % (run.number, what, shown(run.task.resource))
