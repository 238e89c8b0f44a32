"""Work lists against a dull model: no item with two workers, none lost, attempts right, order kept, restarts too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from glockd.core.history import KICKED
from glockd.doors.line.records import SHELF, Records
from glockd.doors.line.wire.handlers import Vocabulary
from glockd.store.book import Book
from tests.support.conversations import ConversationClient, ConversationDaemon

POOL = "jobs"
workers = st.integers(0, 3)
items = st.sampled_from(["a", "b c", "d"])
seconds = st.sampled_from([1.0, 5.0, 20.0])


class InstantBook:
    """A book whose every write is on record at once."""

    trouble = ""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in SHELF.tables:
            self.connection.execute(statement)

    def put(self, statement: str, *rows: tuple[Any, ...]) -> None:
        self.connection.executemany(statement, rows)

    def then(self, callback: Callable[[], None]) -> None:
        callback()

    def read(self, query: str) -> Iterator[tuple[Any, ...]]:
        yield from self.connection.execute(query).fetchall()


@dataclass
class Item:
    """What the model knows of an item."""

    name: str
    place: int  # in the order in which they were put in
    since: int  # since when it is free, in the order of all that happened
    attempts: int = 0
    worker: int | None = None
    until: float = float("inf")


@dataclass
class Model:
    """A list and a queue."""

    items: dict[str, Item] = field(default_factory=dict)
    line: list[tuple[int, float]] = field(default_factory=list)
    steps: int = 0

    def step(self) -> int:
        self.steps += 1
        return self.steps

    def next(self) -> Item | None:
        free = [item for item in self.items.values() if item.worker is None]
        return min(free, key=lambda item: (item.attempts, item.since), default=None)

    def serve(self) -> list[tuple[int, str]]:
        """Who gets what now, and the line that they hear."""
        told = []
        while self.line and (item := self.next()):
            worker, _ = self.line.pop(0)
            told.append((worker, self.take(item, worker)))
        return told

    def take(self, item: Item, worker: int) -> str:
        item.attempts += 1
        item.worker = worker
        item.until = float("inf")
        return f"{item.attempts} Item Take Success: {item.name}\n"

    def free(self, item: Item) -> None:
        item.worker, item.until, item.since = None, float("inf"), self.step()

    def waits(self, worker: int) -> bool:
        return any(worker == one for one, _ in self.line)


class WorkLists(RuleBasedStateMachine):
    """What workers do to a list, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.book = InstantBook()
        self.model = Model()
        self.begin()

    def begin(self) -> None:
        vocabulary = Vocabulary()
        vocabulary.records = Records(cast(Book, self.book))
        self.daemon = ConversationDaemon(vocabulary=vocabulary)
        for pool, item, attempts in vocabulary.records.read():
            self.daemon.state.items.offer(pool, item, attempts, self.daemon.now)
        self.clients: list[ConversationClient] = [self.daemon.client() for _ in range(4)]

    def says(self, worker: int, line: str, reply: str) -> None:
        """One of those that do not wait says a line; those behind it in the model hear what is theirs."""
        client = self.clients[worker]
        client.sends(line.encode() + b"\n")
        assert client.receive_line().decode() == reply

    def others_hear(self) -> None:
        for worker, line in self.model.serve():
            assert self.clients[worker].receive_line().decode() == line

    @rule(worker=workers, item=items)
    def put(self, worker: int, item: str) -> None:
        if self.model.waits(worker):
            return
        known = item in self.model.items
        if not known:
            step = self.model.step()
            self.model.items[item] = Item(item, step, step)
        self.says(
            worker,
            f"put {POOL} {item}",
            f"{int(not known)} Item Put {'Failure' if known else 'Success'}: {item}\n",
        )
        self.others_hear()

    @rule(worker=workers, patience=seconds)
    def take(self, worker: int, patience: float) -> None:
        if self.model.waits(worker):
            return
        item = self.model.next()
        if item is None:
            self.clients[worker].sends(f"take {patience} {POOL}\n".encode())
            self.model.line.append((worker, self.daemon.now + patience))
        else:
            self.says(worker, f"take {patience} {POOL}", self.model.take(item, worker))

    @rule(worker=workers, item=items, verb=st.sampled_from(["done", "fail", "give"]))
    def finish(self, worker: int, item: str, verb: str) -> None:
        if self.model.waits(worker):
            return
        found = self.model.items.get(item)
        mine = found is not None and found.worker == worker
        if found is not None and mine:
            if verb == "give":
                self.model.free(found)
            else:
                del self.model.items[item]
        told = f"{int(mine)} Item {verb.title()} {'Success' if mine else 'Failure'}: {item}\n"
        self.says(worker, f"{verb} {POOL} {item}", told)
        self.others_hear()

    @rule(worker=workers, item=items, length=seconds)
    def keep(self, worker: int, item: str, length: float) -> None:
        if self.model.waits(worker):
            return
        found = self.model.items.get(item)
        mine = found is not None and found.worker == worker
        if found is not None and mine:
            found.until = self.daemon.now + length
        told = f"{int(mine)} Item Keep {'Success' if mine else 'Failure'}: {item}\n"
        self.says(worker, f"keep {length} {POOL} {item}", told)

    @rule(worker=workers)
    def cancel(self, worker: int) -> None:
        if self.model.waits(worker):
            self.model.line = [one for one in self.model.line if one[0] != worker]
            self.clients[worker].sends(b"cancel\n")
            assert self.clients[worker].receive_line() == b"0 Item Take Failure: jobs\n"
            assert self.clients[worker].receive_line() == b"1 Cancelled\n"

    @rule(worker=workers, how=st.sampled_from(["closed", KICKED]))
    def die(self, worker: int, how: str) -> None:
        """A worker dies, and another one comes in its place."""
        self.model.line = [one for one in self.model.line if one[0] != worker]
        mine = list(self.clients[worker].session.holds)
        # The core ends holds of one session oldest first.
        for hold in sorted(mine, key=lambda hold: hold.token):
            self.model.free(self.model.items[cast(bytes, hold.key).decode()])
        assert not [item for item in self.model.items.values() if item.worker == worker]
        client = self.clients[worker]
        client.buffer = b""
        client.vanishes(how) if how is KICKED else client.vanishes()
        self.others_hear()
        self.clients[worker] = self.daemon.client()

    @rule(length=st.sampled_from([0.5, 5.0]))
    def time_passes(self, length: float) -> None:
        end = self.daemon.now + length
        while True:
            leases = [
                (item.until, 0, item.name) for item in self.model.items.values() if item.worker is not None
            ]
            waits = [(until, 1, str(worker)) for worker, until in self.model.line]
            due = min([one for one in (*leases, *waits) if one[0] <= end], default=None)
            if due is None or [one[0] for one in (*leases, *waits)].count(due[0]) > 1:
                break
            self.daemon.passes(due[0] - self.daemon.now)
            if due[1] == 0:
                self.model.free(self.model.items[due[2]])
            else:
                self.model.line = [one for one in self.model.line if str(one[0]) != due[2]]
                assert self.clients[int(due[2])].receive_line() == b"0 Item Take Failure: jobs\n"
            self.others_hear()

    @rule()
    def restart(self) -> None:
        """The daemon is killed and starts again from what is on record."""
        self.model.line = []
        for item in sorted(self.model.items.values(), key=lambda item: item.place):
            self.model.free(item)
        self.begin()

    @invariant()
    def each_item_is_where_the_model_has_it(self) -> None:
        table, pool = self.daemon.state.items, POOL.encode()
        held = {cast(bytes, hold.key).decode(): hold.session for hold in table.holds(pool)}
        wanted = {
            item.name: self.clients[item.worker].session
            for item in self.model.items.values()
            if item.worker is not None
        }
        assert held == wanted
        ranks = {cast(bytes, unit).decode(): rank for unit, rank in (table.units(pool) or {}).items()}
        assert ranks == {item.name: item.attempts for item in self.model.items.values()}
        assert table.offered == len(self.model.items)
        assert table.free_units(pool) == len(ranks) - len(held)
        assert [waiter.session for waiter in table.waiters(pool)] == [
            self.clients[worker].session for worker, _ in self.model.line
        ]
        assert not (self.model.line and self.model.next())

    @invariant()
    def nothing_is_said_unasked(self) -> None:
        assert [client.buffer for client in self.clients] == [b""] * 4


TestWorkLists = WorkLists.TestCase
TestWorkLists.settings = settings(max_examples=60, stateful_step_count=40)
