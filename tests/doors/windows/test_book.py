"""Which runs are made when, where they lie, and what becomes of them: without a clock, and without a server."""

from __future__ import annotations

from typing import Any

import pytest

from glockd.doors.windows import book as limits
from glockd.doors.windows.book import NO_TIME, Bookings, Full
from glockd.doors.windows.calendar import BACKGROUND, SHARED
from glockd.doors.windows.cron import Cron
from glockd.doors.windows.states import (
    CANCELED,
    FAILED,
    FINISHED,
    MISSED,
    NONSTART,
    PENDING,
    RUNNING,
)
from glockd.doors.windows.task import Run, Task
from tests.support.windows import HORIZON, KEEP, NOW, bookings, task

AT = int(NOW)


def starts(one: Task) -> list[int]:
    """When the runs of a task begin, from now."""
    return [run.start - AT for run in one.runs]


def made(book: Bookings, one: Task, now: float = NOW) -> list[int]:
    """When the runs of a task begin, from now, once all are made whose time to be made has come."""
    if one.uuid not in book.tasks:
        book.add(one, now)
    while book.make(one, now, 50):
        pass
    return starts(one)


def only(one: Task) -> Run:
    (run,) = one.runs
    return run


@pytest.fixture
def book() -> Bookings:
    return bookings()


# When runs are wanted


def test_a_run_without_a_start_is_as_soon_as_can_be(book: Bookings) -> None:
    assert made(book, task()) == [1]


def test_a_start_that_has_passed_counts_as_soon(book: Bookings) -> None:
    assert made(book, task(start=AT - 500)) == [1]


def test_without_a_repeat_there_is_one_run_whatever_else_is_said(book: Bookings) -> None:
    assert made(book, task(start=AT + 5, max_runs=7, until=AT + 6)) == [5]


def test_repeats_count_from_the_start(book: Bookings) -> None:
    assert made(book, task(start=AT + 100, repeat=60, max_runs=3)) == [100, 160, 220]


def test_repeats_without_a_start_count_from_the_first_run(book: Bookings) -> None:
    assert made(book, task(repeat=60, max_runs=3)) == [1, 61, 121]


def test_a_run_that_slipped_does_not_move_later_ones(book: Bookings) -> None:
    made(book, task(start=AT + 100, length=20))
    assert made(book, task(start=AT + 100, slip=30, repeat=60, max_runs=2)) == [120, 160]


def test_no_run_begins_at_until_or_later(book: Bookings) -> None:
    assert made(book, task(start=AT + 100, repeat=60, until=AT + 220)) == [100, 160]


def test_cron_names_moments_in_the_zone_of_the_server(book: Bookings) -> None:
    minutes = Cron("0,30 * * * *")
    one = task(cron=minutes, max_runs=3)
    made(book, one)
    assert [run.start for run in one.runs] == [
        first := minutes.next(AT),
        second := minutes.next(first),
        minutes.next(second),
    ]


def test_with_both_the_earlier_is_next(book: Bookings) -> None:
    every = Cron("* * * * *")
    one = task(cron=every, repeat=45, start=AT + 10, max_runs=4)
    found = made(book, one)
    assert found == sorted(found)
    assert 10 in found
    assert all(start in (10, 55, 100, 145) or (AT + start) % 60 == 0 for start in found)


def test_runs_are_made_as_far_as_the_horizon(book: Bookings) -> None:
    one = task(repeat=3600)
    assert made(book, one)[-1] == 1 + 23 * 3600
    assert made(book, one, NOW + 3600)[-1] == 1 + 24 * 3600


def test_a_slip_has_them_made_later(book: Bookings) -> None:
    one = task(start=AT + HORIZON - 5, slip=60)
    assert made(book, one) == []
    assert book.next_moment() == AT + 56
    assert made(book, one, NOW + 55) == []
    assert made(book, one, NOW + 56) == [HORIZON - 5]


def test_a_run_beyond_the_horizon_is_due_when_that_has_come(book: Bookings) -> None:
    one = task(start=AT + 3 * HORIZON)
    assert made(book, one) == []
    due = book.next_moment()
    assert book.due(due - 1) is None
    assert book.due(due) is one
    assert made(book, one, due) == [3 * HORIZON]


def test_so_many_runs_are_made_ahead_and_no_more(book: Bookings) -> None:
    one = task(mode=BACKGROUND, length=1, repeat=1)
    assert len(made(book, one)) == limits.MOST_AHEAD


def test_a_disabled_task_makes_none(book: Bookings) -> None:
    one = task(repeat=60)
    book.add(one, NOW)
    book.disable(one, NOW)
    assert made(book, one) == []


# Where they lie


