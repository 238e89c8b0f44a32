"""What the tests drive glockd with: the real process, clients that speak raw bytes, and facts to wait for."""

import pytest

# A failed assertion of a client shows both sides, as one in a test does.
pytest.register_assert_rewrite("support.clients", "support.daemons", "support.process")
