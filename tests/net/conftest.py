"""Tests of connections run on the loop that the daemon runs on; `start` starts a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.support.proxies import Proxy, Start


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    proxies: list[Proxy] = []

    def begin(command: list[str], config: str) -> Proxy:
        proxies.append(Proxy(tmp_path, command, config))
        return proxies[-1]

    yield begin
    for proxy in proxies:
        proxy.stop()
