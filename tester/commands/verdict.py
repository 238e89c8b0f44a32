"""What the checker found, as `chaos` and `judge` show it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from .. import checker
from .common import FAILED, say_json


def tell(
    violations: Sequence[checker.Violation], extra: dict[str, Any], file: Path | None, json_output: bool
) -> None:
    if json_output:
        kept = None if file is None else str(file)
        say_json({**extra, "history": kept, "violations": [asdict(violation) for violation in violations]})
    else:
        console = Console()
        for key, value in extra.items():
            text = (
                ", ".join(f"{name} {count}" for name, count in value.items())
                if isinstance(value, dict)
                else value
            )
            console.print(f"{key:<12} {text}", highlight=False, soft_wrap=True)
        for violation in violations[:20]:
            console.print(
                f"[red]{violation.rule}[/] {escape(violation.what)}", highlight=False, soft_wrap=True
            )
        if len(violations) > 20:
            console.print(f"… and {len(violations) - 20} more")
        where = f", history in {file}" if file else ""
        console.print(
            f"{len(violations)} violations of {len(checker.RULES)} rules{where}",
            highlight=False,
            soft_wrap=True,
        )
    sys.exit(FAILED if violations else 0)
