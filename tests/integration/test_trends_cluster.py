"""Claim: what trends does on a Redis Cluster of three primaries what it does on one Redis, by the same code.

Oracle: the claims of test_trends.py, which are run here once more; and a count of the commands that a reader sends.
Cannot catch: what a failover loses.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from infra.repair.trends import _freed, _left
from shared.environment import Environment
from shared.trend_store import POSITION_KEY
from tests.integration import test_trends
from tests.integration.primaries import PRIMARIES, three_primaries
from tests.integration.trending import Trending, own_trends
from tests.specs.fold_cases import ANA, moment, published

ROOT = POSITION_KEY.removesuffix("position")


@pytest.fixture(scope="module")
def trends(servers: Environment, scratch_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trending]:
    with (
        three_primaries(servers, tmp_path_factory) as address,
        own_trends(servers, scratch_database, address) as trends,
    ):
        yield trends


anew = test_trends.anew
# pytest collects them here once more, with the fixtures of this module.
globals().update({name: test for name, test in vars(test_trends).items() if name.startswith("test_")})


def test_all_of_it_lies_on_one_of_several_nodes(trends: Trending) -> None:
    trends.apply([published(1, ANA, hashtags="one")])
    sizes = [node.redis_connection.dbsize() for node in trends.redis.get_primaries()]
    assert len(sizes) == PRIMARIES
    assert sorted(sizes)[:-1] == [0] * (PRIMARIES - 1) and max(sizes) > 5


def test_a_reader_asks_its_node_alone_and_once(trends: Trending) -> None:
    trends.apply([published(1, ANA, hashtags="one")])
    before = _calls(trends)
    assert trends.readers.top("tags", moment(1), 0, 9, anew=True).found
    assert _calls(trends) - before == 1


def test_functions_that_are_missing_are_loaded_on_every_primary(trends: Trending) -> None:
    trends.redis.function_delete("rookery_trends")
    trends.apply([published(1, ANA, hashtags="one")])
    assert trends.hashtags(moment(1)) == [("one", 1.0)]


def test_what_an_earlier_incarnation_left_is_freed(trends: Trending) -> None:
    trends.apply([published(1, ANA, hashtags="one")])
    trends.redis.delete(POSITION_KEY, ROOT + "incarnation", ROOT + "filling")
    trends.fence()
    assert _left(trends.redis, ROOT) == 0
    left = len(list(trends.redis.scan_iter()))
    freed = _freed(trends.redis, ROOT, trends.redis.get(ROOT + "incarnation"))
    assert 5 < freed == left - len(list(trends.redis.scan_iter()))
    assert trends.hashtags(moment(1)) == []


def _calls(trends: Trending) -> int:
    """Of functions and of questions for a command's keys, on all nodes together."""
    stats: dict[str, dict[str, Any]] = trends.redis.info("commandstats", target_nodes=redis.RedisCluster.PRIMARIES)
    asked = ("cmdstat_fcall", "cmdstat_command|getkeys", "cmdstat_command")
    return sum(each[name]["calls"] for each in stats.values() for name in asked if name in each)
