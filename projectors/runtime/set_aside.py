"""What a rebuild leaves out: the records that the live schema has parked, and those that a person has dropped.

A rebuilt schema has tables `parked` and `dropped` of its own, and leaves out what lies in them. It follows the live
schema's decisions: whatever lies there is entered here before the log is read that far (the live schema's positions are
read first, so that nothing below them is parked later). So both leave out the same records, and can be compared. Two
things may then make them differ, and both are seen to:

    taken back there   a retry went well, and what it changed is in the live rows: the record is tried here too
    refused here       a record that only this version's fold refuses is parked here alone, and what it changes in the
                       live rows is a difference that a comparison names

The order of a key's events does not matter here, as the newest event wins in whatever order they come: a record that is
parked here alone holds up nothing.
"""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg
from psycopg import Connection, RawCursor
from psycopg.rows import class_row

from projectors.runtime.parking_lot import COLUMNS, Aside, Parked, aside_ctes
from projectors.runtime.staging import SEGMENT
from projectors.runtime.stores.port import Partition
from schemas.codec import UnknownEventType
from schemas.registration import RegistryAway

# What reading and folding may raise that is of no record's own making, or may not be passed.
NOT_ITS_OWN_FAULT = (psycopg.OperationalError, RegistryAway, UnknownEventType)

_PARKED = f"{COLUMNS}, last_at, copied_at"
_DROPPED = (
    "topic, partition, record_offset, keys, event_type, event_id, subject_id, reason, parked_at, dropped_at,"
    " dropped_by, why"
)
_PLACE = "topic, partition, record_offset"


def follow(connection: Connection[Any], live: str, schema: str, of_segments: bool = False) -> None:
    """Enters what the live schema leaves out; `of_segments`: only what lies in the parts of the log to be loaded."""
    within = "true"
    if of_segments:
        within = f"""exists (select from {schema}.{SEGMENT} as g where g.topic = l.topic and g.partition = l.partition
                       and l.record_offset >= g.first_offset and l.record_offset < g.until_offset)"""
    for name, columns in (("parked", _PARKED), ("dropped", _DROPPED)):
        connection.execute(
            f"insert into {schema}.{name} ({columns}) select {columns} from {live}.{name} as l where {within}"
            " on conflict do nothing".encode()
        )
    forget_dropped(connection, schema)


def forget_dropped(connection: Connection[Any], schema: str) -> None:
    """What was dropped is parked no longer, and neither is what is of an erased person."""
    connection.execute(
        f"""delete from {schema}.parked as p
             where exists (select from {schema}.dropped as d where {_same("p", "d")})
                or exists (select from {schema}.erased as e where e.user_id = p.subject_id)""".encode()
    )


def forget(connection: Connection[Any], schema: str, places: Collection[tuple[str, int, int]]) -> None:
    """What lies at these places is parked no longer."""
    if places:
        connection.execute(
            f"""delete from {schema}.parked where (topic, partition, record_offset) in
                  (select * from unnest(%s::text[], %s::int[], %s::bigint[]))""".encode(),
            [list(column) for column in zip(*places, strict=True)],
        )


def place_of(record: Parked) -> tuple[str, int, int]:
    """Where a record lies in the log."""
    return record.topic, record.partition, record.record_offset


def left_out(connection: Connection[Any], schema: str, partition: Partition, first: int, until: int) -> frozenset[int]:
    """The offsets from `first` up to but not including `until` that are to be passed over."""
    where = "topic = %(topic)s and partition = %(number)s and record_offset >= %(first)s and record_offset < %(until)s"
    rows = connection.execute(
        f"select record_offset from {schema}.parked where {where}"
        f" union select record_offset from {schema}.dropped where {where}".encode(),
        {"topic": partition.topic, "number": partition.number, "first": first, "until": until},
    ).fetchall()
    return frozenset(offset for (offset,) in rows)


def park(connection: Connection[Any], schema: str, place: Partition, records: Sequence[Parked]) -> None:
    """Parks records by themselves, in a transaction of the caller's."""
    statement = f"with {aside_ctes(schema, '(select $1::text as topic, $2::int as partition)', 3, 4)} select 1"
    cursor = RawCursor(connection)
    cursor.execute(statement.encode(), (place.topic, place.number, *Aside(parked=records).parameters()))


def lying(connection: Connection[Any], schema: str) -> list[Parked]:
    """All that is parked, in the order of the log."""
    with connection.cursor(row_factory=class_row(Parked)) as cursor:
        return cursor.execute(f"select {COLUMNS} from {schema}.parked order by {_PLACE}".encode()).fetchall()


def places(connection: Connection[Any], schema: str) -> set[tuple[str, int, int]]:
    """Where the parked records lie in the log."""
    return set(connection.execute(f"select {_PLACE} from {schema}.parked".encode()).fetchall())


def take_along(connection: Connection[Any], live: str, incoming: str) -> None:
    """What else the live schema knows goes along with a swap: attempts, retries asked for, the breaker's state."""
    connection.execute(
        f"""update {incoming}.parked as p
               set state = l.state, cause = l.cause, reason = l.reason, attempts = l.attempts, first_at = l.first_at,
                   last_at = l.last_at, retry_at = l.retry_at, copied_at = l.copied_at
              from {live}.parked as l where {_same("p", "l")}""".encode()
    )
    connection.execute(
        f"""insert into {incoming}.breaker as b (one, stopped_at, why, resumed_at, resumed_by)
            select one, stopped_at, why, resumed_at, resumed_by from {live}.breaker
            on conflict (one) do update set stopped_at = excluded.stopped_at, why = excluded.why,
               resumed_at = excluded.resumed_at, resumed_by = excluded.resumed_by""".encode()
    )


def _same(one: str, other: str) -> str:
    return " and ".join(f"{one}.{column} = {other}.{column}" for column in ("topic", "partition", "record_offset"))
