"""Where every projection stands, in PostgreSQL and in Redis, and what its sweeper has still to do."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import psycopg
import redis
from psycopg import sql

from projectors.catalogue import PROJECTIONS
from projectors.runtime.projection import PostgresProjection, RedisProjection
from projectors.runtime.stores.port import Partition
from projectors.runtime.stores.redis_window import position_keys
from shared.environment import Environment

Offsets = dict[Partition, int]


def in_postgres(connection: psycopg.Connection[Any]) -> dict[str, Offsets]:
    """Projection -> partition -> offset of the next record to apply."""
    return {
        projection.name: {
            Partition(topic, number): offset
            for topic, number, offset in connection.execute(
                sql.SQL("select topic, partition, next_offset from {}").format(
                    sql.Identifier(projection.name, "position")
                )
            )
        }
        for projection in PROJECTIONS
        if isinstance(projection, PostgresProjection)
    }


def in_redis(client: redis.Redis, environment: Environment) -> dict[str, Offsets]:
    """The same of the projections in Redis, each shard by itself."""
    found: dict[str, Offsets] = {}
    for projection in PROJECTIONS:
        keys = position_keys(projection, environment) if isinstance(projection, RedisProjection) else []
        for shard, key in enumerate(keys):
            stored = cast(dict[str, str], client.hgetall(key))
            found[f"{projection.name} (shard {shard})"] = {
                Partition(name.rpartition(":")[0], int(name.rpartition(":")[2])): int(value.partition(":")[0])
                for name, value in stored.items()
            }
    return found


def behind(stands: Mapping[str, Offsets], ends: Mapping[Partition, int]) -> Iterator[str]:
    """What has not reached the ends yet, for people."""
    read = {projection.name: projection.topics for projection in PROJECTIONS}
    for name, offsets in stands.items():
        for partition, end in ends.items():
            if partition.topic in read[name.partition(" ")[0]] and offsets.get(partition, 0) < end:
                yield f"{name} is at {offsets.get(partition, 0)} of {end} in {partition.topic}/{partition.number}"


def beyond(stands: Mapping[str, Offsets], ends: Mapping[Partition, int]) -> bool:
    """Whether anything has gone past the ends: the log has grown."""
    return any(offset > ends.get(partition, 0) for offsets in stands.values() for partition, offset in offsets.items())


def parked(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Projection -> how many records it has set aside, where it has some."""
    found = {}
    for projection in PROJECTIONS:
        query = sql.SQL("select count(*) from {}").format(sql.Identifier(projection.name, "parked"))
        row = connection.execute(query).fetchone()
        if row and row[0]:
            found[projection.name] = int(row[0])
    return found


def unswept(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """The erasures and deletions whose rows the sweeper has not all deleted yet, for people."""
    for projection in PROJECTIONS:
        if not isinstance(projection, PostgresProjection):
            continue
        for table in ("erased", *(("gone",) if "posts" in projection.topics else ())):
            query = sql.SQL("select count(*) from {} where done_at is null")
            row = connection.execute(query.format(sql.Identifier(projection.name, table))).fetchone()
            if row and row[0]:
                yield f"{projection.name}.{table} has {row[0]} entries to sweep"
