"""What becomes of projects and files: who gets which, what comes back, and when a project is over."""

from __future__ import annotations

import pytest

from glockd.doors.dispatch import specs
from glockd.doors.dispatch.refusal import Refusal
from tests.support.dispatch import WALL, Shop

HERE = {"project_attributes": {"virtual": True}}


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_files_are_taken_as_listed_and_those_tried_less_first(shop: Shop) -> None:
    project = shop.project("c", "a", "b")
    assert shop.takes(project) == "a"
    shop.releases(project, "a", failed=True)
    assert [shop.takes(project) for _ in range(4)] == ["b", "c", "a", None]
    assert shop.handle(project, "a").attempts == 2


def test_a_worker_never_gets_the_same_file_twice_while_it_has_it(shop: Shop) -> None:
    project = shop.project("a", "b")
    assert (shop.takes(project), shop.takes(project), shop.takes(project)) == ("a", "b", None)


def test_a_project_is_done_with_its_last_file_and_failed_if_one_has(shop: Shop) -> None:
    done, failed = shop.project("a"), shop.project("a", "b")
    shop.takes(done)
    shop.releases(done, "a")
    assert (done.state, done.ended, done.active) == ("done", shop.at.wall, False)
    shop.takes(failed)
    shop.takes(failed)
    shop.releases(failed, "a", failed=True, retry=False)
    assert failed.state == "active"
    shop.releases(failed, "b")
    assert failed.state == "failed"


def test_a_project_that_is_over_gives_no_file(shop: Shop) -> None:
    project = shop.project("a")
    shop.takes(project)
    shop.releases(project, "a")
    with pytest.raises(Refusal, match=r"^Inactive project\. State=done$"):
        shop.takes(project)


def test_what_comes_back_goes_to_whoever_has_waited_longest(shop: Shop) -> None:
    project = shop.project("a", "b")
    shop.takes(project)
    shop.takes(project)
    shop.waits(project, "first")
    shop.waits(project, "second")
    shop.releases(project, "b", failed=True)
    shop.releases(project, "a", failed=True)
    assert shop.turns == [("first", "b"), ("second", "a")]
    assert shop.handle(project, "b").attempts == 2


def test_a_worker_that_is_too_late_loses_its_file_and_that_is_counted(shop: Shop) -> None:
    project = shop.project("a", worker_timeout=5, **HERE)
    shop.takes(project)
    shop.waits(project, "next")
    shop.passes(4.9)
    assert shop.turns == []
    shop.passes(0.1)
    assert shop.turns == [("next", "a")]
    handle = shop.handle(project, "a")
    assert (handle.attributes, handle.attempts) == ({"timeouts": 1}, 2)
    shop.passes(5)
    assert handle.attributes == {"timeouts": 2}
    assert shop.states(project) == {"a": "initial"}


@pytest.mark.parametrize("value", [True, False, "true", None, 0])
def test_a_timeout_is_a_failure_where_the_project_says_so(shop: Shop, value: object) -> None:
    attributes = {"virtual": True, "retry_on_timeout": value}
    project = shop.project("a", "b", worker_timeout=5, project_attributes=attributes)
    shop.takes(project, "late")
    shop.takes(project, "late")
    shop.waits(project, "next")
    shop.releases(project, "b", failed=True)
    assert shop.turns == [("next", "b")]
    shop.waits(project, "next")
    shop.passes(5)
    assert shop.states(project) == {"a": "failed", "b": "failed"}
    assert (project.state, shop.turns) == ("failed", [("next", "b")])


def test_the_text_true_means_another_try(shop: Shop) -> None:
    project = shop.project("a", worker_timeout=5, project_attributes={"retry_on_timeout": "True"})
    shop.takes(project)
    shop.passes(5)
    assert shop.states(project) == {"a": "initial"}


def test_a_timeout_of_nothing_is_at_once(shop: Shop) -> None:
    project = shop.project("a", worker_timeout=-3)
    shop.takes(project)
    shop.passes(0)
    assert shop.states(project) == {"a": "initial"}


