"""Trends on the real Redis (database 8), brought there by the store that the live worker uses, batch after batch."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from projectors.runtime.stores.port import Advance, Beginning, Outcome, Partition
from projectors.runtime.stores.redis_window import WindowStore
from projectors.trends.fold import PROJECTION, fold
from schemas.types import Event
from shared import feed_redis
from shared.environment import Environment
from shared.trend_store import TrendStore

PARTITIONS = 2
MANY = 1_000
SOMEWHERE = Partition("posts", 0)
T = TypeVar("T")


class FromTheFirst(WindowStore):
    """Reads everything again after a flush, as there is no Kafka here that could say where the last hours begin."""

    async def _lately(self, every: Sequence[Partition], beginning: Beginning) -> dict[Partition, int]:
        return dict.fromkeys(every, 0)


class Trending:
    """A worker's and a reader's side. Partitions are one as good as another: whatever is applied is applied."""

    def __init__(self, environment: Environment, runner: asyncio.Runner) -> None:
        self.environment = environment
        self.readers = TrendStore.open(environment)
        self.redis: Any = feed_redis.connect(environment)
        self._runner = runner
        self.store = FromTheFirst(PROJECTION, environment, "test", retry_seconds=1)
        self.partitions = [Partition(topic, number) for topic in PROJECTION.topics for number in range(PARTITIONS)]
        self.next: dict[Partition, int] = {}
        self._epoch = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def begin(self) -> None:
        """As after a flush."""
        self.redis.flushdb()
        self.fence()

    def fence(self) -> None:
        fences = self.run(self.store.fence(self.partitions, _from_zero))
        self.next = {partition: fence.offset for partition, fence in fences.items()}
        self._epoch = max(fence.epoch for fence in fences.values())

    def apply(self, events: Sequence[Event], partition: Partition = SOMEWHERE) -> Outcome:
        """The next batch of a partition."""
        first = self.next[partition]
        self.next[partition] = first + max(1, len(events))
        return self.step(partition, first, self.next[partition], events)

    def step(self, partition: Partition, first: int, last: int, events: Sequence[Event]) -> Outcome:
        return self.run(self.store.apply(Advance(partition, first, last, self._epoch), fold(events)))

    def hashtags(self, at: int) -> list[tuple[str, float]]:
        found = self.readers.top("tags", at, 0, MANY, anew=True).found
        return sorted(((each.name, each.score) for each in found), key=lambda each: (-each[1], each[0]))

    def posts(self, at: int) -> list[tuple[UUID, float]]:
        found = self.readers.top("posts", at, 0, MANY, anew=True).found
        return sorted(((UUID(each.name), each.score) for each in found), key=lambda each: (each[1], each[0]))[::-1]

    def close(self) -> None:
        self.run(self.store.close())
        self.redis.close()


async def _from_zero(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
    return dict.fromkeys(partitions, 0)


@contextmanager
def own_trends(servers: Environment, database_url: str, trends_url: str = "") -> Iterator[Trending]:
    """Nothing is there yet; positions of PostgreSQL are looked for in this database."""
    environment = replace(
        servers,
        redis_url=urlunsplit(urlsplit(servers.redis_url)._replace(path="/8")),
        feeds_url=trends_url,
        read_database_url=database_url,
        topic_partitions=PARTITIONS,
    )
    with asyncio.Runner() as runner:
        trending = Trending(environment, runner)
        trending.begin()
        try:
            yield trending
        finally:
            trending.redis.flushdb()
            trending.close()
