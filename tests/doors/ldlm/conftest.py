"""Calls on a core of their own."""

from __future__ import annotations

import pytest

from tests.support.ldlm import Counter


@pytest.fixture
def counter() -> Counter:
    return Counter()
