"""Work lists of the line language keep what every door promises."""

from __future__ import annotations

from tests.doors.contract import Contract
from tests.doors.line.adapters import WORK_ADAPTERS


class TestWork(Contract):
    adapters = WORK_ADAPTERS
    namespace = "items"
    limit = ("-max-session-items=2", "items=1")
