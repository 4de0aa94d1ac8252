"""A projection's store in Redis: each shard moves its sets and its position in one function call, for one owner only.

Shards are hash-tagged by reader (shared/feed_store.py) and each keeps its own positions: one batch is one call per
shard, all sent together. A shard that is ahead of the others (their calls were lost) takes a step it has made already
as inert. A shard that was flushed refuses every step; the next fence begins it anew at PostgreSQL's positions, with
every feed cold. What a step leaves to be pushed, stores/feed_pushing.py walks on.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
import psycopg
from redis import exceptions as redis_errors

from projectors.feed.fold import FeedChanges
from projectors.runtime.projection import RedisProjection
from projectors.runtime.retrying import retrying
from projectors.runtime.stores.feed_pushing import Pushing
from projectors.runtime.stores.port import Advance, Beginning, Fence, Outcome, Partition, Unstorable
from shared import feed_redis
from shared.environment import Environment
from shared.feed_item import FeedItem
from shared.feed_store import shard_key, shard_of

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 15.0  # a call waits for those before it; one huge batch takes hundreds of milliseconds
PUSH_COST = 6_000  # microseconds that a batch's calls may push for, all shards together; what is more, is walked

# Where a shard that begins anew starts: at the projection in PostgreSQL that readers wait for, or one like it.
STARTS_AT = {
    "posts": "posts",
    "moderation": "posts",
    "engagement": "counters",
    "graph": "graph",
    "accounts": "profiles",
}

# Lost connections, and a server that is still loading its data or not yet the primary.
TRANSIENT = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.BusyLoadingError,
    redis_errors.TryAgainError,
    redis_errors.ReadOnlyError,
    redis_errors.ClusterError,
    redis_errors.RedisClusterException,
    psycopg.OperationalError,
    OSError,
)

Answer = TypeVar("Answer")


class EvictionIsOn(RuntimeError):
    """The server may drop keys when its memory is full, and a feed that lost some would show a gap."""


@dataclass(frozen=True, slots=True)
class _Owned:
    """What an owner must show for a partition: the epoch it was fenced under, and each shard's incarnation then."""

    epoch: int
    incarnations: tuple[str, ...]


async def open_store(projection: RedisProjection, environment: Environment, owner: str) -> "RedisStore":
    """The store of a projection's shards; it connects when first needed."""
    return RedisStore(projection, environment, owner, in_background=True)


async def load_functions(client: Any, functions_lua: Path) -> None:
    """Makes the library on the server this file's, whatever version was there."""
    code = await asyncio.to_thread(functions_lua.read_text)
    await client.function_load(code, replace=True)


