"""Who may change a task: from other addresses, by the key, and from this machine."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from tests.doors.windows.site import Reply, Site, in_hours, request, written
from tests.support.networks import FarHost
from tests.support.process import Spawner


class Far(Site):
    """A client on another host."""

    def __init__(self, site: Site, host: FarHost) -> None:
        self.__dict__.update(site.__dict__)
        self.host = host

    def asks(
        self, path: str, method: str = "GET", body: Any = None, headers: Any = None, **query: Any
    ) -> Reply:
        connection = http.client.HTTPConnection(*self.address)
        connection.sock = self.host.connect(self.address)
        return request(connection, path, method, body, headers, **query)


@pytest.fixture
def site(glockd: Spawner, far_host: FarHost) -> Site:
    return Site(glockd("-windows", f"{FarHost.server}:0"))


@pytest.fixture
def far(site: Site, far_host: FarHost) -> Far:
    return Far(site, far_host)


def test_this_machine_may_change_whatever_it_likes(site: Site, far: Far) -> None:
    for key in ({}, {"_key": "k"}):
        task = far.posts(start=written(in_hours(3)), **key)
        assert site.asks(task, "DELETE").status == 200


def test_others_may_change_what_they_have_posted(site: Site, far: Far) -> None:
    mine, other = far.posts(start=written(in_hours(3))), site.posts(start=written(in_hours(5)))
    for path, method, body in (
        (f"{other}", "DELETE", None),
        (f"{other}/runs", "POST", {"start-time": written(in_hours(7))}),
        (far.below(site.run(other)["href"]), "DELETE", None),
    ):
        reply = far.asks(path, method, body)
        assert (reply.status, reply.text) == (403, "Forbidden\n")
    assert far.asks(f"{mine}/runs", "POST", {"start-time": written(in_hours(9))}).status == 200
    assert far.asks(mine, "DELETE").status == 200
    assert site.run(other)["state"] == "pending"


def test_whoever_knows_the_key_may_from_anywhere_and_nobody_else(site: Site, far: Far) -> None:
    theirs = site.posts(start=written(in_hours(3)), _key="k")
    own = far.posts(start=written(in_hours(5)), _key="k")
    for task in (theirs, own):
        for query in ({}, {"key": "x"}):
            assert far.asks(task, "DELETE", **query).status == 403
        assert far.asks(task, "DELETE", key="k").status == 200


def test_what_does_not_exist_is_not_found_before_anybody_is_forbidden(far: Far) -> None:
    assert far.asks("/tasks/3f0b6c52-1c0e-4a57-9d70-111111111111", "DELETE").status == 404


def test_everybody_may_read(site: Site, far: Far) -> None:
    task = site.posts(start=written(in_hours(3)), _key="k")
    assert far.asks(task).json["_key"] is None
    assert far.asks(task, detail=1).json["detail"]["hints"]["requester"] == FarHost.server
    assert json.loads(far.asks("/schedule").body)[0]["task"]["_key"] is None
