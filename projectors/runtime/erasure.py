"""Deletes what hangs on erased people and deleted posts, in chunks, twice, and leaves a receipt.

An entry of `erased` or `gone` makes reads and later batches leave the person's rows out at once; this sweeper removes
the rows themselves. The first sweep follows at once. An older batch may still be in flight then, in this worker or
another, with a snapshot from before the entry; so the log's ends are noted after the first sweep, and once every
partition's position has passed them nothing of the kind can come any more, and the second sweep is the last. Each chunk
is one statement that deletes rows in the order of their keys, takes them out of the counts and notes their number in
the entry, so that a sweep can be broken off anywhere and begun again.

Effects (PostgresProjection.sweep_effects) are CTEs as in runtime/apply.py, part of the statements that sweep the tables
they name as `swept_<table>`: the deleted rows, each with `swept_for`, the person or post that it went with. `noted` has
these as `subject`, with the `event_id` of the entry. Only the live schema's sweeper runs them.

One worker per schema sweeps, the one that holds an advisory lock of its session; two at once would be wasteful, not
wrong.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
import structlog
from confluent_kafka import KafkaException
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from projectors.runtime import position
from projectors.runtime.apply import SWEEP_CHANNEL, count_ctes, has_gone
from projectors.runtime.changes import CountTable, Table
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores.port import Fence, Partition
from projectors.runtime.stores.postgres import connect
from shared.environment import Environment

CHUNK_ROWS = 5_000
ENTRIES_AT_ONCE = 500
WAIT_SECONDS = 1.0  # between looks when nothing is announced
WAIT_FOR_POSITIONS_SECONDS = 0.1
# A frozen worker must not keep the lock: the server ends a session that asks nothing for this long.
IDLE_SESSION_TIMEOUT_SECONDS = 30

Swept = Table | CountTable
log = structlog.get_logger()


class Sweeper:
    """Sweeps one schema of a projection for as long as `run` runs."""

    def __init__(
        self, projection: PostgresProjection, environment: Environment, ends: LogEnds, schema: str = ""
    ) -> None:
        self.projection = projection
        self.schema = schema or projection.name
        self._url = environment.read_database_url
        self._ends = ends
        # set -> its id column, and what is swept by which column
        self._sets = {"erased": ("user_id", self._swept_with("erased_with"))}
        if has_gone(projection):
            self._sets["gone"] = ("post_id", self._swept_with("gone_with"))

    async def run(self) -> None:
        """Waits for entries and sweeps them. Trouble with a server is logged and tried again."""
        while True:
            try:
                async with await connect(self._url) as connection:
                    await self._sweep_while_leading(connection)
            except (psycopg.OperationalError, KafkaException, TimeoutError) as error:
                log.warning("sweeper_trouble", error=type(error).__name__, message=str(error).partition("\n")[0])
            await asyncio.sleep(WAIT_SECONDS)

    async def _sweep_while_leading(self, connection: AsyncConnection[Any]) -> None:
        cursor = await connection.execute("select pg_try_advisory_lock($1)", (self._lock_number(),))
        row = await cursor.fetchone()
        if row is None or not row[0]:
            return
        await connection.execute(f"set idle_session_timeout = '{IDLE_SESSION_TIMEOUT_SECONDS}s'")
        await connection.execute(f"listen {SWEEP_CHANNEL}")
        while True:
            waiting = await self.step(connection)
            seconds = WAIT_FOR_POSITIONS_SECONDS if waiting else WAIT_SECONDS
            # Whichever schema a notice is for: to look is cheap, and entries are rare.
            async for _ in connection.notifies(timeout=seconds, stop_after=1):
                pass

    async def step(self, connection: AsyncConnection[Any]) -> bool:
        """Takes every entry as far as it can go now; whether some entries are left that wait for positions."""
        waiting = False
        for name in self._sets:
            fresh = await self._entries(connection, name, "log_ends is null")
            while fresh:
                await self._sweep_first(connection, name, list(fresh))
                fresh = await self._entries(connection, name, "log_ends is null")
            noted = await self._entries(connection, name, "log_ends is not null")
            if noted:
                waiting = await self._sweep_last(connection, name, noted) or waiting
        return waiting

    async def sweep_alone(self, connection: AsyncConnection[Any]) -> int:
        """Sweeps every entry once and for all, and answers how many: for a schema that nobody else writes to."""
        swept = 0
        for name, (column, _) in self._sets.items():
            while fresh := await self._entries(connection, name, "true"):
                await self._sweep(connection, name, list(fresh))
                await connection.execute(
                    f"update {self.schema}.{name} set done_at = clock_timestamp() where {column} = any($1)",
                    (list(fresh),),
                )
                swept += len(fresh)
        return swept

    async def _sweep_first(self, connection: AsyncConnection[Any], name: str, subjects: list[UUID]) -> None:
        await self._sweep(connection, name, subjects)
        partitions = await asyncio.to_thread(self._ends.partitions, self.projection.topics)
        ends = await asyncio.to_thread(self._ends.ends, partitions)
        await self._note_ends(connection, name, subjects, as_json(ends))

    async def _sweep_last(
        self, connection: AsyncConnection[Any], name: str, noted: Mapping[UUID, Mapping[str, int]]
    ) -> bool:
        """Whether some of these entries must wait for positions to pass the log ends noted."""
        found = await self._positions(connection)
        offsets = {partition: fence.offset for partition, fence in found.items()}
        passed = [subject for subject, ends in noted.items() if has_passed(found, ends)]
        if passed:
            await self._sweep(connection, name, passed)
            await self._note_done(connection, name, passed, as_json(offsets))
            log.info("swept", set=name, entries=len(passed))
        return len(passed) < len(noted)

    # What follows asks the database, and decides nothing: the simulation asks another one.

    async def _positions(self, connection: AsyncConnection[Any]) -> dict[Partition, Fence]:
        return await position.positions(connection, self.schema)

    async def _note_ends(
        self, connection: AsyncConnection[Any], name: str, subjects: Sequence[UUID], ends: Mapping[str, int]
    ) -> None:
        column, _ = self._sets[name]
        await connection.execute(
            f"update {self.schema}.{name} set log_ends = $1 where {column} = any($2) and log_ends is null",
            (Jsonb(ends), subjects),
        )

    async def _note_done(
        self, connection: AsyncConnection[Any], name: str, subjects: Sequence[UUID], offsets: Mapping[str, int]
    ) -> None:
        column, _ = self._sets[name]
        await connection.execute(
            f"""update {self.schema}.{name} set done_at = clock_timestamp(), positions = $1
                 where {column} = any($2) and done_at is null""",
            (Jsonb(offsets), subjects),
        )

    async def _entries(self, connection: AsyncConnection[Any], name: str, condition: str) -> dict[UUID, Any]:
        column, _ = self._sets[name]
        cursor = await connection.execute(
            f"""select {column}, log_ends from {self.schema}.{name}
                 where done_at is null and {condition} order by entered_at limit {ENTRIES_AT_ONCE}"""
        )
        return dict(await cursor.fetchall())

    async def _sweep(self, connection: AsyncConnection[Any], name: str, subjects: list[UUID]) -> None:
        """Deletes all that hangs on these people or posts: rows first, then the counts kept of them."""
        for table, column in self._sets[name][1]:
            statement = self.statement(name, table, column)
            while True:
                cursor = await connection.execute(statement, (subjects,), binary=True)
                row = await cursor.fetchone()
                if row is None or row[0] < CHUNK_ROWS:
                    break
        if name == "erased":
            await connection.execute(self._parked_statement(), (subjects,))

    def _parked_statement(self) -> str:
        """Deletes what is parked, or was dropped, of these people: nothing of it is to be applied any more."""
        schema = self.schema
        return f"""
