"""Hints between the sender and open connections: neither a Redis that goes away nor a crowd at the door closes one.

Channels' own layer does both: a connection that waits for a hint when Redis restarts is closed by the error, and of
many that begin at once all beyond a hundred are refused, since each wants a Redis connection of its own.
"""

import asyncio
import logging
import time
from typing import Any

from channels_redis.core import RedisChannelLayer
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 32
CHECKOUT_SECONDS_MAX = 15.0
AWAY_PAUSE_SECONDS = 1.0


def waiting_pool(address: str, **options: Any) -> BlockingConnectionPool:
    """A few Redis connections for however many callers: they wait for a free one, an error only after long.

    One that Redis has closed meanwhile is replaced by trying again; a pool given to a client does not by itself.
    """
    again = Retry(ExponentialBackoff(base=0.05, cap=0.5), retries=3)
    return BlockingConnectionPool.from_url(
        address, max_connections=CONNECTIONS_MAX, timeout=CHECKOUT_SECONDS_MAX, retry=again, **options
    )


class HintLayer(RedisChannelLayer):
    """What was sent while Redis was away is lost; heartbeats make up for it, and join the group again."""

    _told_at = 0.0

    def create_pool(self, index: int) -> BlockingConnectionPool:
        options = dict(self.hosts[index])
        return waiting_pool(options.pop("address"), **options)

    async def receive(self, channel: str) -> Any:
        while True:
            try:
                return await super().receive(channel)
            except (RedisError, OSError) as trouble:
                # Every connection of the process is told of the same trouble; one line a second says enough.
                if time.monotonic() - self._told_at > AWAY_PAUSE_SECONDS:
                    self._told_at = time.monotonic()
                    log.warning("no hints for now: %s", trouble)
                await asyncio.sleep(AWAY_PAUSE_SECONDS)
