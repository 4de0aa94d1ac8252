"""Home feeds, and what trends, lie in one Redis or in a Redis Cluster, by the address alone: each shard's keys are on
one node.

`redis+cluster://host:port` names any node of a cluster, `rediss+cluster://` one that speaks TLS; every other address is
one server's. A call names its node itself (`on_shard`): redis-py would ask the server which of a function's arguments
are keys, with a round trip for each call.
"""

from typing import Any

import redis
import redis.asyncio
from redis import exceptions

from shared.environment import Environment

CLUSTER = "+cluster://"

# All that tells of a server or a network; redis-py's cluster client raises some of it outside RedisError.
TROUBLE = (exceptions.RedisError, exceptions.RedisClusterException, OSError)


def connect(environment: Environment, **options: Any) -> Any:
    """A client whose answers are text; it connects when first needed, to a cluster at once."""
    url = environment.feed_redis_url
    if CLUSTER in url:
        return redis.RedisCluster.from_url(_plain(url), decode_responses=True, **options)
    return redis.Redis.from_url(url, decode_responses=True, **options)


def connect_async(environment: Environment, **options: Any) -> Any:
    """The same with asyncio; both connect when first needed."""
    url = environment.feed_redis_url
    if CLUSTER in url:
        return redis.asyncio.RedisCluster.from_url(_plain(url), decode_responses=True, **options)
    return redis.asyncio.Redis.from_url(url, decode_responses=True, **options)


def on_shard(client: Any, key: str) -> dict[str, Any]:
    """The options of execute_command with which it goes straight to the key's node; none where there is one server.

    An asyncio client must have connected. A node that has the key no longer answers with the one that has.
    """
    if isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster):
        return {"target_nodes": client.get_node_from_key(key)}
    return {}


def load_functions(environment: Environment, code: str) -> None:
    """Makes the library on the server, or on every primary, this one, whatever version was there."""
    client = connect(environment)
    try:
        client.function_load(code, replace=True)
    finally:
        client.close()


def _plain(url: str) -> str:
    return url.replace("+cluster", "", 1)
