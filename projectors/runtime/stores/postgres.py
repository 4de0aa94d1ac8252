"""A projection's store in PostgreSQL: data and position in one autocommit statement, transient trouble retried.

One statement matters: a worker frozen in the middle of a transaction of several would hold the position's lock for as
long as it is frozen.
"""

import math
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.pq import TransactionStatus

from projectors.runtime import position
from projectors.runtime.apply import parameters, statement_for
from projectors.runtime.changes import Changes
from projectors.runtime.parking_lot import Aside
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.retrying import retrying
from projectors.runtime.stores.arrays import register
from projectors.runtime.stores.port import Advance, Beginning, Fence, Outcome, Partition, Unstorable
from shared.environment import Environment

STATEMENT_TIMEOUT_SECONDS = 30
# What lies in the values: they are out of range, null where none may be, too long for an index.
OF_VALUES = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
NOT_TO_BE_PACKED = (struct.error, ValueError, TypeError, AttributeError, OverflowError)

Answer = TypeVar("Answer")


async def open_store(projection: PostgresProjection, environment: Environment, owner: str) -> "PostgresStore":
    """The store of a projection's live schema; it connects when first needed."""
    return PostgresStore(projection, environment.read_database_url, owner)


async def connect(url: str) -> AsyncConnection[Any]:
    """An autocommit connection that notices a dead server within seconds and plans each statement once."""
    connection = await AsyncConnection.connect(
        url,
        autocommit=True,
        prepare_threshold=0,
        connect_timeout=3,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
        cursor_factory=AsyncRawCursor,
        application_name="rookery-projector",
    )
    register(connection.adapters)
    # Batches differ only in the length of their arrays: planning anew each time costs more than a better plan gains,
    # and compiling a plan (jit) far more.
    await connection.execute(
        f"""set synchronous_commit = on; set lock_timeout = '10s';
        set statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s';
        set idle_in_transaction_session_timeout = '10s'; set plan_cache_mode = force_generic_plan; set jit = off""",
        prepare=False,
    )
    return connection


class PostgresStore:
    """Fulfils runtime/stores/port.py `Store` for one schema."""

    def __init__(
        self,
        projection: PostgresProjection,
        url: str,
        owner: str,
        schema: str = "",
        retry_seconds: float = math.inf,
    ) -> None:
        self.projection = projection
        self.schema = schema or projection.name
        self._url = url
        self._owner = owner
        self._retry_seconds = retry_seconds
        self._idle: list[AsyncConnection[Any]] = []  # as many as batches were ever applied at once
        self._reading: AsyncConnection[Any] | None = None

    async def fence(self, partitions: Sequence[Partition], beginning: Beginning) -> dict[Partition, Fence]:
        async def attempt() -> dict[Partition, Fence]:
            connection = await connect(self._url)
            try:
                return await position.fence(connection, self.schema, self._owner, partitions, beginning)
            finally:
                await connection.close()

        return await self._retrying("fence", attempt)

    async def apply(self, advance: Advance, changes: Changes) -> Outcome:
        return await self.apply_aside(advance, changes, None)

    async def apply_aside(self, advance: Advance, changes: Changes, aside: Aside | None) -> Outcome:
        """`apply`, with what the same statement sets aside and takes back."""
        statement = statement_for(self.projection, self.schema, changes, aside is not None)
        try:
            values = parameters(statement, advance, changes, aside)
        except NOT_TO_BE_PACKED as error:
            raise Unstorable from error

        async def attempt() -> Outcome:
            async with self._connection() as connection:
                try:
                    cursor = await connection.execute(statement.sql, values, binary=True)
                except OF_VALUES as error:
                    raise Unstorable from error
                row = await cursor.fetchone()
                if row is not None and row[0]:
                    return Outcome.APPLIED
                found = await position.positions(connection, self.schema)
                return position.refused_or_already(advance, found.get(advance.partition))

        return await self._retrying("apply", attempt)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection that nobody else uses meanwhile; a broken one is not handed out again."""
        connection = self._idle.pop() if self._idle else await connect(self._url)
        try:
            yield connection
        finally:
            if connection.closed or connection.info.transaction_status is not TransactionStatus.IDLE:
                await connection.close()
            else:
                self._idle.append(connection)

    async def positions(self) -> dict[Partition, Fence]:
        if self._reading is None or self._reading.closed:
            self._reading = await connect(self._url)
        return await position.positions(self._reading, self.schema)

    async def close(self) -> None:
        for connection in (*self._idle, *([self._reading] if self._reading is not None else [])):
            await connection.close()
        self._idle, self._reading = [], None

    async def _retrying(self, what: str, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        # Lost connections, deadlocks, serialization failures and timeouts; anything else would fail again.
        return await retrying(f"{what} of {self.schema}", attempt, (psycopg.OperationalError,), self._retry_seconds)
