"""Names shared among several daemons."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from glock import AsyncClient, Client, LockBusy, Unreachable
from glock.sharding import choose, weight

from tests.support.fakes import Daemon, daemon

NAMES = [f"name {index}".encode() for index in range(2000)]
SERVERS = [f"tcp://host{index}:9999" for index in range(5)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Daemon]]:
    folder = tmp_path_factory.mktemp("shards")
    with (
        daemon(folder, "-history", "10") as one,
        daemon(folder, "-history", "10") as two,
        daemon(folder) as three,
    ):
        yield [one, two, three]


def test_the_weight_is_what_other_languages_would_compute() -> None:
    # printf 'tcp://host0:9999\njob' | sha256sum | cut -c1-16
    assert weight("tcp://host0:9999", b"job") == 0x8222FF041669E9BC


def test_the_order_of_servers_does_not_matter() -> None:
    for name in NAMES[:200]:
        assert SERVERS[choose(SERVERS, name)] == SERVERS[::-1][choose(SERVERS[::-1], name)]


def test_each_server_has_its_share() -> None:
    counts = [0] * len(SERVERS)
    for name in NAMES:
        counts[choose(SERVERS, name)] += 1
    assert all(300 < count < 500 for count in counts), counts


def test_a_new_server_only_takes() -> None:
    more = [*SERVERS, "tcp://new:9999"]
    moved = 0
    for name in NAMES:
        before, after = SERVERS[choose(SERVERS, name)], more[choose(more, name)]
        assert after in (before, "tcp://new:9999")
        moved += after != before
    assert 200 < moved < 470


def test_every_client_finds_the_lock_on_the_same_server(servers: list[Daemon]) -> None:
    urls = [each.url for each in servers]
    with Client(urls) as client, Client(",".join(reversed(urls))) as other:
        locks = [client.lock(f"job {index}").acquire() for index in range(30)]
        for lock in locks:
            with pytest.raises(LockBusy):
                other.lock(lock.name, wait=0).acquire()
        assert other.stats()["locks"] == 30
        assert {each.name for each in other.holders()} == {lock.name for lock in locks}
        alone = [0, 0, 0]
        for index, url in enumerate(urls):
            with Client(url) as single:
                alone[index] = len(single.holders())
        assert sum(alone) == 30
        assert all(alone)
        assert client.explain("job 7")["exclusive"]["holders"]
        for lock in locks:
            lock.release()
        assert client.stats()["locks"] == 0
        assert client.bound() == 30


async def test_so_does_the_asyncio_client(servers: list[Daemon]) -> None:
    async with AsyncClient([each.url for each in servers]) as client:
        with Client([each.unix_url for each in servers]) as by_other_addresses:
            # Addresses are what is hashed: other spellings of the same servers are other servers.
            assert by_other_addresses.stats()["locks"] == 0
        async with client.lock("a"), client.lock("b"), client.lock("c"), client.lock("d"):
            assert (await client.stats())["locks"] == 4
            assert len(await client.holders()) == 4


def test_a_name_is_not_looked_for_elsewhere_when_its_server_is_down(servers: list[Daemon]) -> None:
    down = "tcp://127.0.0.1:1"
    urls = [servers[0].url, down]
    with Client(urls) as client:
        outcomes = set()
        for index in range(20):
            name = f"either {index}"
            if urls[choose(urls, name.encode())] == down:
                with pytest.raises(Unreachable):
                    client.lock(name).acquire()
                outcomes.add("down")
            else:
                with client.lock(name):
                    outcomes.add("up")
        assert outcomes == {"down", "up"}
