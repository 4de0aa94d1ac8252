"""Asks the stores, the log and the consumer groups where every projection stands, and changes nothing.

Positions are read before the log's ends, so that nobody looks to be ahead who is not. One source that does not answer
is told as a trouble and leaves the other projections' figures alone. The read database is asked under the role that
can only SELECT.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import redis
from confluent_kafka import KafkaException

from projectors.runtime.append_times import AppendTimes, Place
from projectors.runtime.groups import Group, Groups
from projectors.runtime.lag_figures import History, Observation, Report, figures, summary
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.projection import PostgresProjection, Projection, RedisProjection
from projectors.runtime.stores.port import Partition
from projectors.runtime.stores.redis_window import redis_store
from shared.environment import Environment

ANSWER_SECONDS = 5.0
SESSION_OPTIONS = "-c jit=off -c default_transaction_read_only=on -c statement_timeout=5000"

# By the database's own clock, so that its and ours may differ.
POSITIONS_SQL = """
select '{schema}', topic, partition, next_offset, epoch, owner,
       greatest(0, extract(epoch from clock_timestamp() - advanced_at))::float8
  from {schema}.position"""
PARKED_SQL = "select '{schema}', topic, partition, count(*) from {schema}.parked group by topic, partition"
TABLES_SQL = """
select name, to_regclass(name || '.position') is not null, to_regclass(name || '.parked') is not null
  from unnest(%s::text[]) as s (name)"""


@dataclass(frozen=True)
class Standing:
    """A position as its store tells it. `advanced_ago` in seconds."""

    offset: int
    epoch: int
    owner: str | None = None
    advanced_ago: float | None = None


Standings = dict[str, dict[Partition, Standing]]
Parked = dict[tuple[str, Partition], int]


class LagObserver:
    """Looks again and again over the same connections. Used as `async with`; `look` not twice at once."""

    def __init__(self, environment: Environment, projections: Sequence[Projection]) -> None:
        self._environment = environment
        self._projections = projections
        self._ends = LogEnds(environment, ANSWER_SECONDS)
        self._groups = Groups(environment, ANSWER_SECONDS)
        self._times = AppendTimes(environment)
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._redis: dict[str, Any] = {}
        self._partitions: list[Partition] = []
        self._parked: Parked | None = None  # None while PostgreSQL does not answer
        self._histories: dict[str, dict[Partition, History]] = defaultdict(lambda: defaultdict(History))

    async def __aenter__(self) -> "LagObserver":
        for projection in self._projections:
            if isinstance(projection, RedisProjection):
                self._redis[projection.name] = redis_store(projection, self._environment, "lag", retry_seconds=0.5)
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self._redis.values():
            await store.close()
        await self._disconnect()
        await asyncio.to_thread(self._times.close)

    async def look(self) -> Report:
        """Every figure of every projection, now. Rates need a second look."""
        troubles: list[str] = []
        standings = await self._standings(troubles)
        try:
            ends, groups, beginnings = await asyncio.to_thread(self._ask_broker, standings)
        except (KafkaException, TimeoutError, LookupError) as error:
            troubles.append(f"Kafka: {_first_line(error)}")
            ends, groups, beginnings = {}, {}, {}
        now = time.time()
        places = {
            Place(partition, standing.offset)
            for found in standings.values()
            for partition, standing in found.items()
            if standing.offset < ends.get(partition, 0)
        } | {Place(partition, first) for partition, first in beginnings.items() if first < ends[partition]}
        times = await asyncio.to_thread(self._times.of, places)
        reports = []
        for projection in self._projections:
            group = groups.get(projection.name)
            found = standings.get(projection.name)
            if group is None or found is None:
                reports.append(summary(projection.name, (), None if group is None else group.members))
                continue
            seen = self._observations(projection, found, group, ends, beginnings, times, now)
            reports.append(summary(projection.name, self._figures(seen, now), group.members))
        return Report(now, self._environment.lag_stalled_seconds, tuple(reports), tuple(troubles))

    def _ask_broker(self, standings: Standings) -> tuple[dict[Partition, int], dict[str, Group], dict[Partition, int]]:
        if not self._partitions:
            topics = sorted({topic for projection in self._projections for topic in projection.topics})
            self._partitions = self._ends.partitions(topics)
        ends = self._ends.ends(self._partitions)
        fresh = {
            partition
            for projection in self._projections
            for partition in self._partitions
            if partition.topic in projection.topics and partition not in standings.get(projection.name, {})
        }
        return ends, self._groups.of(self._projections), self._ends.beginnings(fresh)

    def _observations(
        self,
        projection: Projection,
        found: Mapping[Partition, Standing],
        group: Group,
        ends: Mapping[Partition, int],
        beginnings: Mapping[Partition, int],
        times: Mapping[Place, float | None],
        now: float,
    ) -> list[Observation]:
        seen = []
        for partition in self._partitions:
            if partition.topic not in projection.topics:
                continue
            # A partition without a position will be read from its first record.
            standing = found.get(partition) or Standing(beginnings.get(partition, 0), epoch=0)
            place = Place(partition, standing.offset)
            ago = standing.advanced_ago
            seen.append(
                Observation(
                    projection=projection.name,
                    partition=partition,
                    position=standing.offset,
                    end=ends[partition],
                    epoch=standing.epoch,
                    owner=standing.owner,
                    advanced_at=None if ago is None else now - ago,
                    parked=None if self._parked is None else self._parked.get((projection.name, partition), 0),
                    committed=group.committed.get(partition),
                    worker=partition in group.held or (group.rebalancing and group.members > 0),
                    appended_at=times.get(place),
                    nothing_left=place in times and times[place] is None,
                )
            )
        return seen

    def _figures(self, seen: Sequence[Observation], now: float) -> list[Any]:
        histories = self._histories[seen[0].projection] if seen else {}
        for each in seen:
            histories[each.partition].add(now, each.position, each.end)
        moved = max((h.moved_at for h in histories.values() if h.moved_at is not None), default=None)
        stalled = self._environment.lag_stalled_seconds
        return [figures(each, histories[each.partition], now, stalled, moved) for each in seen]

    async def _standings(self, troubles: list[str]) -> Standings:
        found: Standings = {}
        # Also those of projections whose rows are elsewhere: parked records always lie in PostgreSQL.
        try:
            in_postgres, self._parked = await asyncio.wait_for(self._in_postgres(), ANSWER_SECONDS)
            found |= in_postgres
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self._disconnect()
            self._parked = None
            troubles.append(f"PostgreSQL: {_first_line(error)}")
        for projection in self._projections:
            if not isinstance(projection, RedisProjection):
                continue
            try:
                fences = await asyncio.wait_for(self._redis[projection.name].positions(), ANSWER_SECONDS)
            except (redis.RedisError, OSError, TimeoutError) as error:
                troubles.append(f"Redis: {_first_line(error)}")
                continue
            found[projection.name] = {
                partition: Standing(each.offset, each.epoch) for partition, each in fences.items()
            }
        return found

    async def _in_postgres(self) -> tuple[Standings, Parked]:
        names = [each.name for each in self._projections]
        with_rows = {each.name for each in self._projections if isinstance(each, PostgresProjection)}
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._environment.query_database_url,
                autocommit=True,
                connect_timeout=int(ANSWER_SECONDS),
                options=SESSION_OPTIONS,
                application_name="rookery-lag",
            )
        connection = self._connection

        async def rows(statement: str) -> list[Any]:
            return await (await connection.execute(statement.encode())).fetchall()

        tables = await (await connection.execute(TABLES_SQL.encode(), [names])).fetchall()
        # What was not prepared has never started.
        stored = [name for name, has_position, _ in tables if has_position and name in with_rows]
        parking = [name for name, _, parks in tables if parks]
        parked: Parked = {}
        if parking:
            for name, topic, number, count in await rows(_union(PARKED_SQL, parking)):
                parked[name, Partition(topic, number)] = count
        found: Standings = {name: {} for name in with_rows}
        for name, topic, number, offset, epoch, owner, ago in (
            await rows(_union(POSITIONS_SQL, stored)) if stored else ()
        ):
            found[name][Partition(topic, number)] = Standing(offset, epoch, owner, ago)
        return found, parked

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def _union(statement: str, schemas: Sequence[str]) -> str:
    return " union all ".join(statement.format(schema=schema) for schema in schemas)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]
