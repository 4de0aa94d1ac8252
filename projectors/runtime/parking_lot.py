"""Where a projection's parked records lie: in its own schema, set aside and taken back together with its position.

    parked    records that could not be applied (`poison`), and those that wait for one of them (`behind`)
    dropped   what a person has decided to leave out, by whom and why; without the record's bytes
    breaker   one row, once parking has risen so much that the projection was stopped

A projection in PostgreSQL sets records aside in the very statement that moves its position (`ASIDE`). One in Redis,
whose data can be flushed, has a schema with these tables alone: there a record is parked first and passed then, so that
a crash in between parks it again, as the same row.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row

from projectors.runtime.retrying import retrying
from projectors.runtime.stores.port import Partition

POISON, BEHIND = "poison", "behind"
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Parked:
    """One record set aside. `cause` is the kind of the error, for counting; `reason` says it to a person. Neither holds
    any of the event's data."""

    topic: str
    partition: int
    record_offset: int
    keys: tuple[str, ...]
    state: str
    event_type: str | None
    event_id: UUID | None
    subject_id: UUID | None
    record_key: bytes | None
    value: bytes
    cause: str
    reason: str
    attempts: int = 1
    first_at: datetime | None = None  # None until it lies in the table, as the next
    retry_at: datetime | None = None  # when somebody asked for another attempt

    @property
    def place(self) -> Partition:
        return Partition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Aside:
    """What one step of a partition sets aside, and the offsets of what it takes back."""

    parked: Sequence[Parked] = ()
    released: Sequence[int] = ()

    def parameters(self) -> list[str]:
        """The values of ASIDE's two parameters."""
        return [json.dumps([_as_json(each) for each in self.parked]), json.dumps(list(self.released))]


@dataclass(frozen=True)
class Breaker:
    """`stopped_at` is None while the projection may run; `resumed_at` is when somebody last let it go on."""

    stopped_at: datetime | None = None
    why: str | None = None
    resumed_at: datetime | None = None
    resumed_by: str | None = None


@dataclass(frozen=True)
class Recent:
    """What was parked within the breaker's window since it was last resumed, without those that wait behind others."""

    records: int
    causes: frozenset[str] = field(default_factory=frozenset)


COLUMNS = (
    "topic, partition, record_offset, keys, state, event_type, event_id, subject_id, record_key, value, cause, reason,"
    " attempts, first_at, retry_at"
)


def parking_ddl(schema: str) -> str:
    return f"""
create table if not exists {schema}.parked (
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  keys text[] not null, -- of runtime/parking_keys.py
  state text not null check (state in ('{POISON}', '{BEHIND}')),
  event_type text,
  event_id uuid,
  subject_id uuid,
  record_key bytea,
  value bytea not null,
  cause text not null,
  reason text not null,
  attempts integer not null default 1,
  first_at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  retry_at timestamptz,
  copied_at timestamptz, -- to the dead letters' topic
  primary key (topic, partition, record_offset)
);
create index if not exists parked_subject on {schema}.parked (subject_id);
create table if not exists {schema}.dropped (
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  keys text[] not null,
  event_type text,
  event_id uuid,
  subject_id uuid,
  reason text not null,
  parked_at timestamptz not null,
  dropped_at timestamptz not null default clock_timestamp(),
  dropped_by text not null,
  why text not null,
  primary key (topic, partition, record_offset)
);
create table if not exists {schema}.breaker (
  one boolean primary key default true check (one),
  stopped_at timestamptz,
  why text,
  resumed_at timestamptz,
  resumed_by text
);
"""


def aside_ctes(schema: str, advanced: str, parked: int, released: int) -> str:
    """The CTEs of one step that set records aside and take them back, where `advanced` has a row (topic, partition).

    `parked` and `released` are the numbers of the parameters that Aside.parameters gives.
    """
    return f"""parked_now as (
  insert into {schema}.parked as p (topic, partition, record_offset, keys, state, event_type, event_id, subject_id,
                                    record_key, value, cause, reason)
  select a.topic, a.partition, r.record_offset, r.keys, r.state, r.event_type, r.event_id, r.subject_id,
         decode(r.record_key, 'hex'), decode(r.value, 'hex'), r.cause, r.reason
    from {advanced} as a, jsonb_to_recordset(${parked}::text::jsonb) as r (
         record_offset bigint, keys text[], state text, event_type text, event_id uuid, subject_id uuid,
         record_key text, value text, cause text, reason text)
  on conflict (topic, partition, record_offset) do update
     set state = excluded.state, cause = excluded.cause, reason = excluded.reason, last_at = clock_timestamp()
  returning 1),
released_now as (
  delete from {schema}.parked as p using {advanced} as a
   where p.topic = a.topic and p.partition = a.partition
     and p.record_offset in (select value::bigint from jsonb_array_elements_text(${released}::text::jsonb))
  returning 1)"""


