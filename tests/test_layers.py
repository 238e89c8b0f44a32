"""The tree's own rules: what a folder may import, and in which order modules stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import glockd

ROOT = Path(glockd.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
}
# In reading order: each may import only from those above it.
LAYERS = ["core", "wire", "transports", "web", "config", "lifecycle", "daemon", "cli"]
CORE = ["core.sessions", "core.events", "core.locks", "core.stats", "core.state"]
WIRE = ["wire.language", "wire.conversation"]
IMPURE = {"asyncio", "socket", "ssl", "selectors", "time", "datetime", "threading", "logging", "structlog"}
IMPURE |= {"os", "sys", "io", "subprocess", "random", "secrets", "uvloop", "websockets", "prometheus_client"}


def imports(path: Path) -> Iterator[str]:
    """Absolute names of all that a module imports, within functions too."""
    package = ["glockd", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_bytes())):
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


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(("core.", "wire."))])
def test_core_and_wire_are_pure(name: str) -> None:
    used = {imported.split(".")[0] for imported in imports(MODULES[name])}
    assert not used & IMPURE


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_those_above_it(name: str) -> None:
    layer = LAYERS.index(name.split(".")[0])
    for imported in own_imports(MODULES[name]):
        above = imported.split(".")[0]
        assert not above or LAYERS.index(above) <= layer, f"{name} imports {imported}"


@pytest.mark.parametrize("order", [CORE, WIRE], ids=["core", "wire"])
def test_modules_of_a_folder_stand_in_reading_order(order: list[str]) -> None:
    for place, name in enumerate(order):
        later = set(order[place + 1 :])
        assert not later & set(own_imports(MODULES[name])), name


def test_the_tree_is_as_the_rules_tell() -> None:
    assert set(CORE + WIRE) <= set(MODULES)
    assert {name.split(".")[0] for name in MODULES} <= set(LAYERS)
