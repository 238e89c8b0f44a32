"""A daemon with a door of windows, and somebody who asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doors.windows.site import OPEN, Site
from tests.support.process import Spawner


@pytest.fixture
def site(glockd: Spawner) -> Iterator[Site]:
    site = Site(glockd(*OPEN))
    yield site
    site.pool.shutdown(wait=False)
