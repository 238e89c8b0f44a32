"""The tree's own rules: what a folder may import, and in which order modules stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import glockd

ROOT = Path(glockd.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
}
# From the ground up: each floor may import only from itself and from those below it.
FLOORS = [
    {"config", "layers", "sites"},
    {"core"},
    {"policy", "notices", "bounds", "tokens", "reload"},
    {"service"},
    {"net", "store"},
    {"doors", "web"},
    {"process", "cluster", "logs", "summary"},
    {"listening", "daemon"},
    {"run", "check", "probe", "issue"},
    {"cli"},
]
LANGUAGES = {"line", "ldlm", "dispatch", "diego", "windows"}
# In each door some files decide and others speak; those that decide know no I/O and no clock.
PURE = (
    *("core.", "doors.line.wire.", "policy", "notices"),
    *(
        f"doors.dispatch.{name}"
        for name in ("projects", "project", "elements", "refusal", "specs", "shown", "tokens")
    ),
    *(f"doors.ldlm.{name}" for name in ("calls", "sizes", "outcomes", "bodies", "cookies", "messages")),
)
IMPURE = {"asyncio", "socket", "ssl", "selectors", "time", "datetime", "threading", "logging", "structlog"}
IMPURE |= {"os", "sys", "io", "subprocess", "random", "secrets", "uvloop", "websockets", "prometheus_client"}


def floor(name: str) -> int:
    """The floor that the module or package `name` stands on."""
    first = name.split(".")[0]
    return next(number for number, names in enumerate(FLOORS) if first in names)


def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """The nodes below `if TYPE_CHECKING:`, which never run."""
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    guarded = (node for node in blocks if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
    return {inner for node in guarded for line in node.body for inner in ast.walk(line)}


def imports(path: Path) -> Iterator[str]:
    """Absolute names of all that a module imports, within functions too."""
    package = ["glockd", *path.relative_to(ROOT).parts[:-1]]
    tree = ast.parse(path.read_bytes())
    skipped = for_types_only(tree)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> Iterator[str]:
    """The modules of glockd that a module imports, without the package's name."""
    for name in imports(path):
        if name.startswith("glockd."):
            rest = name.removeprefix("glockd.")
            yield rest if rest in MODULES else rest.rpartition(".")[0]


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(PURE)])
def test_what_decides_knows_no_i_o_and_no_clock(name: str) -> None:
    used = {imported.split(".")[0] for imported in imports(MODULES[name])}
    assert not used & IMPURE


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_floor_and_below(name: str) -> None:
    for imported in own_imports(MODULES[name]):
        assert not imported or floor(imported) <= floor(name), f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("doors.")])
def test_a_door_imports_no_other_door(name: str) -> None:
    for imported in own_imports(MODULES[name]):
        if imported.startswith("doors."):
            assert imported.split(".")[1] == name.split(".")[1], f"{name} imports {imported}"


def test_doors_are_languages() -> None:
    assert {name.split(".")[1] for name in MODULES if name.startswith("doors.")} <= LANGUAGES


def test_modules_stand_in_one_reading_order() -> None:
    """No module needs, through others, itself."""
    TopologicalSorter({name: set(own_imports(path)) - {""} for name, path in MODULES.items()}).prepare()


def test_every_module_has_its_floor() -> None:
    everything = set[str]().union(*FLOORS)
    assert {name.split(".")[0] for name in MODULES} <= everything
