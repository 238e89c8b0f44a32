"""Would the fast tests notice? Small faults planted in core/ and doors/line/wire/, one at a time, each tried on them.

    python tools/mutants.py --seed 1 --seconds 390

Works on a copy of the tree, takes a random sample with a fixed seed, and prints the survivors and the share of
mutants that were killed. The tests run once without a fault to see which of them come by which line; each mutant then
meets only those that come by its lines, the quickest first, in a forked process that has pytest loaded already. A
mutant that makes the tests hang counts as killed. Some survivors are no fault at all: they only make the program
slower, or another word of a docstring's example.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import coverage
import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("glockd/core", "glockd/doors/line/wire")
TESTS = (
    "tests/doors/line/test_limits_without_a_process.py",
    "tests/doors/line/test_conversations.py",
    "tests/doors/line/test_waiting.py",
    "tests/doors/line/test_readers.py",
    "tests/doors/line/test_share.py",
    "tests/doors/line/test_leases.py",
    "tests/doors/line/test_deadlock.py",
    "tests/doors/line/test_auth.py",
    "tests/doors/line/test_auth_in_one_packet.py",
    "tests/doors/line/test_small_verbs.py",
    "tests/doors/line/test_explain_and_history.py",
    "tests/doors/line/test_listings.py",
    "tests/doors/line/test_notify_and_kick.py",
    "tests/process/test_tokens.py",
    "tests/doors/line/test_extensions.py",
    "tests/doors/line/wire/test_listings_in_pieces.py",
    "tests/doors/line/wire/test_messages.py",
    "tests/doors/line/wire/test_pauses.py",
    "tests/doors/line/wire/test_properties.py",
    *(f"tests/core/test_{one}.py" for one in ("names", "deadlines", "units", "sessions", "history", "stats")),
    *(f"tests/core/test_{one}.py" for one in ("locks", "deadlock", "state", "properties")),
)
# Hypothesis is here already, and pytest would rather have come first.
COMMAND = ("-q", "-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
NEEDED = ("glockd", "tests", "tools", "docs", "pyproject.toml")
LIMIT = 120  # seconds for the tests on one mutant, should they wait for ever; they take a tenth of it
MEMORY = 2 << 30  # bytes for the tests on one mutant, which may be a loop that fills a list

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
SUMS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
}


@dataclass(frozen=True)
class Mutant:
    """One planted fault: `old` at a place in a file reads `new`."""

    file: str
    line: int
    last: int  # the line on which it ends
    start: int  # bytes from the start of the file
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.file}:{self.line}: {old}  →  {new}"


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every mutant of one file, in the order of its text."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node, new in _changes(ast.parse(source)):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        old = source[start:end].decode()
        if old != new:
            yield Mutant(str(path.relative_to(ROOT)), node.lineno, node.end_lineno, start, end, old, new)


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """(node, what to write in its place), inside functions: tables and constants are the tests' own words too."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            # zip(strict=True) is a check of what is always so; nothing else shows it.
            checks = {
                word.value
                for word in ast.walk(function)
                if isinstance(word, ast.keyword) and word.arg == "strict"
            }
            for statement in function.body:
                for node in ast.walk(statement):
                    if node not in checks:
                        yield from _changes_of(node)


