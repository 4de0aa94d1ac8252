"""The outbox's hours: there is always room for what comes, and an hour goes only when all of it is in the log.

Partitions are ranges of event ids, which begin with their time. What has no hour (commands of the past loaded in bulk,
ids of a clock far ahead, anything while nobody makes partitions) lies in the default partition, so that a write never
fails for want of one. A partition made later takes over what waits there for it.

Every function works in a transaction of its own and may be repeated, or run by two at once.
"""

from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, sql

HOUR_MILLISECONDS = 3_600_000
HOURS_AHEAD = 3
REST = "outbox_rest"
PREFIX = "outbox_h"
CLEARED = "bytes cleared"
# Writers queue behind a lock that waits: rather give up and come back than hold them up.
LOCK_MILLISECONDS = 200
ROWS_AT_ONCE = 5_000
# Every row is updated once, when it is acknowledged: its first version should not stay for long.
STORAGE = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0"
# Makes two of these wait for one another; among the relays' locks of this database.
LOCK_CLASS = 7_402


class Hour(NamedTuple):
    """One partition: `number` counts hours since 1970; `is_cleared` once no row of it has bytes any more."""

    number: int
    is_cleared: bool

    @property
    def table(self) -> sql.Identifier:
        return sql.Identifier(f"{PREFIX}{self.number}")


def first_id(hour: int) -> UUID:
    """The least id that a UUIDv7 of this hour may have."""
    return UUID(int=hour * HOUR_MILLISECONDS << 80)


def hour_of(micros: int) -> int:
    return micros // 1000 // HOUR_MILLISECONDS


def hours(connection: Connection[Any]) -> list[Hour]:
    """The partitions that are there, oldest first."""
    rows = connection.execute(
        "SELECT relname, obj_description(pg_class.oid, 'pg_class') FROM pg_inherits JOIN pg_class ON oid = inhrelid"
        " WHERE inhparent = 'outbox'::regclass AND relname <> %s",
        (REST,),
    ).fetchall()
    return sorted(Hour(int(name.removeprefix(PREFIX)), note == CLEARED) for name, note in rows)


def missing(connection: Connection[Any], now: int) -> list[Hour]:
    """This hour and the next ones, as far as they have no partition yet. `now` in microseconds since 1970."""
    there = {hour.number for hour in hours(connection)}
    wanted = range(hour_of(now), hour_of(now) + HOURS_AHEAD + 1)
    return [Hour(number, False) for number in wanted if number not in there]


def create_ahead(connection: Connection[Any], now: int) -> int:
    """Makes what is missing and answers how many. Raises LockNotAvailable when the default partition is too busy."""
    created = missing(connection, now)
    for hour in created:
        _create(connection, hour)
    return len(created)


def droppable(connection: Connection[Any], before: int) -> list[Hour]:
    """The hours that ended before this moment (microseconds) and hold nothing that is not in the log."""
    return [hour for hour in hours(connection) if hour.number < hour_of(before) and _all_acked(connection, hour)]


def drop(connection: Connection[Any], hour: Hour) -> bool:
    """Drops the hour if all of it is still in the log. Raises LockNotAvailable when writers are too busy."""
    with connection.transaction():
        _lock(connection)
        connection.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
        if hour.number not in {one.number for one in hours(connection)} or not _all_acked(connection, hour):
            return False
        connection.execute(sql.SQL("DROP TABLE {}").format(hour.table))
    return True


def clearable(connection: Connection[Any], before: int) -> list[Hour]:
    """The hours that ended before this moment (microseconds) and may still hold bytes."""
    return [hour for hour in hours(connection) if hour.number < hour_of(before) and not hour.is_cleared]


def clear(connection: Connection[Any], hour: Hour) -> int:
    """Takes the bytes from what the log acknowledged, some rows at a time; answers from how many."""
    cleared = 0
    statement = sql.SQL(
        "UPDATE {table} SET key = NULL, value = NULL WHERE ctid = ANY(ARRAY("
        "SELECT ctid FROM {table} WHERE acked_at IS NOT NULL AND value IS NOT NULL LIMIT %s))"
    ).format(table=hour.table)
    while rows := connection.execute(statement, (ROWS_AT_ONCE,)).rowcount:
        cleared += rows
    if _all_acked(connection, hour):
        connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(hour.table, sql.Literal(CLEARED)))
    if cleared:
        connection.execute(sql.SQL("VACUUM {}").format(hour.table))
    return cleared


def _create(connection: Connection[Any], hour: Hour) -> None:
    first, end = first_id(hour.number), first_id(hour.number + 1)
    with connection.transaction():
        _lock(connection)
        if hour.number in {one.number for one in hours(connection)}:
            return
        # Attaching looks through the default partition; nobody may write there in between.
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(REST)))
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE outbox INCLUDING ALL) WITH ({})").format(hour.table, sql.SQL(STORAGE))
        )
        connection.execute(
            sql.SQL(
                "WITH moved AS (DELETE FROM {} WHERE event_id >= %s AND event_id < %s RETURNING *)"
                " INSERT INTO {} SELECT * FROM moved"
            ).format(sql.Identifier(REST), hour.table),
            (first, end),
        )
        connection.execute(
            sql.SQL("ALTER TABLE outbox ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                hour.table, sql.Literal(str(first)), sql.Literal(str(end))
            )
        )


def _all_acked(connection: Connection[Any], hour: Hour) -> bool:
    found = connection.execute(sql.SQL("SELECT FROM {} WHERE acked_at IS NULL LIMIT 1").format(hour.table))
    return found.fetchone() is None


def _lock(connection: Connection[Any]) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (LOCK_CLASS,))
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_MILLISECONDS}ms")))
