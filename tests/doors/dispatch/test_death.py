"""The daemon is killed again and again while workers work: no file is done twice, and none is forgotten."""

from __future__ import annotations

import contextlib
import http.client
import threading
from pathlib import Path

from tests.doors.dispatch.site import Site
from tests.support.clients import wait_until
from tests.support.process import Spawner

FILES, WORKERS, DEATHS, BETWEEN = 400, 4, 5, 25
OPEN = ("-dispatch", "127.0.0.1:0", "-dispatch-hold-seconds=1")


class Shift:
    """Workers on one daemon, until it is gone."""

    def __init__(self, site: Site, project: int) -> None:
        self.site, self.project = site, project
        self.done: list[str] = []  # files of which the daemon has said that they are done
        self.threads = [threading.Thread(target=self.work, args=(f"w{number}",)) for number in range(WORKERS)]
        for thread in self.threads:
            thread.start()

    def work(self, worker: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                reply = self.site.asks("next_file", project_id=self.project, worker_id=worker)
                if reply.status != 200 or reply.json["handle"] is None:
                    return
                name = reply.json["handle"]["name"]
                if self.site.releases(self.project, name, worker_id=worker).status == 200:
                    self.done.append(name)

    def ends(self) -> list[str]:
        for thread in self.threads:
            thread.join()
        return self.done


def test_no_file_is_done_twice_and_none_is_forgotten(glockd: Spawner, tmp_path: Path) -> None:
    records = ("-records", str(tmp_path / "records"))
    site = Site(glockd(*OPEN, *records), user=None)
    names = [f"{number:03}" for number in range(FILES)]
    project = site.project(*names)
    done: list[str] = []
    for death in range(DEATHS):
        shift = Shift(site, project)
        wait_until(lambda shift=shift: len(shift.done) >= BETWEEN)
        site.daemon.kill()
        done += shift.ends()
        site = Site(glockd(*OPEN, *records), user=None)
        states = site.states(project)
        assert {states[name] for name in done} == {"done"}, f"after death {death}"
        # Answered or not, what was reserved is its worker's still: all it takes is to give it back.
        assert sum(state == "reserved" for state in states.values()) <= WORKERS * (death + 1)
        assert len(states) == FILES
        body = {"project_id": project, "reserved": True}
        assert site.asks("restart_handles", body).status == 200
    done += Shift(site, project).ends()
    assert len(done) == len(set(done))
    assert site.asks("project", project_id=project).json["state"] == "done"
    assert set(done) <= set(names)
    assert (
        len(done) >= FILES - WORKERS * DEATHS
    )  # those that were done, and the daemon died before it said so
