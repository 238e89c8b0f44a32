"""Data Dispatcher's door keeps what every door promises."""

from __future__ import annotations

from tests.doors.contract import Contract
from tests.doors.dispatch.adapters import ADAPTERS


class TestDispatch(Contract):
    adapters = ADAPTERS
    namespace = "items"
