"""The checker of chaos histories: it finds every kind of fault, and never blames a server without one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from glockd_tester.checker import RULES, judge
from glockd_tester.cli import main
from glockd_tester.history import NotAHistory, read_records, understand, write_records
from tests.support.places import ROOT

YES, NO = "1 Lock Get Success: {}", "0 Lock Get Failure: {}"


class Story:
    """A history written by hand. The session `clock` pings all the time, so that the server shows life."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = [{"at": 0.0, "event": "run", "alone": True, "grace": 0.5}]
        self.numbers: dict[str, int] = {}
        self.opens("clock")
        for n in range(400):
            self.asks("clock", 0.05 * n + 0.001, "ping", "1 pong", took=0.002)

    def add(self, at: float, event: str, **keys: object) -> None:
        self.records.append({"at": at, "event": event, **keys})

    def opens(self, *names: str) -> Story:
        for name in names:
            self.numbers[name] = 0
            self.add(0.0, "open", session=name, transport="tcp", address=f"host:{name}")
        return self

    def sends(self, name: str, at: float, line: str) -> Story:
        self.numbers[name] += 1
        self.add(at, "send", session=name, op=self.numbers[name], line=line)
        self.add(at + 0.0001, "sent", session=name, op=self.numbers[name])
        return self

    def asks(self, name: str, at: float, line: str, reply: str, *, took: float = 0.01) -> Story:
        self.sends(name, at, line)
        self.add(at + took, "reply", session=name, op=self.numbers[name], line=reply)
        return self

    def ends(self, name: str, at: float, how: str = "closed") -> Story:
        self.add(at, "ending", session=name, how=how)
        self.add(at + 0.001, "ended", session=name)
        return self

    def broken(self) -> set[str]:
        """The rules that it breaks."""
        return {violation.rule for violation in judge(understand(self.records))}


