"""LDLM's door keeps what every door promises, on both its faces."""

from __future__ import annotations

from tests.doors.contract import Contract
from tests.doors.ldlm.adapters import ADAPTERS


class TestLdlm(Contract):
    adapters = ADAPTERS
