"""What a run may become: every step from every state, against the specification's own words."""

from __future__ import annotations

import pytest

from glockd.doors.windows.states import CANCELED, DISPLAY, LEGAL, OVER, UPCOMING, WITH_RESULT, may_become

# The sentence of section 8.
LEGAL_STEPS = (
    "scheduling → pending preempted canceled nonstart; "
    "pending → on-deck running missed failed preempted canceled nonstart; "
    "on-deck → running overdue missed failed canceled preempted; "
    "running → cleanup finished overdue missed failed preempted canceled; "
    "cleanup → finished failed; finished → failed; overdue → finished missed failed canceled preempted; "
    "missed → failed; nonstart → canceled"
)
STEPS = {
    (state, new)
    for part in LEGAL_STEPS.split("; ")
    for state, _, rest in [part.partition(" → ")]
    for new in rest.split()
}


@pytest.mark.parametrize("state", LEGAL)
@pytest.mark.parametrize("new", LEGAL)
def test_a_step_is_taken_refused_or_ignored(state: str, new: str) -> None:
    if state == CANCELED:
        assert not may_become(state, new)
    elif (state, new) in STEPS:
        assert may_become(state, new)
    else:
        with pytest.raises(ValueError, match=f"{state} cannot become {new}"):
            may_become(state, new)


def test_every_state_is_told_of_in_each_table() -> None:
    assert set(DISPLAY) == set(LEGAL)
    assert OVER | UPCOMING | {"scheduling"} == set(LEGAL)
    assert WITH_RESULT < OVER
