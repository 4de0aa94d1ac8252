"""Home feeds on the real Redis (database 9) as the live worker and the readers use them, for tests to drive by hand."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from projectors.feed.fold import PROJECTION, fold
from projectors.runtime.stores.port import Advance, Fence, Outcome, Partition
from projectors.runtime.stores.redis import PUSH_COST, RedisStore
from schemas.types import Event
from shared import feed_redis
from shared.environment import Environment
from shared.feed_item import FeedItem
from shared.feed_store import FeedPage, FeedStore, shard_key

ITEMS_MAX = 8
SHARDS = 2
PARTITIONS = 2
T = TypeVar("T")


def ids_of(page: FeedPage) -> list[UUID]:
    return [item.item_id for item in page.items]


async def from_zero(partitions: Sequence[Partition]) -> dict[Partition, int]:
    return dict.fromkeys(partitions, 0)


class Feeds:
    """The store as a live worker uses it, step after step, and the readers' side beside it."""

    def __init__(self, environment: Environment, runner: asyncio.Runner) -> None:
        self.environment = environment
        self.readers = FeedStore.open(environment)
        self.redis = feed_redis.connect(environment)
        self._runner = runner
        self.push_cost = PUSH_COST
        self.store = self.new_store()
        self.partitions = [Partition(topic, number) for topic in PROJECTION.topics for number in range(PARTITIONS)]
        self.fences: dict[Partition, Fence] = {}
        self.next: dict[Partition, int] = {}

    def new_store(self) -> RedisStore:
        store = RedisStore(PROJECTION, self.environment, "test", retry_seconds=1)
        store.push_cost = self.push_cost
        return store

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def fence(self) -> dict[Partition, Fence]:
        self.fences = self.run(self.store.fence(self.partitions, from_zero))
        self.next = {partition: fence.offset for partition, fence in self.fences.items()}
        return self.fences

    def apply(self, topic: str, *events: Event, number: int = 0) -> Outcome:
        """The next batch of one partition."""
        partition = Partition(topic, number)
        first = self.next[partition]
        outcome = self.step(partition, first, first + len(events), events)
        self.next[partition] = first + len(events)
        return outcome

    def step(self, partition: Partition, first: int, last: int, events: Sequence[Event]) -> Outcome:
        return self.run(self.store.apply(Advance(partition, first, last, self.fences[partition].epoch), fold(events)))

    def warm(self, reader: UUID, followees: Sequence[UUID], items: Sequence[UUID], floor: UUID | None = None) -> str:
        begun = self.readers.begin(reader)
        assert begun is not None
        assert self.readers.join(reader, begun.nonce, followees) is not None
        assert self.readers.fill(reader, begun.nonce, floor, [FeedItem.of_post(each) for each in items])
        return begun.nonce

    def items(self, reader: UUID) -> list[UUID] | None:
        """The ids of what the warm feed holds."""
        page = self.readers.page(reader, None, 100)
        return None if page is None else ids_of(page)

    def walk(self, shard: int | None = None, allowed: int = 3) -> int:
        """A step of the walks of one shard, or of each; the items that are still owed."""
        shards = range(SHARDS) if shard is None else [shard]
        return sum(self.run(self.store.pushing.step(each, allowed)) for each in shards)

    def finish(self) -> None:
        """Walks until nothing is owed, a few readers a step."""
        for _ in range(10_000):
            if not self.walk():
                return
        raise AssertionError("the walks do not end")

    def weigh(self, threshold: int, followers: Mapping[UUID, int]) -> set[tuple[UUID, str]]:
        """Tells every shard how many followers these authors have; the states that changed."""
        flat = [part for author, count in followers.items() for part in (author.hex, count)]
        answers = [self.redis.fcall("feed_weigh", 1, shard_key(shard), threshold, *flat) for shard in range(SHARDS)]
        return {(UUID(each[nth]), each[nth + 1]) for each in answers for nth in range(0, len(each), 2)}

    def close(self) -> None:
        self.run(self.store.close())
        self.redis.close()


@contextmanager
def walked(feeds: Feeds) -> Iterator[None]:
    """Nothing is pushed at once, and sets of a few members are handed out in several parts, as great ones are."""
    packing = "set-max-listpack-entries"  # unknown to a server that packs no sets
    before = feeds.redis.config_get(packing)
    if before:
        feeds.redis.config_set(packing, 0)
    feeds.push_cost = feeds.store.push_cost = 0
    try:
        yield
    finally:
        if before:
            feeds.redis.config_set(packing, before[packing])


@contextmanager
def own_feeds(servers: Environment, database_url: str, feeds_url: str = "") -> Iterator[Feeds]:
    """Few shards, small feeds, nothing warm yet; positions of PostgreSQL are looked for in this database."""
    environment = replace(
        servers,
        redis_url=urlunsplit(urlsplit(servers.redis_url)._replace(path="/9")),
        feeds_url=feeds_url,
        read_database_url=database_url,
        feed_shards=SHARDS,
        feed_items_max=ITEMS_MAX,
        topic_partitions=PARTITIONS,
    )
    with asyncio.Runner() as runner:
        feeds = Feeds(environment, runner)
        feeds.redis.flushdb()
        feeds.fence()
        try:
            yield feeds
        finally:
            feeds.redis.flushdb()
            feeds.close()
