"""Claim: home feeds do on a Redis Cluster of three primaries what they do on one Redis, by the same code.

Oracle: the claims of test_feed_functions.py and test_feed_walks.py, which are run here once more, and some of the
histories of test_feed_interleavings.py. The cluster is three servers started here, on loopback, without replicas.
Cannot catch: what a failover loses.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from shared.environment import Environment
from shared.feed_store import shard_key
from tests.integration import test_feed_functions, test_feed_interleavings, test_feed_walks
from tests.integration.feeds import SHARDS, Feeds, own_feeds, walked
from tests.integration.primaries import PRIMARIES, three_primaries
from tests.specs.fold_cases import ANA, BEN, published


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
    with three_primaries(servers, tmp_path_factory) as address:
        yield address


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
