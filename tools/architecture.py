"""Writes the tree in docs/architecture.md, a line a file, from what the files say of themselves.

python tools/architecture.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- the tree, by tools/architecture.py -->\n", "<!-- end of the tree -->\n"
WIDTH = 24  # of the names

# In reading order; what is not named here comes behind, by name.
ORDER = (
    *("core", "names", "deadlines", "units", "holds", "sessions", "events", "history", "stats"),
    *(
        "tables",
        "deadlock",
        "locks",
        "state",
        "sites",
        "config",
        "layers",
        "bounds",
        "policy",
        "notices",
        "tokens",
        "reload",
        "service",
    ),
    *("net", "addresses", "peer", "gate", "sweep", "tls", "porch", "exchange", "answers", "guard"),
    *("reader", "heads", "streams", "http", "http_way"),
    *("protobuf", "frames", "headers", "framing", "room", "http2", "calls", "health", "request", "grpc"),
    *("doors", "line", "door", "connection", "stream", "websocket", "wire", "language", "lines", "messages"),
    *("conversation", "handlers", "commands", "extensions", "listings", "reports"),
    *("ldlm", "outcomes", "sizes", "desk", "keeper", "bodies", "cookies", "rest", "messages", "records"),
    *(
        "dispatch",
        "project",
        "elements",
        "projects",
        "refusal",
        "specs",
        "shown",
        "operands",
        "search",
        "grammar",
    ),
    *(
        "windows",
        "times",
        "cron",
        "plan",
        "states",
        "task",
        "blocks",
        "calendar",
        "calendars",
        "book",
        "window",
    ),
    *("offered", "arguments", "jsons", "posted", "results", "hosts", "call", "access", "replies"),
    *("catalogue", "task_routes", "run_routes", "plans", "monitor", "verbs"),
    *("desk", "waits", "presence", "tokens", "users", "auth", "routes", "rses", "records"),
    *("store", "book", "shelf", "values", "transaction", "file", "checkpoints"),
    *("web", "site", "app", "handshakes", "metrics", "console"),
    *(
        "process",
        "pidfile",
        "sockets",
        "notify",
        "pulse",
        "logs",
        "summary",
        "listening",
        "daemon",
        "run",
        "cli",
    ),
)


def first_line(path: Path) -> str:
    """The first line of a file's docstring, or of a folder's."""
    source = path / "__init__.py" if path.is_dir() else path
    text = ast.get_docstring(ast.parse(source.read_bytes())) or ""
    return text.partition("\n")[0].removesuffix(".")


def place(path: Path) -> tuple[int, str]:
    """Where a file stands among those beside it."""
    return (ORDER.index(path.stem) if path.stem in ORDER else len(ORDER), path.name)


def entries(folder: Path, depth: int = 1) -> Iterator[str]:
    """A line for each file and folder below `folder`."""
    inside = [
        path
        for path in folder.iterdir()
        if (path.suffix == ".py" and path.name not in ("__init__.py", "__main__.py"))
        or (path / "__init__.py").exists()
    ]
    for path in sorted(inside, key=place):
        indent = "  " * depth
        name = indent + path.name + ("/" if path.is_dir() else "")
        yield f"{name:<{WIDTH}}{first_line(path)}"
        if path.is_dir():
            yield from entries(path, depth + 1)


def tree() -> str:
    """The tree, as it stands in the page."""
    lines = "\n".join(["glockd/", *entries(ROOT / "glockd")])
    return f"{BEGIN}```text\n{lines}\n```\n{END}"


def page(text: str) -> str:
    """`text` with the tree as it is now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + tree() + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
