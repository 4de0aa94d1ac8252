"""Brings a schema beside the live one forward to exact positions, by the statements of the live worker.

Effects stay off: nobody is told anything by a rebuild. Each step is a compare-and-set on the position, so that a step
made twice changes nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from psycopg import RawCursor

from projectors.runtime.apply import parameters, statement_for
from projectors.runtime.bulk_reading import BulkReader, open_bulk_codec
from projectors.runtime.erasure import Sweeper
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.siblings import Phase, Sibling, connect, copy_erased, offsets_of
from projectors.runtime.staging import staged
from projectors.runtime.stores import postgres
from projectors.runtime.stores.arrays import register
from projectors.runtime.stores.port import Advance, Partition
from shared.environment import Environment

BATCH_RECORDS = 4_000


class PositionMoved(Exception):
    """Somebody else writes to the schema, or its positions were changed by hand."""


class CatchUp:
    """The writer of one schema; there must be no other."""

    def __init__(self, projection: PostgresProjection, environment: Environment, schema: str) -> None:
        self.schema = schema
        self._projection = replace(projection, effects="", sweep_effects="")
        self._reader = BulkReader(environment)
        self._codec = open_bulk_codec(projection, environment, opaque_ids=False)
        self._connection = connect(environment.read_database_url, plan_cache_mode="force_generic_plan")
        self._connection.prepare_threshold = 0
        register(self._connection.adapters)
        self._cursor = RawCursor(self._connection)

    def positions(self) -> dict[Partition, int]:
        return offsets_of(self._connection, self.schema)

    def advance(self, targets: Mapping[Partition, int], progress: Callable[[int], None] = lambda _: None) -> int:
        """Applies everything before these positions and answers how many offsets that were.

        Raises PositionMoved, and what the reader, the codec and the database raise.
        """
        found = self.positions()
        spans = {each: (found.get(each, 0), target) for each, target in targets.items()}
        moved = 0
        for stretch in self._reader.stretches(spans, BATCH_RECORDS):
            previous = found[stretch.partition]
            changes = self._projection.fold(self._codec.read(stretch.values))
            statement = statement_for(self._projection, self.schema, changes)
            step = Advance(stretch.partition, previous, stretch.next, 0, stretch.last_event)
            row = self._cursor.execute(statement.sql, parameters(statement, step, changes), binary=True).fetchone()
            if row is None or not row[0]:
                raise PositionMoved(f"{self.schema} is no longer at {previous} in {stretch.partition}")
            found[stretch.partition] = stretch.next
            moved += stretch.next - previous
            progress(stretch.next - previous)
        return moved

    def own(self) -> None:
        """Makes this writer the owner of every position, under the epoch it applies with."""
        self._connection.execute(f"update {self.schema}.position set epoch = 0, owner = 'rebuild'".encode())

    def close(self) -> None:
        self._reader.close()
        self._connection.close()


def sweep(projection: PostgresProjection, environment: Environment, sibling: Sibling) -> int:
    """Removes everybody from a sibling who is erased in the live schema; answers how many entries were swept.

    The caller holds the projection's rebuild lock: nobody else writes to the schema.
    """
    schema = sibling.schema
    with connect(environment.read_database_url) as connection:
        with connection.transaction():
            copy_erased(connection, projection.name, schema, ("erased",))
        undone = f"select user_id from {schema}.erased where done_at is null"
        row = connection.execute(f"select count(*) from ({undone}) as e".encode()).fetchone()
        if sibling.phase is not Phase.READY:
            # What was merged so far is made anew, without them; only what is staged must go.
            with connection.transaction():
                for table in projection.tables:
                    for column in table.erased_with if row and row[0] else ():
                        connection.execute(
                            f"delete from {schema}.{staged(table)} where {column} in ({undone})".encode()
                        )
                        connection.execute(f"delete from {schema}.{table.name} where {column} in ({undone})".encode())
                # Rows of theirs that are staged later are left out when the tables are made.
                connection.execute(
                    f"update {schema}.erased set done_at = clock_timestamp() where done_at is null".encode()
                )
            return row[0] if row else 0

    async def swept() -> int:
        sweeper = Sweeper(replace(projection, sweep_effects=""), environment, LogEnds(environment), schema)
        async with await postgres.connect(environment.read_database_url) as own:
            return await sweeper.sweep_alone(own)

    return asyncio.run(swept())
