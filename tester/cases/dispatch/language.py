"""Data Dispatcher's language, as `language.Language` wants it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock

from ...errors import CannotTest
from ..files import Case
from ..language import Stage
from ..looks import look_at_http
from ..values import Json
from .conversation import Conversation, play
from .tokens import md5

DISPATCH = "-dispatch"
SECRET = "the secret of the cases"
ADMIN = "root"
PROBE = {"name": "CASE_PROBE", "is_enabled": False}

# So long next_file waits; whatever finds nothing free takes as long.
HOLD_SECONDS = 2


class Dispatch:
    """See `language.Language`. A profile has `fixtures`: users, realm, elements, replicas and proximity."""

    listeners: Sequence[str] = (DISPATCH,)

    def __init__(self) -> None:
        self._furnished: set[object] = set()  # servers, by what tells them apart
        self._lock = Lock()

    def files(self) -> list[Path]:
        return sorted(Path(__file__).parent.glob("*.json"))

    def needs_certificates(self, profile: Mapping[str, Json]) -> bool:
        return False

    def options(self, profile: Mapping[str, Json], folder: Path, mark: str) -> list[str]:
        fixtures = profile["fixtures"]
        users = fixtures["users"]
        realm = fixtures.get("realm", "glockd")
        files = {
            "secret": [SECRET],
            "users": [" ".join(_words(user)) for user in users],
            "password": [
                f"{user['name']}:{realm}:{md5('{}:{}:{}'.format(user['name'], realm, user['password']))}"
                for user in users
                if user["password"] is not None
            ],
            "proximity": [" ".join(map(str, row)) for row in fixtures.get("proximity", [])],
        }
        options = [f"-dispatch-hold-seconds={HOLD_SECONDS}", "-records", str(folder / f"records-{mark}")]
        for name, lines in files.items():
            if lines:
                path = folder / f"{name}-{mark}"
                path.touch(0o600)
                path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
                options += [f"-dispatch-{name}-file", str(path)]
        return options

    def is_usual(self, profile: Mapping[str, Json]) -> bool:
        return True  # there is one, and `look` sees whether the server has it

    def places(self, stage: Stage) -> dict[str, str]:
        self._furnish(stage)
        base = "http://{}:{}".format(*stage.addresses[DISPATCH])
        return {"url": f"{base}/data", "auth_url": f"{base}/auth", "secret": SECRET}

    def look(self, listener: str, address: tuple[str, int], seconds: float) -> None:
        look_at_http(address, seconds)
        conversation = Conversation(address, SECRET)
        answer = conversation.send({"as": ADMIN, "method": "POST", "path": "/create_rse", "json": PROBE})
        conversation.close()
        if answer.status not in (200, 400, 409):
            raise CannotTest(
                "it does not know the users of the cases: start it with `glockd-tester cases dispatch --serve`, or "
                f"with their secret and {ADMIN!r} as administrator ({answer.status} {answer.text.strip()[:80]})"
            )

    def play(self, case: Case, stage: Stage) -> None:
        self._furnish(stage)
        play(case, stage.addresses[DISPATCH], SECRET)

    def _furnish(self, stage: Stage) -> None:
        """Let the daemon know the profile's elements and replicas. Raises CannotTest."""
        with self._lock:
            server = stage.daemon or stage.addresses[DISPATCH]
            if server in self._furnished:
                return
            conversation = Conversation(stage.addresses[DISPATCH], SECRET)
            for step in _furniture(stage.profile["fixtures"]):
                answer = conversation.send({"as": ADMIN, **step})
                there = step["path"] == "/create_rse" and "exist" in answer.text  # from an earlier run
                if answer.status != 200 and not there:
                    raise CannotTest(f"{json.dumps(step)}: {answer.status} {answer.text}")
            conversation.close()
            self._furnished.add(server)


def _words(user: Mapping[str, Json]) -> Iterable[str]:
    yield user["name"]
    if user["admin"]:
        yield "admin"
    yield from (f"role:{role}" for role in user["roles"])


def _furniture(fixtures: Mapping[str, Json]) -> Iterable[dict[str, Json]]:
    for element in fixtures.get("rses", []):
        yield {"method": "POST", "path": "/create_rse", "json": element}
    for replica in fixtures.get("replicas", []):
        query = {name: replica[name] for name in ("rse", "namespace", "name")}
        body = {name: value for name, value in replica.items() if name not in query}
        yield {"method": "POST", "path": "/replica_available", "query": query, "json": body}


LANGUAGE = Dispatch()
