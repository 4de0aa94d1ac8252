"""What all connections of a realtime process share: a pool to PostgreSQL and one to Redis, opened in its event loop."""

import asyncio
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from query_api.database import new_async_pool
from query_api.notifications.frames import Pool
from query_api.notifications.hints import waiting_pool
from shared.environment import environment


@dataclass(frozen=True)
class Resources:
    """`redis` answers text."""

    pool: Pool
    redis: Any

    async def close(self) -> None:
        await self.pool.close()
        await self.redis.aclose()


_opening: asyncio.Task[Resources] | None = None


async def resources() -> Resources:
    """This process's; the first caller opens them, and the others wait for it."""
    global _opening
    if _opening is None or (_opening.done() and (_opening.cancelled() or _opening.exception() is not None)):
        _opening = asyncio.create_task(_open())
    return await asyncio.shield(_opening)


async def close_resources() -> None:
    global _opening
    if _opening is not None and _opening.done() and not _opening.cancelled() and _opening.exception() is None:
        await _opening.result().close()
    _opening = None


async def _open() -> Resources:
    pool = new_async_pool()
    await pool.open()
    connections = waiting_pool(
        environment().redis_url, decode_responses=True, socket_connect_timeout=0.5, socket_timeout=2.0
    )
    return Resources(pool, redis.asyncio.Redis.from_pool(connections))