def two_at_once(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("b", 2, "g x", YES.format("x")).asks(
        "a", 3, "i x", "1 Lock Is Locked: x"
    )


def a_reader_beside_a_writer(story: Story) -> None:
    story.asks("a", 1, "read 0 x", YES.format("x")).asks("b", 2, "wait 0 x", YES.format("x")).asks(
        "a", 3, "r x", "1 Lock Release Success: x"
    )


def overtaken(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 5, "r x", "1 Lock Release Success: x")
    story.asks("b", 2, "wait 10 x", YES.format("x"), took=3.4).asks(
        "b", 6, "r x", "1 Lock Release Success: x"
    )
    story.asks("c", 3, "wait 10 x", YES.format("x"), took=2.1).asks(
        "c", 5.2, "r x", "1 Lock Release Success: x"
    )


def a_reader_passes_a_writer_in_line(story: Story) -> None:
    story.asks("a", 1, "read 0 x", YES.format("x")).asks("a", 8, "r x", "1 Lock Release Success: x")
    story.asks("b", 2, "wait 10 x", YES.format("x"), took=6.1)
    story.asks("c", 3, "read 0 x", "2 Lock Get Success: x").asks("c", 4, "r x", "1 Lock Release Success: x")


def over_the_limit(story: Story) -> None:
    story.asks("a", 1, "share 0 1 s", "1 Shared Lock Get Success: s")
    story.asks("b", 2, "share 0 1 s", "1 Shared Lock Get Success: s").asks(
        "a", 3, "sr s", "1 Shared Lock Release Success: s"
    )


def a_wrong_count(story: Story) -> None:
    story.asks("a", 1, "sg s", "1 Shared Lock Get Success: s").asks(
        "b", 2, "sg s", "3 Shared Lock Get Success: s"
    )


def a_wrong_count_of_si(story: Story) -> None:
    story.asks("a", 1, "sg s", "1 Shared Lock Get Success: s").asks(
        "b", 2, "si s", "0 Shared Lock Not Locked: s"
    )


def a_token_shrinks(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 2, "token x", "10 Lock Token: x")
    story.asks("b", 3, "g y", YES.format("y")).asks("b", 4, "token y", "9 Lock Token: y")


def a_token_twice(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("b", 1, "g y", YES.format("y"))
    story.asks("a", 2, "token x", "10 Lock Token: x").asks("b", 2, "token y", "10 Lock Token: y")


def a_good_token_called_stale(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 2, "token x", "10 Lock Token: x")
    story.asks("b", 3, "check 10 x", "0 Lock Token Stale: x").asks("a", 4, "r x", "1 Lock Release Success: x")


def a_stale_token_called_good(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 2, "token x", "10 Lock Token: x")
    story.asks("a", 3, "r x", "1 Lock Release Success: x").asks(
        "b", 4, "check 10 x", "1 Lock Token Current: x"
    )


def a_lock_is_lost(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 2, "r x", "0 Lock Release Failure: x")


def a_leased_lock_is_lost_too_early(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 2, "lease 5 x", "1 Lock Lease Success: x")
    story.asks("a", 4, "lease 5 x", "0 Lock Lease Failure: x")


def a_held_lock_called_free(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("b", 2, "i x", "0 Lock Not Locked: x").asks(
        "a", 3, "r x", "1 Lock Release Success: x"
    )


def refused_though_free(story: Story) -> None:
    story.asks("a", 1, "g x", NO.format("x"))


def refused_though_released(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 2, "r x", "1 Lock Release Success: x").asks(
        "b", 3, "g x", NO.format("x")
    )


def up_too_early(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("b", 2, "wait 5 x", NO.format("x"), took=1)


def nobody_is_served(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 3, "r x", "1 Lock Release Success: x")
    story.asks("b", 2, "wait 15 x", YES.format("x"), took=10)


def no_answer(story: Story) -> None:
    story.sends("a", 1, "i x").add(10, "silent", session="a", op=1)


def held_by_the_dead(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).ends("a", 2).asks("b", 5, "dump", "map[x:host:a]")


def granted_to_the_dead(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("b", 2, "wait 20 x", YES.format("x"), took=6.1)
    story.ends("b", 3, "half-closed").asks("a", 8, "r x", "1 Lock Release Success: x")


def missing_in_the_listing(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("b", 2, "dump", "map[]").asks(
        "a", 3, "r x", "1 Lock Release Success: x"
    )


def an_invented_deadlock(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("b", 2, "wait 5 x", "0 Lock Get Deadlock: x").asks(
        "a", 3, "r x", "1 Lock Release Success: x"
    )


def a_deadlock_not_seen(story: Story) -> None:
    story.asks("a", 1, "g x", YES.format("x")).asks("b", 1, "g y", YES.format("y"))
    story.asks("a", 2, "wait 8 y", NO.format("y"), took=8.01).asks(
        "b", 3, "wait 9 x", NO.format("x"), took=9.01
    )


def connections_from_nowhere(story: Story) -> None:
    story.asks("a", 1, "q", "command_q: 1\nconnections: 7\nlocks: 0")


PLANTED: dict[Callable[[Story], None], str] = {
    two_at_once: "exclusion",
    a_reader_beside_a_writer: "exclusion",
    overtaken: "fifo",
    a_reader_passes_a_writer_in_line: "fifo",
    over_the_limit: "limits",
    a_wrong_count: "counts",
    a_wrong_count_of_si: "counts",
    a_token_shrinks: "tokens",
    a_token_twice: "tokens",
    a_good_token_called_stale: "checks",
    a_stale_token_called_good: "checks",
    a_lock_is_lost: "presence",
    a_leased_lock_is_lost_too_early: "presence",
    a_held_lock_called_free: "presence",
    refused_though_free: "refusals",
    refused_though_released: "refusals",
    up_too_early: "refusals",
    nobody_is_served: "liveness",
    no_answer: "liveness",
    held_by_the_dead: "the dead",
    granted_to_the_dead: "the dead",
    missing_in_the_listing: "the dead",
    an_invented_deadlock: "deadlocks",
    a_deadlock_not_seen: "deadlocks",
    connections_from_nowhere: "connections",
}


@pytest.mark.parametrize(("fault", "rule"), PLANTED.items(), ids=lambda each: getattr(each, "__name__", each))
def test_a_planted_fault_is_found(fault: Callable[[Story], None], rule: str) -> None:
    story = Story().opens("a", "b", "c")
    fault(story)
    assert rule in story.broken()


def test_every_rule_has_a_planted_fault() -> None:
    assert set(PLANTED.values()) == RULES.keys()


def test_every_rule_is_documented() -> None:
    text = (ROOT / "docs" / "tester.md").read_text("utf-8")
    documented = set(
        re.findall(r"^\| ([a-z ]+) \|", text.partition("| rule |")[2].partition("\n\n")[0], re.MULTILINE)
    )
    assert documented == RULES.keys()


def test_what_a_correct_server_may_do_is_no_fault() -> None:
    story = Story().opens("a", "b", "c")
    story.asks("a", 1, "g x", YES.format("x")).asks("a", 1.1, "token x", "10 Lock Token: x")
    # The request of b may have come just before or just after that of c: nobody can say who was first in
    # line.
    story.asks("b", 2.0000, "wait 10 x", YES.format("x"), took=4.1).asks(
        "b", 6.2, "r x", "1 Lock Release Success: x"
    )
    story.asks("c", 2.0001, "wait 10 x", YES.format("x"), took=3.1).asks(
        "c", 6, "r x", "1 Lock Release Success: x"
    )
    # The old holder's release was answered late, when the next had the lock already.
    story.asks("a", 5, "r x", "1 Lock Release Success: x", took=0.5)
    # A lease that has run out, a re-get that may have come before or after, and somebody else who has it
    # then.
    story.asks("a", 8, "g y", YES.format("y")).asks("a", 8.1, "lease 0.2 y", "1 Lock Lease Success: y")
    story.asks("a", 8.3, "g y", YES.format("y")).asks("b", 8.4, "g y", YES.format("y"))
    # Half-closed while it waited, and answered no.
    story.asks("c", 9, "wait 20 y", NO.format("y"), took=1.5).ends("c", 10, "half-closed")
    # Had a lock and gave it back, and half-closed much later, when somebody else had that lock.
    story.opens("d").asks("d", 11, "g z", YES.format("z")).asks("d", 12, "r z", "1 Lock Release Success: z")
    story.asks("b", 13, "g z", YES.format("z")).ends("d", 14, "half-closed")
    story.asks("a", 10, "q", "command_q: 1\nconnections: 5\nlocks: 0")
    assert story.broken() == set()


@pytest.mark.parametrize(("transit", "broken"), [(0.5, {"fifo"}), (1.5, set())])
def test_who_was_first_is_known_after_the_transit_time(transit: float, broken: set[str]) -> None:
    story = Story().opens("a", "b", "c")
    story.records[0]["transit"] = transit
    overtaken(story)
    assert story.broken() == broken


def test_who_was_killed_while_connecting_may_have_been_counted() -> None:
    story = Story().opens("a")
    story.add(1.0, "opening", session="w1.4.1")
    story.add(1.1, "opening", session="w1.5.1")
    story.add(1.2, "unopened", session="w1.5.1")
    story.asks("a", 1.3, "q", "command_q: 1\nconnections: 4\nlocks: 0")
    story.add(1.35, "killing", worker="w1")
    story.add(1.4, "killed", worker="w1")
    assert story.broken() == set()
    story.asks("a", 10, "q", "command_q: 1\nconnections: 4\nlocks: 0")  # by then they are gone
    assert story.broken() == {"connections"}


def test_the_death_of_a_process_ends_its_sessions() -> None:
    story = Story().opens("w1.a", "w2.b")
    story.asks("w1.a", 1, "g x", YES.format("x"))
    story.add(2.0, "killing", worker="w1")
    story.add(2.01, "killed", worker="w1")
    story.asks("w2.b", 2.02, "g x", NO.format("x")).asks("w2.b", 3, "wait 1 x", YES.format("x"))
    assert story.broken() == set()
    story.asks("w2.b", 9, "dump", "map[x:host:w1.a]")
    assert story.broken() == {"the dead"}


class Model:
    """A correct server for a handful of verbs, carried out one after the other."""

    def __init__(self) -> None:
        self.writers: dict[str, str] = {}
        self.shared: dict[str, list[str]] = {"x": [], "y": []}

    def carry_out(self, who: str, verb: str, name: str) -> str:
        holders = self.shared[name]
        if verb == "g":
            return (YES if self.writers.setdefault(name, who) == who else NO).format(name)
        if verb == "i":
            return f"1 Lock Is Locked: {name}" if name in self.writers else f"0 Lock Not Locked: {name}"
        if verb == "r":
            if self.writers.get(name) != who:
                return f"0 Lock Release Failure: {name}"
            del self.writers[name]
            return f"1 Lock Release Success: {name}"
        if verb == "sg":
            holders += [who] if who not in holders else []
            return f"{len(holders)} Shared Lock Get Success: {name}"
        if verb == "si":
            return (
                f"{len(holders)} Shared Lock Is Locked: {name}"
                if holders
                else f"0 Shared Lock Not Locked: {name}"
            )
        if who not in holders:
            return f"0 Shared Lock Release Failure: {name}"
        holders.remove(who)
        return f"1 Shared Lock Release Success: {name}"

    def forget(self, who: str) -> None:
        self.writers = {name: holder for name, holder in self.writers.items() if holder != who}
        self.shared = {
            name: [each for each in holders if each != who] for name, holders in self.shared.items()
        }


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 120))
def test_a_correct_server_is_never_blamed(seed: int, steps: int) -> None:
    dice, model, story = random.Random(seed), Model(), Story()
    names = ["a", "b", "c", "d"]
    story.opens(*names)
    free_at = dict.fromkeys(names, 0.1)  # when a client has its last reply: one command at a time
    now = 0.2
    for _ in range(steps):
        now += dice.choice([0.0001, 0.01, 0.1]) * dice.random()
        who = dice.choice(names)
        if free_at[who] >= now:
            continue
        if dice.random() < 0.02 and len(names) > 1:
            story.ends(who, max(free_at[who], now - 0.001))
            model.forget(who)
            names.remove(who)
            now += 0.002
            continue
        verb, name = dice.choice(["g", "r", "i", "sg", "sr", "si"]), dice.choice(["x", "y"])
        start = max(free_at[who], now - 0.2 * dice.random()) + 1e-6
        end = now + 0.3 * dice.random() + 1e-6
        story.asks(who, start, f"{verb} {name}", model.carry_out(who, verb, name), took=end - start)
        free_at[who] = end
    assert story.broken() == set()


def test_a_history_in_a_file_is_judged_again(tmp_path: Path) -> None:
    story = Story().opens("a", "b")
    two_at_once(story)
    file = tmp_path / "history.jsonl"
    write_records(file, story.records)
    assert understand(read_records(file)).alone
    result = CliRunner().invoke(main, ["judge", str(file)])
    assert result.exit_code == 1
    assert "exclusion two at once: a held 'x' (write)" in result.output


@pytest.mark.parametrize(
    "line", ["no json", "[]", '{"at": 1}', '{"at": 1, "event": "reply", "session": "x", "op": 1}']
)
def test_a_file_that_is_no_history_is_told_so(tmp_path: Path, line: str) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(NotAHistory):
        understand(read_records(file))
    result = CliRunner().invoke(main, ["judge", str(file)])
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output
