"""Who may see the secrets of a task, and who may change it (the specification, section 5)."""

from __future__ import annotations

import hmac

from glockd.doors.windows.call import Call
from glockd.doors.windows.hosts import is_own_address, peer_of
from glockd.doors.windows.refusal import Refusal, not_found
from glockd.doors.windows.task import Task


def sees_secrets(call: Call, task: Task) -> bool:
    """Whether the one who asks knows the key of a task, and so sees what is secret of it.

    Raises:
        Refusal: it gives a wrong one.
    """
    if "key" not in call.given or task.key is None:
        return False
    if not _is_right(call, task.key):
        raise Refusal(403, "Forbidden")
    return True


def demand_right(call: Call, task: Task) -> None:
    """See that the one who asks may change a task.

    This machine's own may, from whichever address. Of others, where the task has a key, whoever knows it; else whoever
    asks from the address from which the task was posted.

    Raises:
        Refusal: it may not.
    """
    peer = peer_of(call.ask)
    if is_own_address(peer):
        return
    if not (_is_right(call, task.key) if task.key is not None else peer == task.requester):
        raise Refusal(403, "Forbidden")


def found(tasks: dict[str, Task], uuid: str) -> Task:
    """The task of that UUID.

    Raises:
        Refusal: there is none.
    """
    task = tasks.get(uuid.lower())
    if task is None:
        raise not_found()
    return task


def _is_right(call: Call, key: str) -> bool:
    given = call.given.get("key", "").encode("utf-8", "surrogatepass")
    return hmac.compare_digest(given, key.encode("utf-8", "surrogatepass"))
