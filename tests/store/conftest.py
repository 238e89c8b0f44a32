"""What tests of records need of the machine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest


@pytest.fixture
def in_namespace(need: Callable[[str, str | None], str]) -> tuple[str, ...]:
    """A command line that has the words behind it run where they may mount what they like, unseen by others."""
    command = (need("unshare", "util-linux"), "--user", "--map-root-user", "--mount")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces cannot be made here")
    return command
