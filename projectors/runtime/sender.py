"""Tells open connections that something awaits them: one hint per batch of frames for each recipient who is online.

    python -m projectors.runtime.sender

A hint carries only the recipient's newest sequence number; the connection reads the frames themselves from PostgreSQL
and asks for its sequence's head now and then anyway, so a hint that is lost, doubled or late does no harm. Frames of
people who are away are marked as sent by the thousand. Several senders share the work: each takes rows that no other
has locked.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

import psycopg
import redis.asyncio
import structlog
from channels_redis.core import RedisChannelLayer
from redis import exceptions as redis_errors

from projectors.runtime import logs
from shared.environment import Environment, environment

CHANNELS_PREFIX = "rookery:channels"  # the realtime process's settings name the same
ONLINE_KEY = "online"  # sorted set: user as hex -> unix time at which they count as gone
FRAMES_PER_BATCH = 5_000
HINTS_AT_ONCE = 50
POLL_SECONDS = 1.0
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0  # of Redis; a frozen one must not keep frames locked for ever
RETRY_DELAYS = (0.1, 5.0)  # the first and the longest pause while a server is away, in seconds
STOP_SECONDS = 1.5

# Rows are marked where they are found (ctid), so that a backlog is one scan of the index and one write per row.
TAKE = """
with taken as materialized (
  select ctid from delivery.frame where not sent limit %s for update skip locked),
marked as (
  update delivery.frame set sent = true where ctid = any (array (select ctid from taken)) returning recipient_id, seq)
select recipient_id, max(seq), count(*) from marked group by recipient_id
"""

TROUBLE = (psycopg.OperationalError, redis_errors.ConnectionError, redis_errors.TimeoutError, OSError)

log = structlog.get_logger()


class Layer(Protocol):
    """What is used of a Channels layer."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None: ...


def channel_layer(redis_url: str) -> Layer:
    """The layer that the realtime process listens on, without Django's settings."""
    server = {"address": redis_url, "socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": ANSWER_SECONDS}
    layer: Layer = RedisChannelLayer(hosts=[server], prefix=CHANNELS_PREFIX)
    return layer


class Sender:
    """Takes unsent frames, hints who is online, and marks the frames as sent, in that order and in one transaction.

    A crash in between leaves the frames unsent, so they are hinted again.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._presence: Any = redis.asyncio.Redis.from_url(
            environment.redis_url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            client_name="rookery-sender",
        )
        self._layer = channel_layer(environment.redis_url)

    async def run(self) -> None:
        """Until cancelled; a server that is away is waited for."""
        delay = RETRY_DELAYS[0]
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._environment.read_database_url,
                    autocommit=True,
                    connect_timeout=3,
                    keepalives_idle=5,
                    keepalives_interval=2,
                    keepalives_count=3,
                    tcp_user_timeout=10_000,
                    application_name="rookery-sender",
                )
                async with connection:
                    await connection.execute("listen delivery")
                    while True:
                        await self.drain(connection)
                        delay = RETRY_DELAYS[0]
                        await _notified(connection)
            except (*TROUBLE, psycopg.errors.UndefinedTable) as error:
                log.warning("sender_waits", error=type(error).__name__, message=str(error).partition("\n")[0])
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_DELAYS[1])

    async def drain(self, connection: psycopg.AsyncConnection[Any]) -> int:
        """Everything unsent, batch by batch; answers how many frames that were."""
        frames = 0
        while True:
            async with connection.transaction():
                cursor = await connection.execute(TAKE, [FRAMES_PER_BATCH])
                taken = await cursor.fetchall()
                online = await self._online([recipient for recipient, _, _ in taken])
                await self._hint([(recipient, seq) for recipient, seq, _ in taken if recipient in online])
            batch = sum(count for _, _, count in taken)
            frames += batch
            if batch < FRAMES_PER_BATCH:
                return frames

    async def close(self) -> None:
        await self._presence.aclose()

    async def _online(self, recipients: Sequence[UUID]) -> set[UUID]:
        if not recipients:
            return set()
        expiries = await self._presence.zmscore(ONLINE_KEY, [recipient.hex for recipient in recipients])
        now = time.time()
        return {
            recipient
            for recipient, expiry in zip(recipients, expiries, strict=True)
            if expiry is not None and expiry > now
        }

    async def _hint(self, hints: Sequence[tuple[UUID, int]]) -> None:
        for first in range(0, len(hints), HINTS_AT_ONCE):
            sends = [
                self._layer.group_send(f"user.{recipient.hex}", {"type": "delivery.hint", "seq": seq})
                for recipient, seq in hints[first : first + HINTS_AT_ONCE]
            ]
            await asyncio.gather(*sends)


async def _notified(connection: psycopg.AsyncConnection[Any]) -> None:
    """Returns when frames were written, or after a second at the latest, for those that nobody was told of."""
    async with contextlib.aclosing(connection.notifies(timeout=POLL_SECONDS, stop_after=1)) as notices:
        async for _ in notices:
            pass


async def serve(environment: Environment) -> None:
    """Runs until SIGTERM or SIGINT, and STOP_SECONDS longer at most."""
    sender = Sender(environment)
    running = asyncio.create_task(sender.run())
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # A server that does not answer must not hold the process: what was taken and not committed is unsent again.
        loop.call_later(STOP_SECONDS, os._exit, 0)
        running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    log.info("sender_started")
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await sender.close()
    log.info("sender_stopped")


def main() -> None:
    logs.configure(process="sender")
    asyncio.run(serve(environment()))


if __name__ == "__main__":
    main()
