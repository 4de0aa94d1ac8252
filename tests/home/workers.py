"""The projections' own stores on logs that a history fills, driven a batch at a time, with all that befalls workers.

Folds, statements, Redis functions, positions and fences are the real ones; only Kafka is a list of events a partition.
What a projector that dies leaves behind is made here: work done twice, a batch that some shards have and others not,
a former owner who goes on, items that are yet to be pushed.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import sql

from projectors.runtime.erasure import Sweeper
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.prepare import prepare
from projectors.runtime.projection import PostgresProjection, RedisProjection
from projectors.runtime.stores.port import Advance, Fence, Outcome, Partition
from projectors.runtime.stores.postgres import PostgresStore, connect
from projectors.runtime.stores.redis import PUSH_COST, RedisStore, load_functions, pack
from schemas.catalogue import event_schemas
from schemas.types import Event
from shared import feed_redis
from shared.environment import Environment
from shared.feed_store import FeedStore, shard_key
from shared.kafka import partition_of
from tests.properties.projections import POSTGRES_PROJECTIONS

IN_POSTGRES = tuple(POSTGRES_PROJECTIONS[name] for name in ("profiles", "graph", "posts", "counters"))
FEED = "feed"
BATCH_MAX = 12
AGAIN_MAX = 4  # records before the position that a restarted worker may bring again
PACKING = "set-max-listpack-entries"  # sets of a few members are handed out in several parts, as great ones are
THRESHOLDS = (1, 2, 3, 4, 100)
T = TypeVar("T")


class Workers:
    """One worker for each projection that a home feed is made of; `environment` names a database and Redis of its
    own."""

    def __init__(self, environment: Environment, runner: asyncio.Runner, feed: RedisProjection) -> None:
        self.environment = environment
        self.runner = runner
        self.dice = Random(0)
        self.feeds = FeedStore.open(environment)
        self.redis = feed_redis.connect(environment)
        self.did: Counter[str] = Counter()
        self.logs: dict[Partition, list[Event]] = {}
        self.push_cost = PUSH_COST
        self._feed = feed
        self._postgres = {each.name: self._new(each) for each in IN_POSTGRES}
        self._redis = self._new_feed()
        self._fences: dict[str, dict[Partition, Fence]] = {}
        self._next: dict[tuple[str, Partition], int] = {}
        self._connection = psycopg.connect(environment.read_database_url, autocommit=True)

    def make(self) -> None:
        """Tables and functions."""
        self.run(prepare(self.environment, [*IN_POSTGRES, self._feed]))

    def begin(self, dice: Random) -> None:
        """Nothing has happened yet."""
        self.dice = dice
        self.push_cost = self._redis.push_cost = 0
        self.logs = {
            Partition(topic, number): []
            for topic in sorted({*self._feed.topics, *(topic for each in IN_POSTGRES for topic in each.topics)})
            for number in range(self.environment.topic_partitions)
        }
        for each in IN_POSTGRES:
            tables = self._connection.execute("select tablename from pg_tables where schemaname = %s", [each.name])
            for (table,) in tables.fetchall():
                self._connection.execute(sql.SQL("delete from {}").format(sql.Identifier(each.name, table)))
        self.redis.flushdb()
        for each in IN_POSTGRES:
            self._fence(each.name)
        self._fence(FEED)

    def happened(self, events: Sequence[Event]) -> None:
        """These are in the log from now on; a relay may have appended some of them twice."""
        for event in events:
            schema = event_schemas()[type(event).__name__]
            number = partition_of(getattr(event, schema.partitioned_by), self.environment.topic_partitions)
            log = self.logs.get(Partition(schema.topic, number))
            if log is not None:
                log.append(event)
                if self.dice.random() < 0.03:
                    log.append(self.dice.choice(log[-8:]))

    # What may happen at any moment, each by itself

    def something(self) -> None:
        """One thing that workers do or that befalls them."""
        choice = self.dice.random()
        # Readers wait for PostgreSQL, which therefore is mostly ahead.
        name = self.dice.choice([*self._postgres, *self._postgres, FEED, FEED, FEED])
        shard = self.dice.randrange(self.environment.feed_shards)
        if choice < 0.64:
            self._advance(name)
        elif choice < 0.74:
            self.step(shard, self.dice.randint(1, 6))
        elif choice < 0.84:
            self.weigh()
        elif choice < 0.89:
            self.restart(name)
        elif choice < 0.93:
            self._die_among_shards()
        elif choice < 0.955:
            self._sweep(self.dice.choice(IN_POSTGRES))
        elif choice < 0.96:
            self.flush()
        elif choice < 0.975:
            self._fence(FEED)
        elif choice < 0.98:
            self.did["renewed"] += 1
            self.feeds.renew()
        else:
            self.push_cost = self._redis.push_cost = self.dice.choice([0, 0, PUSH_COST])

    def flush(self) -> None:
        """Redis loses everything; the projector does not know yet."""
        self.did["flushed"] += 1
        self.redis.flushdb()

    def weigh(self) -> None:
        """The threshold is another one from now on."""
        changed = self.run(self._redis.pushing.weigh(self.dice.choice(THRESHOLDS)))
        self.did.update(changed.values())

    def step(self, shard: int, allowed: int) -> int:
        """Walks a shard's audiences on; what it owes."""
        self.did["steps"] += 1
        return self.run(self._redis.pushing.step(shard, allowed))

    def restart(self, name: str) -> None:
        """Another worker takes over, and begins a little earlier; the one before finds itself fenced."""
        self.did["restarted"] += 1
        before, fences = self._store(name), self._fences[name]
        if name == FEED:
            self._redis = self._new_feed()
        else:
            self._postgres[name] = self._new(POSTGRES_PROJECTIONS[name])
        self._fence(name)
        partition = self.dice.choice(list(fences))
        first = self._next[name, partition]
        stale = Advance(partition, first, first + 1, fences[partition].epoch)
        events = self.logs[partition][first : first + 1]
        assert self.run(before.apply(stale, self._projection(name).fold(events))) is Outcome.REFUSED
        self.run(before.close())
        for partition in self._fences[name]:
            self._again(name, partition)

    def _again(self, name: str, partition: Partition) -> None:
        reached = self._next[name, partition]
        first = max(0, reached - self.dice.randint(0, AGAIN_MAX))
        if first < reached:
            assert self._apply(name, partition, first, reached) is Outcome.ALREADY

    def _die_among_shards(self) -> None:
        """A batch reaches some shards, and the worker dies; the next begins where the last of them stands."""
        partition = self.dice.choice([each for each in self.logs if each.topic in self._feed.topics])
        first = self._next[FEED, partition]
        events = self.logs[partition][first : first + self.dice.randint(1, BATCH_MAX)]
        owned = self._redis._owned.get(partition)
        if not events or owned is None:
            return
        self.did["died among shards"] += 1
        shards = self.environment.feed_shards
        packed = pack(self._feed.fold(events), shards)
        for shard in self.dice.sample(range(shards), self.dice.randrange(1, shards)):
            self.redis.fcall(
                "feed_apply", 1, shard_key(shard), f"{partition.topic}:{partition.number}", first, first + len(events),
                owned.epoch, owned.incarnations[shard], self.environment.feed_items_max, packed[shard],
                self.push_cost // shards,
            )  # fmt: skip
        self.restart(FEED)

    def _sweep(self, projection: PostgresProjection) -> None:
        """What the sweeper does with every entry there is; it may begin again at any time."""

        async def sweep() -> None:
            sweeper = Sweeper(projection, self.environment, LogEnds(self.environment))
            async with await connect(self.environment.read_database_url) as connection:
                for name in sweeper._sets:
                    subjects = list(await sweeper._entries(connection, name, "true"))
                    if subjects:
                        self.did["swept"] += 1
                        await sweeper._sweep(connection, name, subjects)

        self.run(sweep())

    # Until nothing is left to do

    def settle(self) -> None:
        """Everything in the log is applied everywhere, and swept. What is owed to audiences may still be owed."""
        for name in (*self._postgres, FEED):
            self._apply_rest(name)
        for projection in IN_POSTGRES:
            self._sweep(projection)

    def catch_up(self) -> None:
        """One of the projections in PostgreSQL applies all there is."""
        self._apply_rest(self.dice.choice(list(self._postgres)))

    def _apply_rest(self, name: str) -> None:
        while waiting := [each for each in self._fences[name] if self._next[name, each] < len(self.logs[each])]:
            self._advance(name, waiting[0])

    def owed(self) -> int:
        """How many authors' audiences are being walked, in all shards."""
        shards = range(self.environment.feed_shards)
        return sum(int(self.redis.llen(shard_key(shard, "queue"))) for shard in shards)

    def finish(self) -> None:
        """Walks until nothing is owed."""
        self.run(self._redis.pushing.finish())

    def in_use(self) -> None:
        """The projector has noticed a flush, if there was one."""
        if not all(self.redis.exists(shard_key(each, "incarnation")) for each in range(self.environment.feed_shards)):
            self._fence(FEED)
            self.settle()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def close(self) -> None:
        self.redis.flushdb()
        for name in (*self._postgres, FEED):
            self.run(self._store(name).close())
        self._connection.close()

    def load(self, feed: RedisProjection) -> None:
        """Makes the functions on the server this projection's."""
        self.run(load_functions(self._redis._client, feed.functions_lua))

    def _advance(self, name: str, partition: Partition | None = None) -> None:
        waiting = [each for each in self._fences[name] if self._next[name, each] < len(self.logs[each])]
        if partition is None and not waiting:
            return
        partition = partition or self.dice.choice(waiting)
        first = self._next[name, partition]
        most = BATCH_MAX if name == FEED else 3 * BATCH_MAX
        last = min(len(self.logs[partition]), first + self.dice.randint(1, most))
        outcome = self._apply(name, partition, first, last)
        if outcome is Outcome.REFUSED and name == FEED:
            self._fence(FEED)  # a flush; it begins anew where PostgreSQL is
        else:
            assert outcome in (Outcome.APPLIED, Outcome.ALREADY), (name, partition, first, last, outcome)
            self._next[name, partition] = last

    def _apply(self, name: str, partition: Partition, first: int, last: int) -> Outcome:
        step = Advance(partition, first, last, self._fences[name][partition].epoch)
        changes = self._projection(name).fold(self.logs[partition][first:last])
        return self.run(self._store(name).apply(step, changes))

    def _fence(self, name: str) -> None:
        partitions = [each for each in self.logs if each.topic in self._projection(name).topics]
        self._fences[name] = self.run(self._store(name).fence(partitions, _from_zero))
        for partition, fence in self._fences[name].items():
            self._next[name, partition] = fence.offset

    def _projection(self, name: str) -> Any:
        return self._feed if name == FEED else POSTGRES_PROJECTIONS[name]

    def _store(self, name: str) -> Any:
        return self._redis if name == FEED else self._postgres[name]

    def _new(self, projection: PostgresProjection) -> PostgresStore:
        return PostgresStore(projection, self.environment.read_database_url, "test")

    def _new_feed(self) -> RedisStore:
        store = RedisStore(self._feed, self.environment, "test", retry_seconds=1)
        store.push_cost = self.push_cost
        return store


@contextmanager
def unpacked_sets(workers: Workers) -> Iterator[None]:
    before = workers.redis.config_get(PACKING)
    if before:  # a server that packs no sets does not know it
        workers.redis.config_set(PACKING, 0)
    try:
        yield
    finally:
        if before:
            workers.redis.config_set(PACKING, before[PACKING])


async def _from_zero(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
    return dict.fromkeys(partitions, 0)


def readers_of(events: Sequence[Event]) -> list[UUID]:
    """Everybody who could read: people of the history, registered or not."""
    return sorted({event.subject_id for event in events})