def _changes_of(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in COMPARISONS:
            yield node, _in_brackets(ast.Compare(left, [COMPARISONS[type(operator)]()], [right]))
        case ast.BoolOp(op=operator, values=values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield node, _in_brackets(ast.BoolOp(other, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, _in_brackets(operand)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in SUMS:
            yield node, _in_brackets(ast.BinOp(left, SUMS[type(operator)](), right))
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant(value=int(value)):
            yield node, f"({value + 1})"
        case ast.If(test=test) | ast.While(test=test) if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.AugAssign() | ast.Delete() | ast.Continue() | ast.Break():
            yield node, "pass"
        case ast.Expr(value=ast.Call()):
            yield node, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield node, "pass"


def _in_brackets(node: ast.expr) -> str:
    return f"({ast.unparse(ast.fix_missing_locations(node))})"


class Selection:
    """A pytest plugin: some tests only, none of those that need a process, the quickest first."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = seconds  # by node id; None: all tests

    def pytest_sessionstart(self) -> None:
        # A failure need not be made small to count.
        phases = [phase for phase in hypothesis.Phase if phase.name not in ("shrink", "explain")]
        hypothesis.settings.register_profile("mutants", hypothesis.settings(), phases=phases)
        hypothesis.settings.load_profile("mutants")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        # Seconds of work and not of waiting, since others may use the machine. SIGPROF ends the process.
        if self.seconds is not None:
            signal.setitimer(signal.ITIMER_PROF, 2.0 + 4 * self.seconds[item.nodeid])
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if self._is_wanted(item)]
        seconds = self.seconds
        if seconds is not None:
            items.sort(key=lambda item: seconds[item.nodeid])

    def _is_wanted(self, item: pytest.Item) -> bool:
        if self.seconds is not None:
            return item.nodeid in self.seconds
        params = item.callspec.params if hasattr(item, "callspec") else {}
        names = getattr(item, "fixturenames", ())
        if params.get("transport", "conversation") != "conversation":
            return False
        return not {"glockd", "pool", "shared_daemon"} & set(names)


class Watch(Selection):
    """Notes which tests come by which lines, and how long each takes."""

    def __init__(self, tree: Path) -> None:
        super().__init__()
        self.took: dict[str, float] = {}
        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, branch=False, include=[f"{tree}/{one}/*" for one in FOLDERS]
        )
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        start = time.monotonic()
        try:
            return (yield)
        finally:
            self.took[item.nodeid] = time.monotonic() - start
            self._coverage.switch_context("")

    def lines(self) -> dict[str, dict[int, list[str]]]:
        """By file and line, the tests that come by it; the test "" stands for the imports."""
        self._coverage.stop()
        data = self._coverage.get_data()
        return {file: data.contexts_by_lineno(file) for file in data.measured_files()}


class Suite:
    """The fast tests of the tree at `tree`, and what is known of them.

    Raises:
        SystemExit: they fail as they are.
    """

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.modules = [test for test in TESTS if (tree / test).exists()]
        answer = tree / "watched.json"
        if self._run(self.modules, None, answer) != pytest.ExitCode.OK:
            sys.exit("the tests fail without any mutant")
        known = json.loads(answer.read_text())
        self.took: dict[str, float] = known["took"]
        self.lines: dict[str, dict[str, list[str]]] = known["lines"]
        assert self.lines, "the tests have not come by the tree's code"

    def tests_of(self, mutant: Mutant) -> dict[str, float]:
        """The tests that come by the lines of `mutant`, and the seconds each takes."""
        lines = self.lines.get(str(self.tree / mutant.file), {})
        ids = {test for line in range(mutant.line, mutant.last + 1) for test in lines.get(str(line), ())}
        # An import comes by it, or lines that coverage knows by another one's number: every test may.
        return self.took if "" in ids or not ids else {test: self.took[test] for test in ids}

    def notice(self, mutant: Mutant) -> bool:
        """Whether a test fails with `mutant` planted in the tree, which is left as it was."""
        path = self.tree / mutant.file
        source, times = path.read_bytes(), path.stat()
        path.write_bytes(source[: mutant.start] + mutant.new.encode() + source[mutant.end :])
        tests = self.tests_of(mutant)
        modules = [module for module in self.modules if any(test.startswith(module) for test in tests)]
        try:
            return self._run(modules, tests, None) not in (
                pytest.ExitCode.OK,
                pytest.ExitCode.NO_TESTS_COLLECTED,
            )
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _run(self, modules: Sequence[str], tests: dict[str, float] | None, answer: Path | None) -> int:
        """The exit status of pytest in a forked process, which has glockd and the tests still to import."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = self._test(modules, tests, answer)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _test(self, modules: Sequence[str], tests: dict[str, float] | None, answer: Path | None) -> int:
        os.chdir(self.tree)
        sys.path[:] = [str(self.tree), *(one for one in sys.path if Path(one or ".").resolve() != ROOT)]
        # What the first run compiles stays good; a mutant's file is newer, and its code is not kept.
        sys.dont_write_bytecode = answer is None
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 1)
            os.dup2(null.fileno(), 2)
        if answer is None:
            signal.alarm(LIMIT)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            return int(pytest.main([*COMMAND, *modules], [Selection(tests)]))
        watch = Watch(self.tree)
        status = int(pytest.main([*COMMAND, *modules], [watch]))
        answer.write_text(json.dumps({"took": watch.took, "lines": watch.lines()}))
        return status


def main() -> None:
    """Try as many mutants as fit into the time."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--seconds", type=float, default=720.0, help="stop after so long (default 720)")
    options.add_argument("--skip", type=int, default=0, help="leave out so many of the sample's beginning")
    options.add_argument("--most", type=int, default=10_000, help="mutants to try at the most")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = options.parse_args()
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))
    every = list(dict.fromkeys(mutant for path in files for mutant in mutants_of(path)))
    # By the mutant itself, so that a change elsewhere leaves the order as it is.
    every.sort(key=lambda mutant: random.Random(f"{chosen.seed} {mutant}").random())
    sample = every[chosen.skip : chosen.skip + chosen.most]
    survivors: list[Mutant] = []
    tried = 0
    with tempfile.TemporaryDirectory(prefix="glockd-mutants-") as folder:
        tree = Path(folder).resolve()
        for name in NEEDED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        suite = Suite(tree)
        until = time.monotonic() + chosen.seconds
        for mutant in sample:
            if time.monotonic() > until:
                break
            tried += 1
            if not suite.notice(mutant):
                survivors.append(mutant)
                print(f"survived {mutant}", file=sys.stderr, flush=True)
    killed = tried - len(survivors)
    share = 100 * killed / tried if tried else 0.0
    if chosen.json:
        figures = {
            "seed": chosen.seed,
            "mutants": len(every),
            "tried": tried,
            "killed": killed,
            "killed_percent": round(share, 1),
        }
        print(json.dumps({**figures, "survivors": [asdict(each) for each in survivors]}, indent=2))
    else:
        print(f"{tried} of {len(every)} mutants tried (seed {chosen.seed}), {killed} killed: {share:.1f} %")


if __name__ == "__main__":
    main()
