"""Claim: home feeds do on a Redis Cluster of three primaries what they do on one Redis, by the same code.

Oracle: the claims of test_feed_functions.py and test_feed_walks.py, which are run here once more, and some of the
histories of test_feed_interleavings.py. The cluster is three servers started here, on loopback, without replicas.
Cannot catch: what a failover loses.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.environment import Environment
from shared.feed_store import shard_key
from tests.integration import test_feed_functions, test_feed_interleavings, test_feed_walks
from tests.integration.feeds import SHARDS, Feeds, own_feeds, walked
from tests.runtime.workers import wait_until
from tests.specs.fold_cases import ANA, BEN, published

PORTS_AFTER = 90  # behind those of the installation; a node talks to the others 10,000 above
PRIMARIES = 3
START_SECONDS = 30


def test_the_shards_lie_on_several_nodes(feeds: Feeds) -> None:
    assert isinstance(feeds.redis, redis.RedisCluster)
    client: Any = feeds.redis
    nodes = {client.get_node_from_key(shard_key(shard)).name for shard in range(SHARDS)}
    assert len(nodes) == SHARDS


def test_a_call_goes_to_its_node_without_asking_anything_before(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    calls = _calls(feeds)
    feeds.items(ANA)
    after = _calls(feeds)
    assert {name: count - calls.get(name, 0) for name, count in after.items() if count != calls.get(name, 0)} == {
        "fcall": 1, "hmget": 1, "get": 1, "getdel": 1, "expire": 2, "lrange": 1, "zrevrangebyscore": 1,
        "info": PRIMARIES,
    }  # fmt: skip


def test_functions_that_are_missing_are_loaded_on_every_primary(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    feeds.redis.function_delete("rookery_feed")
    feeds.apply("posts", published(1, BEN))
    assert feeds.items(ANA) == [published(1, BEN).post_id]


@pytest.mark.parametrize("seed", range(3))
def test_no_interleaving_leaves_a_gap(feeds: Feeds, seed: int) -> None:
    test_feed_interleavings.test_no_interleaving_leaves_a_gap(feeds, 100 + seed)


def _again(module: object) -> dict[str, object]:
    return {name: test for name, test in vars(module).items() if name.startswith("test_")}


# pytest collects them here once more, with the fixtures of this module.
globals().update(_again(test_feed_functions))
globals().update(_again(test_feed_walks))


@pytest.fixture(scope="module")
def cluster(servers: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed here, but in a container")
    ports = [servers.ports["gateway"] + PORTS_AFTER + number for number in range(PRIMARIES)]
    processes = [_node(program, port, tmp_path_factory.mktemp(f"node-{port}")) for port in ports]
    try:
        wait_until(START_SECONDS, lambda: all(map(_listens, ports)))
        addresses = [f"127.0.0.1:{port}" for port in ports]
        subprocess.run(
            ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "0", "--cluster-yes"],
            check=True, capture_output=True, timeout=START_SECONDS,
        )  # fmt: skip
        wait_until(START_SECONDS, lambda: all(map(_is_whole, ports)))
        yield f"redis+cluster://{addresses[0]}"
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def _node(program: str, port: int, directory: Path) -> "subprocess.Popen[bytes]":
    settings = {
        "port": port, "bind": "127.0.0.1", "cluster-enabled": "yes", "cluster-node-timeout": 5000,
        "dir": directory, "save": "", "appendonly": "no", "daemonize": "no",
    }  # fmt: skip
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _is_whole(port: int) -> bool:
    with redis.Redis(port=port, decode_responses=True) as node:
        state: dict[str, str] = node.cluster("info")
        return state["cluster_state"] == "ok" and state["cluster_known_nodes"] == str(PRIMARIES)


def _calls(feeds: Feeds) -> dict[str, int]:
    """Commands carried out so far, on all nodes together."""
    total: dict[str, int] = {}
    for stats in feeds.redis.info("commandstats", target_nodes=redis.RedisCluster.PRIMARIES).values():
        for name, each in stats.items():
            total[name.removeprefix("cmdstat_")] = total.get(name.removeprefix("cmdstat_"), 0) + each["calls"]
    return {name: calls for name, calls in total.items() if name not in ("ping", "cluster|info", "cluster|slots")}


@pytest.fixture
def feeds(request: pytest.FixtureRequest, servers: Environment, scratch_database: str, cluster: str) -> Iterator[Feeds]:
    with own_feeds(servers, scratch_database, cluster) as feeds:
        if vars(test_feed_walks).get(request.function.__name__) is request.function:
            with walked(feeds):
                yield feeds
        else:
            yield feeds


great = test_feed_walks.great