def test_a_window_lies_in_the_first_gap_that_it_fits_into(book: Bookings) -> None:
    made(book, task(start=AT + 100, length=10))
    made(book, task(start=AT + 115, length=10))
    assert made(book, task(start=AT + 95, length=10, slip=60)) == [125]
    assert made(book, task(start=AT + 95, length=5, slip=60)) == [95]
    assert made(book, task(start=AT + 96, length=5, slip=60)) == [110]


def test_where_there_is_no_gap_there_is_no_run(book: Bookings) -> None:
    made(book, task(start=AT + 100))
    late = task(start=AT + 95, slip=14)
    made(book, late)
    assert (only(late).state, only(late).errors, only(late).start) == (NONSTART, NO_TIME, AT + 95)
    assert made(book, task(start=AT + 90)) == [90]  # it takes no room


def test_shared_windows_meet_and_exclude_exclusive_ones(book: Bookings) -> None:
    made(book, task(mode=SHARED, start=AT + 100))
    assert made(book, task(mode=SHARED, start=AT + 105)) == [105]
    assert made(book, task(start=AT + 100, slip=60)) == [115]
    assert only_state(book, task(mode=SHARED, start=AT + 116)) == NONSTART


def only_state(book: Bookings, one: Task) -> str:
    made(book, one)
    return only(one).state


def test_names_do_not_meet(book: Bookings) -> None:
    made(book, task(b"db", start=AT + 100))
    assert only_state(book, task(b"web", start=AT + 100)) == PENDING


def test_what_is_in_the_background_is_in_nobody_s_way(book: Bookings) -> None:
    made(book, task(start=AT + 100))
    assert only_state(book, task(mode=BACKGROUND, start=AT + 100)) == PENDING
    made(book, task(mode=BACKGROUND, start=AT + 200))
    assert only_state(book, task(start=AT + 200)) == PENDING


def test_a_slip_is_cut_so_that_runs_do_not_meet(book: Bookings) -> None:
    made(book, task(start=AT + 100, length=55))
    one = task(start=AT + 100, length=10, slip=500, repeat=60, max_runs=2)
    assert made(book, one) == [100, 160]
    assert [run.state for run in one.runs] == [NONSTART, PENDING]


def test_chance_chooses_within_the_slip(book: Bookings) -> None:
    made(book, task(start=AT + 100, length=50))
    found = set()
    for number in range(40):
        name = f"n{number}".encode()
        made(book, task(name, start=AT + 100, length=50))
        one = task(name, start=AT + 90, length=10, slip=100, sliprand=True)
        found |= set(made(book, one))
    assert len(found) > 10
    assert all(start == 90 or 150 <= start <= 190 for start in found)


def test_a_posted_run_lies_where_it_is_posted_or_nowhere(book: Bookings) -> None:
    made(book, task(start=AT + 100))
    one = task(start=AT + 2 * HORIZON)
    book.add(one, NOW)
    assert book.post(one, AT + 95, NOW) is None
    assert one.runs == []
    run = book.post(one, AT + 110, NOW)
    assert run is not None
    assert (run.start, run.state) == (AT + 110, PENDING)


def test_a_window_by_verb_begins_at_its_start(book: Bookings) -> None:
    run = book.book(task(by_verb=True, start=AT), NOW)
    assert run is not None
    assert run.start == AT
    assert book.book(task(by_verb=True, start=AT + 5), NOW) is None
    assert len(book.tasks) == 1
    assert book.book(task(by_verb=True, start=AT + HORIZON + 1), NOW) is None


def test_a_slip_does_not_carry_a_window_by_verb_beyond_the_horizon(book: Bookings) -> None:
    assert book.book(task(by_verb=True, start=AT, length=HORIZON - 5), NOW) is not None
    assert book.book(task(by_verb=True, start=AT, slip=10 * HORIZON, length=10), NOW) is not None
    assert book.book(task(by_verb=True, start=AT, slip=10 * HORIZON, length=10), NOW) is None


# What becomes of them


def begun(book: Bookings, **plan: Any) -> Run:
    one = task(start=AT + 100, **plan)
    made(book, one)
    (run,) = book.starting(NOW + 100, 9)
    book.move(run, RUNNING, NOW + 100)
    return run


def test_a_run_begins_when_its_start_has_come(book: Bookings) -> None:
    one = task(start=AT + 100)
    made(book, one)
    assert book.next_moment() == AT + 100
    assert book.starting(NOW + 99.9, 9) == []
    assert book.starting(NOW + 100, 9) == one.runs
    assert not book.is_missed(only(one), NOW + 105)
    assert book.is_missed(only(one), NOW + 131)


def test_a_window_of_which_nothing_is_left_is_missed(book: Bookings) -> None:
    one = task(start=AT + 100, length=3)
    made(book, one)
    assert book.is_missed(only(one), NOW + 103)


