"""A Redis store of one shard that keeps the last hours, and reads them again from the log after a flush.

Data and position move in one function call, for one owner only, as in stores/redis.py. The next fence after a flush
begins anew where the log was so many hours ago, and notes up to where that only makes good what was lost.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import msgspec
from confluent_kafka import KafkaException

from projectors.runtime.log_ends import LogEnds
from projectors.runtime.projection import RedisProjection
from projectors.runtime.stores.port import Advance, Beginning, Fence, Outcome, Partition, Unstorable
from projectors.runtime.stores.redis import RedisStore, load_functions
from shared import feed_redis
from shared.environment import Environment
from shared.feed_store import shard_key


def position_keys(projection: RedisProjection, environment: Environment) -> list[str]:
    """The key of the positions of each of a projection's shards."""
    if projection.one_shard:
        return [f"{{{projection.one_shard}}}:position"]
    return [shard_key(shard) for shard in range(environment.feed_shards)]


def redis_store(
    projection: RedisProjection, environment: Environment, owner: str, retry_seconds: float
) -> "RedisStore":
    """The store of a projection in Redis, by its kind; it connects when first needed."""
    kind = WindowStore if projection.one_shard else RedisStore
    return kind(projection, environment, owner, retry_seconds)


async def open_store(projection: RedisProjection, environment: Environment, owner: str) -> "WindowStore":
    """The store of a projection of one shard; it connects when first needed."""
    return WindowStore(projection, environment, owner)


class WindowStore(RedisStore):
    """Fulfils runtime/stores/port.py `Store` over one shard."""

    def __init__(
        self, projection: RedisProjection, environment: Environment, owner: str, retry_seconds: float = math.inf
    ) -> None:
        super().__init__(projection, environment, owner, retry_seconds)
        self._key = position_keys(projection, environment)[0]
        self._incarnations: dict[tuple[Partition, int], str] = {}  # under which a partition was fenced with an epoch

    async def fence(self, partitions: Sequence[Partition], beginning: Beginning) -> dict[Partition, Fence]:
        async def attempt() -> dict[Partition, Fence]:
            await self._assert_eviction_off()
            await load_functions(self._client, self.projection.functions_lua)
            starts, until = await self._window(beginning)
            return await self._own(partitions, starts, until)

        return await self._retrying("fence", attempt)

    async def apply(self, advance: Advance, changes: Any) -> Outcome:
        incarnation = self._incarnations.get((advance.partition, advance.epoch))
        if incarnation is None:
            return Outcome.REFUSED
        assert self.projection.pack is not None
        try:
            packed = self.projection.pack(changes)
        except (TypeError, ValueError, AttributeError) as error:
            raise Unstorable from error
        step = (_field(advance.partition), advance.previous, advance.next, advance.epoch, incarnation, packed)

        async def attempt() -> Outcome:
            return Outcome(await self._call("apply", *step))

        return await self._retrying("apply", attempt)

    async def positions(self) -> dict[Partition, Fence]:
        return {_partition(name): _fence_of(value) for name, value in (await self._client.hgetall(self._key)).items()}

    async def _own(
        self, partitions: Sequence[Partition], starts: Mapping[str, int], until: Mapping[str, int]
    ) -> dict[Partition, Fence]:
        """Raises the epoch to one above the greatest there is; anew if another owner was faster."""
        fenced = [_field(partition) for partition in partitions]
        packed = msgspec.msgpack.encode({"starts": starts, "until": until, "fenced": fenced})
        epoch = 1 + max((fence.epoch for fence in (await self.positions()).values()), default=0)
        while True:
            first, answer = await self._call("fence", uuid4().hex, epoch, packed)
            if first != "behind":
                break
            epoch = int(answer) + 1
        self._incarnations.update(((partition, epoch), first) for partition in partitions)
        return {
            _partition(field): Fence(int(offset), epoch)
            for field, offset in zip(answer[::2], answer[1::2], strict=True)
        }

    async def _call(self, name: str, *arguments: Any) -> Any:
        there = feed_redis.on_shard(self._client, self._key)
        function = f"{self.projection.name}_{name}"
        return await self._client.execute_command("FCALL", function, 1, self._key, *arguments, **there)

    async def _window(self, beginning: Beginning) -> tuple[dict[str, int], dict[str, int]]:
        """Where each partition begins where there is nothing, all of them, not only the caller's; and up to where it
        then only makes good what was lost: where PostgreSQL is."""
        every = [
            Partition(topic, number)
            for topic in self.projection.topics
            for number in range(self._environment.topic_partitions)
        ]
        starts = {_field(each): offset for each, offset in (await self._lately(every, beginning)).items()}
        reached = {_field(each): offset for each, offset in (await self._reached_in_postgres()).items()}
        return starts, {field: offset for field, offset in reached.items() if offset > starts.get(field, offset)}

    async def _lately(self, every: Sequence[Partition], beginning: Beginning) -> dict[Partition, int]:
        """The first record of the last hours, or of all where the projection needs the whole of a topic."""
        windowed = [partition for partition in every if partition.topic not in self.projection.whole_topics]
        since = time.time() - self.projection.log_hours * 3_600
        try:
            late = await asyncio.to_thread(LogEnds(self._environment).since, windowed, int(since * 1_000))
        except KafkaException as error:
            raise ConnectionError(f"Kafka did not say where the last hours begin: {error}") from error
        return {**await beginning(every), **late}


def _field(partition: Partition) -> str:
    return f"{partition.topic}:{partition.number}"


def _partition(field: str) -> Partition:
    topic, _, number = field.rpartition(":")
    return Partition(topic, int(number))


def _fence_of(value: str) -> Fence:
    offset, _, epoch = value.partition(":")
    return Fence(int(offset), int(epoch))
