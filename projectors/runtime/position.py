"""A projection's position in PostgreSQL: one row per partition, moved by compare-and-set, owned by the newest epoch.

`fence` raises the epoch of all partitions given, durably, in one transaction with a short lock timeout: it waits for a
statement of the former owner that is under way, and makes every later one find another epoch. The sets `erased` and
`gone` live beside it; an entry also carries how far the sweeper (runtime/erasure.py) is with it, and once done it is
the receipt.
"""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from projectors.runtime.parking_lot import parking_ddl
from projectors.runtime.stores.port import Advance, Beginning, Fence, Outcome, Partition

FENCE_LOCK_TIMEOUT_SECONDS = 5


def position_ddl(schema: str, with_gone: bool) -> str:
    """The tables that every projection's schema has."""
    sets = [_set_ddl(schema, "erased", "user_id")]
    if with_gone:
        sets.append(_set_ddl(schema, "gone", "post_id"))
    return f"""
create table if not exists {schema}.position (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  epoch bigint not null,
  owner text not null,
  last_event uuid, -- of the record before next_offset; whoever moves next_offset by hand sets it to null
  leader_epoch integer,
  advanced_at timestamptz not null default clock_timestamp(),
  primary key (topic, partition)
) with (fillfactor = 50);
""" + "".join([*sets, parking_ddl(schema)])


def _set_ddl(schema: str, name: str, column: str) -> str:
    return f"""
create table if not exists {schema}.{name} (
  {column} uuid primary key,
  event_id uuid not null,
  entered_at timestamptz not null default clock_timestamp(),
  log_ends jsonb,
  rows_deleted jsonb not null default '{{}}',
  positions jsonb,
  done_at timestamptz
);
create index if not exists {name}_unswept on {schema}.{name} ({column}) where done_at is null;
"""


async def fence(
    connection: AsyncConnection[Any], schema: str, owner: str, partitions: Sequence[Partition], beginning: Beginning
) -> dict[Partition, Fence]:
    """Every partition's epoch one higher and `owner` its owner; a partition without a row begins at its first record.

    Raises psycopg.errors.LockNotAvailable when a former owner's statement holds a row for longer than the lock timeout.
    """
    cursor = await connection.execute(f"select topic, partition from {schema}.position")
    known = {Partition(*row) for row in await cursor.fetchall()}
    fresh = [partition for partition in partitions if partition not in known]
    first = await beginning(fresh) if fresh else {}
    async with connection.transaction():
        # A lost fence would give two owners one epoch, so this commit is durable whatever the server's default.
        await connection.execute("set local synchronous_commit = on")
        await connection.execute(f"set local lock_timeout = '{FENCE_LOCK_TIMEOUT_SECONDS}s'")
        cursor = await connection.execute(
            f"""
            insert into {schema}.position as p (topic, partition, next_offset, epoch, owner)
            select topic, number, first, 1, $1::text
              from unnest($2::text[], $3::int[], $4::bigint[]) as s (topic, number, first)
             order by topic, number
            on conflict (topic, partition) do update set epoch = p.epoch + 1, owner = excluded.owner
            returning topic, partition, next_offset, epoch, last_event""",
            (
                owner,
                [partition.topic for partition in partitions],
                [partition.number for partition in partitions],
                [first.get(partition, 0) for partition in partitions],
            ),
        )
        rows = await cursor.fetchall()
    return {Partition(topic, number): Fence(*fenced) for topic, number, *fenced in rows}


async def positions(connection: AsyncConnection[Any], schema: str) -> dict[Partition, Fence]:
    cursor = await connection.execute(f"select topic, partition, next_offset, epoch from {schema}.position")
    return {Partition(topic, number): Fence(offset, epoch) for topic, number, offset, epoch in await cursor.fetchall()}


def refused_or_already(step: Advance, found: Fence | None) -> Outcome:
    """Why a compare-and-set found nothing: the same step was made under this very epoch, or someone else's move.

    An epoch has one owner and its steps are made one after the other, so (epoch, next) there means that our own earlier
    attempt was committed and only its answer was lost.
    """
    if found is not None and found.epoch == step.epoch and found.offset == step.next:
        return Outcome.ALREADY
    return Outcome.REFUSED
