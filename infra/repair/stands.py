"""Where everything stands that follows the log, and how it is set back to a place that the log still has.

Newest wins makes it inert to apply records again, so that setting back is safe at any moment; a worker at work there
finds its next batch refused, ends, and begins anew at the new position.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, cast

import psycopg
import redis
from psycopg import sql

from infra.repair.comparison import Finding, Stand
from projectors.catalogue import PROJECTIONS
from projectors.runtime.projection import RedisProjection
from projectors.runtime.staging import SEGMENT
from projectors.runtime.stores.port import Partition
from projectors.runtime.stores.redis_window import position_keys
from shared.environment import Environment


def in_postgres(connection: psycopg.Connection[Any]) -> dict[Partition, list[Stand]]:
    """Of every schema that has positions, those of a rebuild and of a state before it among them."""
    found: dict[Partition, list[Stand]] = defaultdict(list)
    for schema in _schemas(connection, "position"):
        query = sql.SQL("select topic, partition, next_offset, last_event from {}")
        for topic, number, offset, last_event in connection.execute(query.format(sql.Identifier(schema, "position"))):
            found[Partition(topic, number)].append(Stand(schema, offset, last_event))
    return found


def in_redis(client: redis.Redis, environment: Environment) -> dict[Partition, list[Stand]]:
    """Of every shard; `store` is the key of its positions. Redis keeps no last event."""
    found: dict[Partition, list[Stand]] = defaultdict(list)
    in_redis = (projection for projection in PROJECTIONS if isinstance(projection, RedisProjection))
    for key in (key for projection in in_redis for key in position_keys(projection, environment)):
        stored = cast(dict[str, str], client.hgetall(key))
        for name, value in stored.items():
            topic, _, number = name.rpartition(":")
            found[Partition(topic, int(number))].append(Stand(key, int(value.partition(":")[0])))
    return found


def set_back_in_postgres(connection: psycopg.Connection[Any], findings: Sequence[Finding]) -> int:
    """Sets back every position that is beyond what the log has in common with it; answers how many."""
    count = 0
    with connection.transaction():
        for finding in findings:
            for stand in finding.ahead:
                if stand.store.startswith("{"):
                    continue
                count += connection.execute(
                    sql.SQL(
                        "update {} set next_offset = %s, last_event = %s, leader_epoch = null"
                        " where topic = %s and partition = %s and next_offset > %s"
                    ).format(sql.Identifier(stand.store, "position")),
                    (finding.common, finding.last_common, *finding.partition, finding.common),
                ).rowcount
        for schema in _schemas(connection, SEGMENT):
            count += _forget_staged(connection, schema, findings)
        # A sweep waits for the log's ends of its moment, which the log may never reach: it notes them anew.
        for name in ("erased", "gone"):
            for schema in _schemas(connection, name):
                unfinished = sql.SQL("update {} set log_ends = null where done_at is null")
                connection.execute(unfinished.format(sql.Identifier(schema, name)))
    return count


def _forget_staged(connection: psycopg.Connection[Any], schema: str, findings: Iterable[Finding]) -> int:
    """An unfinished rebuild that was to read beyond what the log has in common, and may have, is made anew: it is taken
    for whole as long as it has segments. Answers whether this is one."""
    beyond = sql.SQL("select 1 from {} where topic = %s and partition = %s and until_offset > %s").format(
        sql.Identifier(schema, SEGMENT)
    )
    for finding in findings:
        if connection.execute(beyond, (*finding.partition, finding.common)).fetchone() is not None:
            connection.execute(sql.SQL("truncate {}").format(sql.Identifier(schema, SEGMENT)))
            return 1
    return 0


def set_back_in_redis(client: redis.Redis, findings: Iterable[Finding]) -> int:
    """Makes the shards concerned begin anew, with every feed cold, as after a flush; answers how many.

    After PostgreSQL's: a shard begins at the positions found there.
    """
    keys = {stand.store for finding in findings for stand in finding.ahead if stand.store.startswith("{")}
    for key in keys:
        client.delete(key, key.replace("position", "incarnation"))
    return len(keys)


def _schemas(connection: psycopg.Connection[Any], table: str) -> list[str]:
    """The schemas of projections, live or not, with a table of this name."""
    column = "next_offset" if table in ("position", SEGMENT) else "log_ends"
    rows = connection.execute(
        "select table_schema from information_schema.columns where table_name = %s and column_name = %s order by 1",
        (table, column),
    )
    return [schema for (schema,) in rows]
