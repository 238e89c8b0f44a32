"""What the tests drive glockd with: the real process, clients that speak raw bytes, and facts to wait for."""

import pytest

# A failed assertion of a client shows both sides, as one in a test does.
for module in ("clients", "conversations", "daemons", "process"):
    pytest.register_assert_rewrite(f"{__name__}.{module}")
