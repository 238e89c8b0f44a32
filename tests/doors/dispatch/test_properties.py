"""Projects against a dull model: no file with two workers, none lost, attempts right, order kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.dispatch import Shop

NAMES = [f"f{number}" for number in range(3)]
ON_TAPE = NAMES[2:]
TIMEOUT = 5.0
workers = st.sampled_from(["w1", "w2", "w3"])


@dataclass
class File:
    """What the model knows of a file."""

    state: str = "initial"
    attempts: int = 0
    timeouts: int = 0
    worker: str = ""
    until: tuple[float, int] = (0.0, 0)  # and which grant it was, where several end at once


@dataclass
class Model:
    """A project as a list and a queue."""

    fails_late: bool
    files: dict[str, File] = field(default_factory=lambda: {name: File() for name in NAMES})
    line: list[str] = field(default_factory=list)
    turns: list[tuple[str, str]] = field(default_factory=list)
    state: str = "active"
    tape: bool = True
    now: float = 0.0
    grants: int = 0

    def can_be_had(self, name: str) -> bool:
        return self.files[name].state == "initial" and (self.tape or name not in ON_TAPE)

    def take(self, worker: str) -> str | None:
        found = [name for name in NAMES if self.can_be_had(name)]
        if not found:
            return None
        name = min(found, key=lambda one: self.files[one].attempts)
        self.reserve(name, worker)
        return name

    def reserve(self, name: str, worker: str) -> None:
        file = self.files[name]
        self.grants += 1
        file.state, file.worker, file.until = "reserved", worker, (self.now + TIMEOUT, self.grants)
        file.attempts += 1

    def free(self, name: str) -> None:
        """A file is initial: whoever is first in line has it, if it can be had."""
        self.files[name].state = "initial"
        self.serve(name)

    def serve(self, name: str) -> None:
        if self.line and self.can_be_had(name):
            worker = self.line.pop(0)
            self.reserve(name, worker)
            self.turns.append((worker, name))

    def end(self, name: str, how: str) -> None:
        self.files[name].state = how
        states = {file.state for file in self.files.values()}
        if self.state == "active" and states <= {"done", "failed"}:
            self.state = "failed" if "failed" in states else "done"

    def expire(self) -> None:
        """All leases that are over by now, soonest first."""
        reserved = [name for name in NAMES if self.files[name].state == "reserved"]
        late = [name for name in reserved if self.files[name].until[0] <= self.now]
        for name in sorted(late, key=lambda one: self.files[one].until):
            self.files[name].timeouts += 1
            if self.fails_late:
                self.end(name, "failed")
            else:
                self.free(name)


class Work(RuleBasedStateMachine):
    """Random takes, waits, releases, deaths, timeouts, restarts, and elements that come and go."""

    @initialize(fails_late=st.booleans())
    def begin(self, fails_late: bool) -> None:
        self.shop = Shop()
        self.shop.has("DISK", *NAMES[:2])
        self.shop.has("TAPE", *ON_TAPE)
        attributes = {"retry_on_timeout": "no"} if fails_late else {}
        self.project = self.shop.project(*NAMES, worker_timeout=TIMEOUT, project_attributes=attributes)
        self.model = Model(fails_late, now=self.shop.now)

    def goes_on(self) -> bool:
        return self.model.state == "active"

    def dismiss(self) -> None:
        """Who waits leaves when the project is over."""
        if not self.goes_on():
            self.model.line.clear()
            self.shop.dismisses(self.project)

    @precondition(goes_on)
    @rule(worker=workers)
    def take(self, worker: str) -> None:
        wanted = self.model.take(worker)
        assert self.shop.takes(self.project, worker) == wanted
        if wanted is None:
            self.shop.waits(self.project, worker)
            self.model.line.append(worker)

    def reserved(self) -> list[str]:
        return [name for name in NAMES if self.model.files[name].state == "reserved"]

    @precondition(lambda self: self.reserved())
    @rule(data=st.data(), failed=st.booleans(), retry=st.booleans())
    def release(self, data: st.DataObject, failed: bool, retry: bool) -> None:
        name = data.draw(st.sampled_from(self.reserved()))
        self.shop.releases(self.project, name, failed=failed, retry=retry)
        if failed and retry:
            self.model.free(name)
        else:
            self.model.end(name, "failed" if failed else "done")
        self.dismiss()

    @rule(worker=workers)
    def die(self, worker: str) -> None:
        """All that a worker has goes back, oldest first; where it waits itself, it may be given some again."""
        mine = [name for name in self.reserved() if self.model.files[name].worker == worker]
        for name in sorted(mine, key=lambda one: self.model.files[one].until[1]):
            self.model.free(name)
        self.shop.kicks(worker)

    @rule(seconds=st.floats(0.5, 6))
    def time_passes(self, seconds: float) -> None:
        self.shop.passes(seconds)
        self.model.now = self.shop.now
        self.model.expire()
        self.dismiss()

    @rule(names=st.lists(st.sampled_from(NAMES), unique=True))
    def restart(self, names: list[str]) -> None:
        self.shop.restarts(self.project, names)
        for name in names:
            if self.model.files[name].state != "initial":
                self.model.free(name)
        if any(file.state in ("initial", "reserved") for file in self.model.files.values()):
            self.model.state = "active"

    @rule()
    def cancel(self) -> None:
        self.shop.projects.stop(self.project, self.shop.at)
        self.model.state = "cancelled"
        self.dismiss()

    @rule(available=st.booleans())
    def tape_comes_or_goes(self, available: bool) -> None:
        self.shop.has("TAPE", available=available)
        self.model.tape = available
        for name in NAMES:
            self.model.serve(name)

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        files = self.model.files
        assert self.shop.states(self.project) == {name: file.state for name, file in files.items()}
        assert self.project.state == self.model.state
        assert self.shop.turns == self.model.turns
        for name, file in files.items():
            handle = self.shop.handle(self.project, name)
            assert handle.attempts == file.attempts
            assert (handle.attributes or {}).get("timeouts", 0) == file.timeouts
            if file.state == "reserved":
                assert self.shop.hold(self.project, name).session is self.shop.worker(file.worker)

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        if hasattr(self, "model") and self.model.line:
            assert not any(map(self.model.can_be_had, NAMES))
            assert self.shop.state.tables["items"].free_units(self.project.pool) == 0


TestWork = Work.TestCase
TestWork.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
