"""Plain HTTP to the daemon, as curl and Prometheus speak it."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import NamedTuple

from tests.support.clients import PATIENCE


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    address: tuple[str, int], path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(*address[:2], timeout=PATIENCE)
    try:
        connection.request(method, path, headers={"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        body = response.read()
        assert response.will_close
        fields: dict[str, str] = {}
        for name, value in response.getheaders():  # RFC 9110, 5.3: fields of one name are a list
            before = fields.get(name.lower())
            fields[name.lower()] = value if before is None else f"{before}, {value}"
        return Answer(response.status, fields, body)
    finally:
        connection.close()


def samples(text: str) -> dict[str, float]:
    """The samples of a scrape, by name and labels as they are written."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}