def test_whatever_ends_early_frees_the_rest(book: Bookings) -> None:
    run = begun(book, length=50)
    book.move(run, FINISHED, NOW + 120)
    assert run.end == AT + 120
    assert made(book, task(start=AT + 120), NOW + 120) == [121]


def test_what_is_canceled_keeps_its_end_and_frees_its_window(book: Bookings) -> None:
    run = begun(book, length=50)
    book.move(run, CANCELED, NOW + 120)
    assert run.end == AT + 150
    assert not book.move(run, FINISHED, NOW + 121)
    assert made(book, task(start=AT + 125), NOW + 120) == [125]


def test_a_run_takes_no_step_that_there_is_not(book: Bookings) -> None:
    run = begun(book)
    book.move(run, FAILED, NOW + 101, "why")
    with pytest.raises(ValueError, match="failed cannot become running"):
        book.move(run, RUNNING, NOW + 102)
    assert (run.state, run.errors) == (FAILED, "why")


def test_runs_are_counted_by_state(book: Bookings) -> None:
    run = begun(book)
    made(book, task(start=AT + 100))
    assert +book.states == {RUNNING: 1, NONSTART: 1}
    assert run.task.begun == 1
    book.move(run, MISSED, NOW + 150)
    assert book.missed == 1


def test_to_disable_a_task_forgets_what_has_not_begun(book: Bookings) -> None:
    run = begun(book, repeat=60, max_runs=4)
    gone, on = book.disable(run.task, NOW + 101)
    assert (len(gone), on) == (3, [run])
    assert run.task.runs == [run]
    assert made(book, task(start=AT + 160), NOW + 101) == [160]


def test_a_run_that_is_removed_frees_its_window(book: Bookings) -> None:
    one = task(start=AT + 100)
    made(book, one)
    number = only(one).number
    book.remove(only(one), NOW)
    assert book.find(number) is None
    assert made(book, task(start=AT + 100)) == [100]


# How long they are known


def test_what_is_over_is_kept_for_a_while(book: Bookings) -> None:
    run = begun(book)
    book.move(run, FINISHED, NOW + 110)
    end = NOW + 110 + KEEP
    book.sweep(end, 100)
    assert book.find(run.number) is run
    book.sweep(end + 1, 100)
    assert book.find(run.number) is None
    assert book.tasks == {}
    assert book.posted == 0


def test_a_task_that_still_makes_runs_is_kept(book: Bookings) -> None:
    one = task(start=AT + 100, repeat=3600)
    made(book, one)
    for run in list(one.runs):
        book.remove(run, NOW)
    book.sweep(NOW + 10 * KEEP, 100)
    assert one.uuid in book.tasks


def test_a_disabled_task_goes_when_its_start_is_long_ago(book: Bookings) -> None:
    one = task(start=AT + 3 * HORIZON)
    book.add(one, NOW)
    book.disable(one, NOW)
    book.sweep(NOW + 3 * HORIZON + KEEP, 100)
    assert one.uuid in book.tasks
    book.sweep(NOW + 3 * HORIZON + KEEP + 1, 100)
    assert book.tasks == {}


def test_calendars_forget_what_lies_behind(book: Bookings) -> None:
    run = begun(book)
    book.move(run, FINISHED, NOW + 110)
    assert book.calendars
    book.tidy(NOW + 111)
    assert not book.calendars


# Bounds


def test_there_may_be_so_many_tasks(book: Bookings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_TASKS", 2)
    book.add(task(start=AT + 100), NOW)
    book.add(task(start=AT + 200), NOW)
    with pytest.raises(Full, match="There may be 2 tasks"):
        book.add(task(start=AT + 300), NOW)
    assert len(book.tasks) == 2
    assert book.book(task(by_verb=True, start=AT + 300), NOW) is not None


def test_there_may_be_so_many_runs(book: Bookings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_RUNS", 2)
    one = task(repeat=60, start=AT + 100)
    assert made(book, one) == [100, 160]
    with pytest.raises(Full):
        book.post(one, AT + 300, NOW)
    with pytest.raises(Full):
        book.book(task(by_verb=True, start=AT + 300), NOW)
    with pytest.raises(Full):
        book.add(task(start=AT + 300), NOW)
    assert list(book.tasks) == [one.uuid]


def test_ten_thousand_bookings_of_one_name_are_none_too_many(book: Bookings) -> None:
    for number in range(10_000):
        assert book.book(task(by_verb=True, start=AT, length=5, slip=HORIZON), NOW) is not None, number
    assert made(book, task(start=AT + 100, length=10, slip=HORIZON - 5000)) == [50_000]