class RedisStore:
    """Fulfils runtime/stores/port.py `Store` over `environment.feed_shards` shards."""

    def __init__(
        self,
        projection: RedisProjection,
        environment: Environment,
        owner: str,
        retry_seconds: float = math.inf,
        in_background: bool = False,
    ) -> None:
        """`in_background`: whoever fences also walks audiences on from then, until the store is closed."""
        self.projection = projection
        self._environment = environment
        self._retry_seconds = retry_seconds
        self._shards = environment.feed_shards
        self._owned: dict[Partition, _Owned] = {}
        self._client = feed_redis.connect_async(
            environment,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            client_name=f"rookery-projector-{owner}".replace(" ", "-"),
        )
        self.push_cost = PUSH_COST
        self._in_background = in_background
        self.pushing = Pushing(self._client, environment, self._retrying)

    async def fence(self, partitions: Sequence[Partition], beginning: Beginning) -> dict[Partition, Fence]:
        async def attempt() -> dict[Partition, Fence]:
            await self._assert_eviction_off()
            await load_functions(self._client, self.projection.functions_lua)
            return await self._fence(partitions, await self._starts(beginning))

        fences = await self._retrying("fence", attempt)
        if self._in_background:
            self.pushing.start()
        return fences

    async def apply(self, advance: Advance, changes: FeedChanges) -> Outcome:
        owned = self._owned.get(advance.partition)
        if owned is None or owned.epoch != advance.epoch:
            return Outcome.REFUSED
        step = (_field(advance.partition), advance.previous, advance.next, advance.epoch)
        try:
            packed = pack(changes, self._shards)
        except (TypeError, ValueError, AttributeError) as error:
            raise Unstorable from error

        async def attempt() -> Outcome:
            async with self._client.pipeline(transaction=False) as pipeline:
                for shard, incarnation in enumerate(owned.incarnations):
                    key = shard_key(shard)
                    pipeline.execute_command(
                        "FCALL", "feed_apply", 1, key, *step, incarnation,
                        self._environment.feed_items_max, packed[shard], self.push_cost // self._shards,
                        **feed_redis.on_shard(self._client, key),
                    )  # fmt: skip
                answers = await pipeline.execute()
            owed.update(enumerate(int(items) for _, items in answers))
            outcomes = {outcome for outcome, _ in answers}
            if "refused" in outcomes:
                return Outcome.REFUSED
            return Outcome.APPLIED if "applied" in outcomes else Outcome.ALREADY

        owed: dict[int, int] = {}
        outcome = await self._retrying("apply", attempt)
        await self.pushing.note(owed)
        return outcome

    async def positions(self) -> dict[Partition, Fence]:
        self.pushing.raise_what_ended()
        async with self._client.pipeline(transaction=False) as pipeline:
            for shard in range(self._shards):
                pipeline.hgetall(shard_key(shard))
            found = await pipeline.execute()
        # A partition that some shard does not know is left out: that shard was flushed and must be fenced anew.
        known = set.intersection(*(set(positions) for positions in found))
        return {_partition(name): _least([positions[name] for positions in found]) for name in known}

    async def close(self) -> None:
        await self.pushing.stop()
        await self._client.aclose()

    async def _fence(self, partitions: Sequence[Partition], starts: Mapping[str, int]) -> dict[Partition, Fence]:
        """Raises the epoch to one above the greatest of all shards; anew if another owner was faster on one."""
        packed = msgspec.msgpack.encode({"starts": starts, "fenced": [_field(partition) for partition in partitions]})
        epoch = 1 + max((fence.epoch for fence in (await self._every_position()).values()), default=0)
        shard, incarnations, offsets = 0, [""] * self._shards, defaultdict[str, list[int]](list)
        while shard < self._shards:
            first, answer = await self._client.fcall("feed_fence", 1, shard_key(shard), uuid4().hex, epoch, packed)
            if first == "behind":
                epoch, shard = int(answer) + 1, 0
                offsets.clear()
                continue
            incarnations[shard] = first
            for field, offset in zip(answer[::2], answer[1::2], strict=True):
                offsets[field].append(int(offset))
            shard += 1
        self._owned.update((partition, _Owned(epoch, tuple(incarnations))) for partition in partitions)
        return {_partition(field): Fence(min(each), epoch) for field, each in offsets.items()}

    async def _every_position(self) -> dict[tuple[int, str], Fence]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for shard in range(self._shards):
                pipeline.hgetall(shard_key(shard))
            found = await pipeline.execute()
        return {
            (shard, name): _least([value]) for shard, positions in enumerate(found) for name, value in positions.items()
        }

    async def _starts(self, beginning: Beginning) -> dict[str, int]:
        """Where each partition begins on a shard that has nothing: all of them, not only the caller's."""
        every = [
            Partition(topic, number)
            for topic in self.projection.topics
            for number in range(self._environment.topic_partitions)
        ]
        reached = await self._reached_in_postgres()
        unknown = [partition for partition in every if partition not in reached]
        first = await beginning(unknown) if unknown else {}
        return {_field(partition): reached.get(partition, first.get(partition, 0)) for partition in every}

    async def _reached_in_postgres(self) -> dict[Partition, int]:
        found: dict[Partition, int] = {}
        connection = await psycopg.AsyncConnection.connect(
            self._environment.read_database_url, autocommit=True, connect_timeout=int(CONNECT_SECONDS)
        )
        async with connection:
            for topic in self.projection.topics:
                table = f"{STARTS_AT[topic]}.position"
                exists = await (await connection.execute("select to_regclass(%s) is not null", [table])).fetchone()
                if exists is None or not exists[0]:
                    continue
                query = f"select partition, next_offset from {table} where topic = %s".encode()
                cursor = await connection.execute(query, [topic])
                found.update({Partition(topic, number): offset for number, offset in await cursor.fetchall()})
        return found

    async def _assert_eviction_off(self) -> None:
        found = await self._client.info("memory")
        for memory in [found] if "maxmemory" in found else found.values():
            policy = memory.get("maxmemory_policy")
            if int(memory.get("maxmemory", 0)) and policy != "noeviction":
                raise EvictionIsOn(f"set maxmemory-policy to noeviction on this Redis, not {policy}")

    async def _retrying(self, what: str, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        async def with_functions() -> Answer:
            try:
                return await attempt()
            except redis_errors.ResponseError as error:
                if "Function not found" not in str(error):
                    raise
            # A server that lost its data lost its functions too.
            await load_functions(self._client, self.projection.functions_lua)
            return await attempt()

        return await retrying(f"{self.projection.name}.{what}", with_functions, TRANSIENT, self._retry_seconds)


def pack(changes: FeedChanges, shards: int) -> list[bytes]:
    """The changes as feed_apply takes them, one for each shard: every author, but only the shard's own readers."""
    pushed, removed = _by_author(changes.pushed), _by_author(changes.removed)
    erased = [person.hex for person in changes.erased]
    cooled: list[list[str]] = [[] for _ in range(shards)]
    left: list[list[str]] = [[] for _ in range(shards)]
    for reader in changes.cooled:
        cooled[shard_of(reader, shards)].append(reader.hex)
    for reader, author in changes.left:
        left[shard_of(reader, shards)] += (reader.hex, author.hex)
    encode = msgspec.msgpack.Encoder().encode
    return [
        encode({"push": pushed, "remove": removed, "cool": cooled[shard], "leave": left[shard], "erase": erased})
        for shard in range(shards)
    ]


def _by_author(items: Mapping[UUID, set[FeedItem]]) -> dict[str, list[str]]:
    return {author.hex: [item.member for item in each] for author, each in items.items()}


def _field(partition: Partition) -> str:
    return f"{partition.topic}:{partition.number}"


def _partition(field: str) -> Partition:
    topic, _, number = field.rpartition(":")
    return Partition(topic, int(number))


def _least(values: Sequence[str]) -> Fence:
    """Of "offset:epoch" values the least offset and the greatest epoch."""
    pairs = [tuple(map(int, value.split(":"))) for value in values]
    return Fence(min(offset for offset, _ in pairs), max(epoch for _, epoch in pairs))
