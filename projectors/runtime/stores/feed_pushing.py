"""Walks audiences on until all shards have pushed what they owe, and tells them how many followers the followed have.

What is owed, and who is pulled, lies in the shards (projectors/feed/functions.lua): any number of workers may run this
at once, and one that dies leaves nothing half done. Pages are right whether or not it runs; they are faster when little
is owed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import psycopg
import structlog

from shared import feed_redis
from shared.environment import Environment
from shared.feed_store import shard_key

STEP_COST = 1_500  # microseconds of one call, about; it cannot be interrupted
IN_FLIGHT = 2  # Redis begins the next call while the answer to the last one travels, and others wait for two at most
OWED_MAX = 2_000  # items of a shard; beyond, the log waits for the walks
WAIT_SECONDS_MAX = 4.0  # and not longer than the watchdog looks on
LOOK_SECONDS = 1.0  # where nothing is owed: another worker may have left something
WEIGH_SECONDS = 15.0
CANCEL_SECONDS = 0.2
WEIGHED_AT_ONCE = 1_000
# Only a few have so many followers; of all others a shard need not be told.
WEIGHED_SHARE = 0.9
FOLLOWERS_SQL = "select user_id, followers from graph.person_count where followers >= %s"

log = structlog.get_logger()
Retrying = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Pushing:
    """One per store. `retrying` makes a call until it succeeds."""

    def __init__(self, client: Any, environment: Environment, retrying: Retrying) -> None:
        self._client = client
        self._environment = environment
        self._retrying = retrying
        self._owed = dict.fromkeys(range(environment.feed_shards), 0)
        self._wanted = asyncio.Event()
        self._stepped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Goes on in the background until `stop`. Starting twice changes nothing."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._walk()), asyncio.create_task(self._weigh())]

    async def stop(self) -> None:
        # Again, until they have ended: psycopg answers a cancellation that meets a statement with an error of its own.
        while waiting := [task for task in self._tasks if not task.done()]:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting, timeout=CANCEL_SECONDS)
        for task in self._tasks:
            if not task.cancelled():
                task.exception()  # raise_what_ended has told it, or nobody waits for it any more
        self._tasks = []

    async def note(self, owed: Mapping[int, int]) -> None:
        """What shards have answered that they owe; waits while that is too much. Raises what ended the background."""
        self._owed.update(owed)
        if not any(self._owed.values()) or not self._tasks:
            return
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while max(self._owed.values()) > OWED_MAX:
                    self.raise_what_ended()
                    self._stepped.clear()
                    await self._stepped.wait()
        self.raise_what_ended()

    async def step(self, shard: int, allowed: int = STEP_COST) -> int:
        """One call of feed_step; the items that the shard owes then."""
        owed, _ = await self._call("feed_step", shard, self._environment.feed_items_max, allowed)
        self._owed[shard] = int(owed)
        return int(owed)

    async def finish(self) -> None:
        """Walks every shard's audiences to the end."""
        while True:
            if not sum([await self.step(shard) for shard in self._owed]):
                return

    async def weigh(self, threshold: int) -> dict[UUID, str]:
        """Tells every shard the followers of all who might be pulled; answers who are pulled or pushed from now on."""
        known = await self._followers(int(threshold * WEIGHED_SHARE))
        changed: dict[UUID, str] = {}
        if known is None:
            return changed
        for shard in self._owed:
            pulled = await self._client.smembers(shard_key(shard, "pulled"))
            told = {author.hex: followers for author, followers in known.items()}
            told |= dict.fromkeys(pulled - told.keys(), 0)
            flat = [part for pair in told.items() for part in pair]
            for first in range(0, len(flat), 2 * WEIGHED_AT_ONCE):
                some = flat[first : first + 2 * WEIGHED_AT_ONCE]
                answer = await self._call("feed_weigh", shard, threshold, *some)
                changed.update((UUID(author), state) for author, state in zip(answer[::2], answer[1::2], strict=True))
        return changed

    async def _call(self, function: str, shard: int, *arguments: Any) -> Any:
        key = shard_key(shard)
        there = feed_redis.on_shard(self._client, key)
        return await self._client.execute_command("FCALL", function, 1, key, *arguments, **there)

    async def _followers(self, least: int) -> dict[UUID, int] | None:
        """None while PostgreSQL does not know them."""
        connection = await psycopg.AsyncConnection.connect(
            self._environment.read_database_url, autocommit=True, connect_timeout=3
        )
        async with connection:
            found = await (await connection.execute("select to_regclass('graph.person_count') is not null")).fetchone()
            if found is None or not found[0]:
                return None
            return dict(await (await connection.execute(FOLLOWERS_SQL, [least])).fetchall())

    async def _walk(self) -> None:
        turn = asyncio.Semaphore(IN_FLIGHT)

        async def one(shard: int) -> int:
            async with turn:
                return int(await self._retrying("step", lambda: self.step(shard)))

        with self._telling():
            while True:
                owed = await asyncio.gather(*map(one, self._owed))
                self._stepped.set()
                while any(owed):
                    owed = await asyncio.gather(*(one(shard) for shard, items in self._owed.items() if items))
                    self._stepped.set()
                self._wanted.clear()
                # Not wait_for, which on Python 3.11 swallows a cancellation that comes as the wait ends: `stop` hung.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._wanted.wait()

    async def _weigh(self) -> None:
        threshold = self._environment.feed_pushed_followers_max
        with self._telling():
            while True:
                try:
                    changed = await self._retrying("weigh", lambda: self.weigh(threshold))
                except psycopg.Error as error:
                    # Nobody waits for it; what PostgreSQL cannot say now, it says the next time.
                    log.warning("followers_unknown", error=type(error).__name__)
                else:
                    if changed:
                        log.info("pushed_or_pulled", changed=len(changed))
                    self._wanted.set()
                await asyncio.sleep(WEIGH_SECONDS)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Whoever waits for progress learns that there will be none."""
        try:
            yield
        finally:
            self._stepped.set()

    def raise_what_ended(self) -> None:
        """An error of the background is its worker's: better loud than slow."""
        for task in self._tasks:
            if task.done():
                task.result()
