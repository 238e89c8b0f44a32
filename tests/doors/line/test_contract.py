"""The line language keeps what every door promises."""

from __future__ import annotations

from tests.doors.contract import Contract
from tests.doors.line.adapters import ADAPTERS


class TestLine(Contract):
    adapters = ADAPTERS
