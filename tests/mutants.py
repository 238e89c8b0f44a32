"""Would the fast tests notice? Small faults planted in core/ and wire/, one at a time, each tried on them.

    python tests/mutants.py --seed 1 --seconds 720

Works on a copy of the tree, takes a random sample with a fixed seed, and prints the survivors and the share of
mutants that were killed. A mutant that makes the tests hang counts as killed. Some survivors are no fault at all: they
only make the program slower, or another word of a docstring's example.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("glockd/core", "glockd/wire")
TESTS = tuple(
    f"tests/test_{name}.py"
    for name in (
        "limits_without_a_process",
        "conversations",
        "waiting",
        "readers",
        "share",
        "leases",
        "deadlock",
        "auth",
        "small_verbs",
        "explain_and_history",
        "notify_and_kick",
        "tokens",
        "wire_properties",
        "core_properties",
    )
)
NEEDED = ("glockd", "tests", "docs", "pyproject.toml")
LIMIT = 90.0  # seconds for the tests on one mutant; they take a tenth of it

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
            yield Mutant(str(path.relative_to(ROOT)), node.lineno, start, end, old, new)


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """(node, what to write in its place), inside functions: tables and constants are the tests' own words too."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                for node in ast.walk(statement):
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


def survives(mutant: Mutant, tree: Path) -> bool:
    """Whether the tests pass with `mutant` planted in the copy at `tree`, which is left as it was."""
    path = tree / mutant.file
    source = path.read_bytes()
    path.write_bytes(source[: mutant.start] + mutant.new.encode() + source[mutant.end :])
    try:
        return passes(tree)
    finally:
        path.write_bytes(source)


def passes(tree: Path) -> bool:
    present = [test for test in TESTS if (tree / test).exists()]
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *present]
    command += ["-k", "conversation or properties or without_a_process"]  # no process, no sockets
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> None:
    """Try as many mutants as fit into the time."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--seconds", type=float, default=720.0, help="stop after so long (default 720)")
    options.add_argument("--most", type=int, default=10_000, help="mutants to try at the most")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = options.parse_args()
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.py"))
    every = [mutant for path in files for mutant in mutants_of(path)]
    sample = random.Random(chosen.seed).sample(every, min(chosen.most, len(every)))
    survivors: list[Mutant] = []
    tried = 0
    with tempfile.TemporaryDirectory(prefix="glockd-mutants-") as folder:
        tree = Path(folder)
        for name in NEEDED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        if not passes(tree):
            sys.exit("the tests fail without any mutant")
        until = time.monotonic() + chosen.seconds
        for mutant in sample:
            if time.monotonic() > until:
                break
            tried += 1
            if survives(mutant, tree):
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