def test_files_of_a_cancelled_project_can_still_be_given_back(shop: Shop) -> None:
    project = shop.project("a", "b")
    shop.takes(project)
    shop.projects.stop(project, shop.at)
    ended = project.ended
    shop.releases(project, "a")
    assert (project.state, shop.states(project)) == ("cancelled", {"a": "done", "b": "initial"})
    shop.now += 10
    shop.projects.stop(project, shop.at)
    assert project.ended == ended


def test_restart_takes_from_workers_and_gives_to_those_who_wait(shop: Shop) -> None:
    project = shop.project("a", "b")
    shop.takes(project, "w1")
    shop.takes(project, "w2")
    shop.waits(project, "w3")
    shop.restarts(project, ["b"])
    assert shop.turns == [("w3", "b")]
    assert shop.worker("w2").holds == ()
    assert shop.handle(project, "b").reserved_since == shop.now + WALL


def test_restart_makes_a_project_active_also_when_nothing_was_restarted(shop: Shop) -> None:
    project = shop.project("a")
    shop.projects.stop(project, shop.at)
    shop.restarts(project, [])
    assert (project.state, project.ended) == ("active", None)


def test_an_abandoned_project_is_active_again_when_somebody_works(shop: Shop) -> None:
    project = shop.project("a")
    shop.projects.abandon(project, shop.at)
    assert (project.state, project.ended) == ("abandoned", None)
    assert shop.takes(project) == "a"
    assert project.state == "active"
    shop.projects.abandon(project, shop.at)
    shop.releases(project, "a", failed=True)
    assert project.state == "active"


def test_an_attempt_that_nobody_heard_of_is_not_counted(shop: Shop) -> None:
    project = shop.project("a", "b")
    shop.takes(project)
    shop.tell(shop.projects.unanswered(project, shop.hold(project, "a"), shop.at))
    assert shop.handle(project, "a").attempts == 0
    assert shop.takes(project) == "a"


def test_without_any_element_no_file_needs_a_replica(shop: Shop) -> None:
    assert shop.takes(shop.project("a")) == "a"


def test_a_file_is_given_only_where_it_is_to_be_had(shop: Shop) -> None:
    shop.has("DISK", "b")
    shop.has("TAPE", "a", available=False)
    project, virtual = shop.project("a", "b", "c"), shop.project("a", **HERE)
    assert (shop.takes(project), shop.takes(project), shop.takes(virtual)) == ("b", None, "a")
    shop.waits(project, "next")
    shop.has("TAPE")
    assert shop.turns == [("next", "a")]
    shop.has("TAPE", available=False)
    shop.releases(project, "a", failed=True)
    assert shop.takes(project) is None


def test_a_deleted_project_leaves_nothing_in_the_core(shop: Shop) -> None:
    project = shop.project("a", "b", "c")
    shop.takes(project)
    shop.projects.forget(project)
    shop.projects.clear(project, project.handles.values(), shop.now)
    table = shop.state.tables["items"]
    assert (len(table), table.held, shop.worker("w").holds) == (0, 0, ())
    with pytest.raises(Refusal, match="Project not found"):
        shop.projects.find(project.number)


def test_projects_are_listed_by_id_whichever_was_ready_first(shop: Shop) -> None:
    one, two = next(shop.projects.numbers), next(shop.projects.numbers)
    later = shop.project("a")
    for number in (two, one):
        shop.projects.numbers = iter([number])  # type: ignore[assignment]
        shop.project("a")
    assert [project.number for project in shop.projects] == [one, two, later.number]


def test_counts_are_those_of_the_handles(shop: Shop) -> None:
    project = shop.project("a", "b", "c", "d")
    for _ in range(3):
        shop.takes(project)
    shop.releases(project, "a")
    shop.releases(project, "b", failed=True, retry=False)
    assert shop.projects.counts(project) == {"initial": 1, "reserved": 1, "done": 1, "failed": 1}


def test_a_list_is_empty_when_it_is_drained_and_shorter_all_the_while() -> None:
    """So that nobody waits until 100,000 files are freed at once."""
    given = list("abc")
    assert [(one, len(given)) for one in specs.drained(given)] == [("a", 2), ("b", 1), ("c", 0)]