class ParkingLot:
    """One schema's parked records, over a connection of its own that is opened when first needed.

    Methods wait for a PostgreSQL that is away.
    """

    def __init__(self, schema: str, connect: Callable[[], Awaitable[AsyncConnection[Any]]]) -> None:
        self.schema = schema
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None
        self._opening = asyncio.Lock()

    async def of(self, partitions: Iterable[Partition]) -> list[Parked]:
        """What lies here of these partitions, in the order of the log."""
        wanted = list(partitions)

        async def attempt(connection: AsyncConnection[Any]) -> list[Parked]:
            async with connection.cursor(row_factory=class_row(Parked)) as cursor:
                await cursor.execute(
                    f"""select {COLUMNS} from {self.schema}.parked
                          join unnest($1::text[], $2::int[]) as wanted (topic, partition) using (topic, partition)
                         order by topic, partition, record_offset""",
                    ([each.topic for each in wanted], [each.number for each in wanted]),
                )
                return await cursor.fetchall()

        return await self._asking("parked records", attempt)

    async def put(self, aside: Aside, place: Partition) -> None:
        """Parks and takes back by itself, for a projection whose position is elsewhere."""
        advanced = "(select $1::text as topic, $2::int as partition)"
        statement = f"with {aside_ctes(self.schema, advanced, 3, 4)} select count(*) from parked_now"
        await self._run("parking", statement, place.topic, place.number, *aside.parameters())

    async def failed_again(self, record: Parked) -> None:
        """Notes another attempt that failed, with what it failed of now."""
        await self._run(
            "a failed retry",
            f"""update {self.schema}.parked
                   set state = $4, cause = $5, reason = $6, attempts = attempts + 1, last_at = clock_timestamp(),
                       retry_at = null
                 where topic = $1 and partition = $2 and record_offset = $3""",
            record.topic, record.partition, record.record_offset, record.state, record.cause, record.reason,
        )  # fmt: skip

    async def waits_behind(self, record: Parked) -> None:
        """A retry was asked for, but an earlier one of the same key stands in its way: it follows that one."""
        await self._run(
            "a retry behind another",
            f"""update {self.schema}.parked set state = '{BEHIND}', retry_at = null
                 where topic = $1 and partition = $2 and record_offset = $3""",
            record.topic, record.partition, record.record_offset,
        )  # fmt: skip

    async def uncopied(self, partitions: Iterable[Partition], limit: int) -> list[Parked]:
        """The first records of these partitions that are not known to be among the dead letters."""
        wanted = list(partitions)

        async def attempt(connection: AsyncConnection[Any]) -> list[Parked]:
            async with connection.cursor(row_factory=class_row(Parked)) as cursor:
                await cursor.execute(
                    f"""select {COLUMNS} from {self.schema}.parked
                          join unnest($1::text[], $2::int[]) as wanted (topic, partition) using (topic, partition)
                         where copied_at is null order by first_at limit $3""",
                    ([each.topic for each in wanted], [each.number for each in wanted], limit),
                )
                return await cursor.fetchall()

        return await self._asking("records to copy", attempt)

    async def copied(self, records: Iterable[Parked]) -> None:
        places = [(each.topic, each.partition, each.record_offset) for each in records]
        await self._run(
            "copied records",
            f"""update {self.schema}.parked as p set copied_at = clock_timestamp()
                  from unnest($1::text[], $2::int[], $3::bigint[]) as c (topic, partition, record_offset)
                 where (p.topic, p.partition, p.record_offset) = (c.topic, c.partition, c.record_offset)""",
            *(list(column) for column in zip(*places, strict=True)),
        )

    async def forget_erased(self, people: str) -> None:
        """Deletes what is of the people in `people`, a table with a column user_id."""
        await self._run(
            "erased people's records",
            f"""with parked_theirs as (
                  delete from {self.schema}.parked as p using {people} as e where e.user_id = p.subject_id)
                delete from {self.schema}.dropped as d using {people} as e where e.user_id = d.subject_id""",
        )

    async def breaker(self) -> Breaker:
        async def attempt(connection: AsyncConnection[Any]) -> Breaker:
            async with connection.cursor(row_factory=class_row(Breaker)) as cursor:
                await cursor.execute(f"select stopped_at, why, resumed_at, resumed_by from {self.schema}.breaker")
                return await cursor.fetchone() or Breaker()

        return await self._asking("the breaker", attempt)

    async def stop(self, why: str) -> None:
        await self._run(
            "stopping",
            f"""insert into {self.schema}.breaker as b (stopped_at, why) values (clock_timestamp(), $1)
                on conflict (one) do update set stopped_at = excluded.stopped_at, why = excluded.why
                 where b.stopped_at is null""",
            why,
        )

    async def recent(self, seconds: float) -> Recent:
        async def attempt(connection: AsyncConnection[Any]) -> Recent:
            cursor = await connection.execute(
                f"""select count(*), array_agg(distinct cause) from {self.schema}.parked
                     where state = '{POISON}' and first_at > clock_timestamp() - make_interval(secs => $1)
                       and first_at > coalesce((select resumed_at from {self.schema}.breaker), '-infinity')""",
                (seconds,),
            )
            row = await cursor.fetchone()
            return Recent(row[0], frozenset(row[1] or ())) if row else Recent(0)

        return await self._asking("what was parked of late", attempt)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _run(self, what: str, statement: str, *values: Any) -> None:
        async def attempt(connection: AsyncConnection[Any]) -> None:
            await connection.execute(statement.encode(), values)

        await self._asking(what, attempt)

    async def _asking(self, what: str, attempt: Callable[[AsyncConnection[Any]], Awaitable[Answer]]) -> Answer:
        async def connected() -> Answer:
            async with self._opening:
                if self._connection is None or self._connection.closed:
                    self._connection = await self._connect()
            return await attempt(self._connection)

        return await retrying(f"{what} of {self.schema}", connected, (psycopg.OperationalError,))


def _as_json(record: Parked) -> dict[str, Any]:
    return {
        "record_offset": record.record_offset,
        "keys": list(record.keys),
        "state": record.state,
        "event_type": record.event_type,
        "event_id": record.event_id and str(record.event_id),
        "subject_id": record.subject_id and str(record.subject_id),
        "record_key": None if record.record_key is None else bytes(record.record_key).hex(),
        "value": bytes(record.value).hex(),
        "cause": record.cause,
        "reason": record.reason,
    }