with swept as (
  delete from {schema}.parked where subject_id = any($1::uuid[]) returning subject_id),
forgotten as (
  delete from {schema}.dropped where subject_id = any($1::uuid[]))
update {schema}.erased as e
   set rows_deleted = e.rows_deleted || jsonb_build_object(
         'parked', coalesce((e.rows_deleted ->> 'parked')::bigint, 0) + s.n)
  from (select subject_id, count(*) as n from swept group by subject_id) as s
 where e.user_id = s.subject_id"""

    def statement(self, name: str, table: Swept, column: str) -> str:
        """One chunk of a sweep: deletes at most CHUNK_ROWS rows whose `column` is among $1; answers how many it
        found."""
        schema, key = self.schema, ", ".join(table.key)
        same = " and ".join(f"t.{part} = l.{part}" for part in table.key)
        counts = count_ctes(self.projection, schema, [table], "swept_", True) if isinstance(table, Table) else {}
        counting = "".join(f",\n{cte}" for cte in counts.values())
        id_column, _ = self._sets[name]
        effects, done = self._effects_on(table)
        ordered = ", ".join(f"t.{part}" for part in table.key)
        return f"""
with doomed as materialized (
  select {key} from {schema}.{table.name} where {column} = any($1::uuid[]) limit {CHUNK_ROWS}),
locked as materialized (
  select {ordered} from {schema}.{table.name} as t join doomed using ({key})
   where t.{column} = any($1::uuid[]) order by {ordered} for update of t),
swept_{table.name} as (
  delete from {schema}.{table.name} as t using locked as l where {same}
  returning t.*, t.{column} as swept_for){counting},
noted as (
  update {schema}.{name} as e
     set rows_deleted = e.rows_deleted || jsonb_build_object(
           '{table.name}', coalesce((e.rows_deleted ->> '{table.name}')::bigint, 0) + s.n)
    from (select {column} as subject, count(*) as n from swept_{table.name} group by {column}) as s
   where e.{id_column} = s.subject
  returning e.{id_column} as subject, e.event_id){effects}
select count(*){done} from doomed"""

    def _effects_on(self, table: Swept) -> tuple[str, str]:
        """The effects' CTEs and what reads them, both empty where this sweep has none."""
        template = self.projection.sweep_effects
        if self.schema != self.projection.name or not re.search(rf"\bswept_{table.name}\b", template):
            return "", ""
        ctes = template.strip().replace("{schema}", self.schema)
        return f",\n{ctes}", ", (select count(done::text) from effect as done)"

    def _swept_with(self, attribute: str) -> list[tuple[Swept, str]]:
        tables: Sequence[Swept] = (*self.projection.tables, *self.projection.count_tables)
        return [(table, column) for table in tables for column in getattr(table, attribute)]

    def _lock_number(self) -> int:
        digest = hashlib.sha256(f"rookery sweeper {self.schema}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


def as_json(offsets: Mapping[Partition, int]) -> dict[str, int]:
    """Offsets as they stand in an entry: {"posts:3": 17}."""
    return {f"{partition.topic}:{partition.number}": offset for partition, offset in sorted(offsets.items())}


def has_passed(found: Mapping[Partition, Fence], ends: Mapping[str, int]) -> bool:
    """Whether every partition's position is at the end noted for it, or beyond."""
    offsets = as_json({partition: fence.offset for partition, fence in found.items()})
    return all(offsets.get(partition, 0) >= end for partition, end in ends.items())
