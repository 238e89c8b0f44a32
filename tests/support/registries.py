"""Programs that need something from a registry of packages."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

LONG = 300.0  # seconds that a registry and a compiler may take


def fetched(command: list[str], cwd: Path) -> None:
    """Run what asks a registry: skip where there is none, but never in CI."""
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=LONG, check=False)
    if ran.returncode:
        message = f"{command[0]}: {ran.stdout}{ran.stderr}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


def says_ok(command: list[str], **environment: str) -> None:
    """Run a program that says whether all was well."""
    ran = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stdout == "ok\n", ran.stdout + ran.stderr
