"""Makes every projection's tables and functions, as a step of its own that may be repeated at any time.

    python -m projectors.runtime.prepare

A table's shape is in its tables.sql; what the runtime needs beside it (position, erased and gone, the columns `counted`
and `was_*`, indexes for sweeping) is derived from the declarations. A change of shape is a rebuild, never an ALTER of a
filled table: this step only adds what is absent.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import AsyncConnection, sql

from projectors.runtime.apply import added_columns, has_gone
from projectors.runtime.changes import CountTable, Table
from projectors.runtime.parking_lot import parking_ddl
from projectors.runtime.position import position_ddl
from projectors.runtime.projection import PostgresProjection, Projection, RedisProjection
from shared.environment import Environment, environment

# Frames and their sequences outlive every rebuild, so they lie outside the projections' schemas.
DELIVERY_SQL = Path(__file__).resolve().parent.parent / "notifications" / "delivery.sql"
_LOCK = 0x726F6F6B  # "rook": two preparations at once wait for each other


async def prepare(environment: Environment, projections: Sequence[Projection]) -> None:
    """Brings the read database and Redis to what these projections declare. Repeating changes nothing."""
    of_postgres = [each for each in projections if isinstance(each, PostgresProjection)]
    if projections:
        connection = await AsyncConnection.connect(environment.read_database_url, autocommit=True)
        async with connection:
            # `if not exists` tells of everything that does.
            await connection.execute("set client_min_messages = warning")
            async with connection.transaction():
                await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
                for projection in of_postgres:
                    await _prepare_schema(connection, projection)
                    await _grant(connection, projection.name, environment)
                    if projection.name == "notifications" and DELIVERY_SQL.exists():
                        await connection.execute(DELIVERY_SQL.read_bytes())
                        await _grant(connection, "delivery", environment)
                for each in projections:
                    if isinstance(each, RedisProjection):
                        # What is set aside must outlive a flush.
                        await connection.execute(f"create schema if not exists {each.name}".encode())
                        await connection.execute(parking_ddl(each.name).encode())
                        await _grant(connection, each.name, environment)
    functions = [each for each in projections if isinstance(each, RedisProjection)]
    if functions:
        with redis.Redis.from_url(environment.redis_url) as server:
            for each in functions:
                server.function_load(each.functions_lua.read_text(), replace=True)


async def _prepare_schema(connection: AsyncConnection[Any], projection: PostgresProjection) -> None:
    schema = projection.name
    await connection.execute(f"create schema if not exists {schema}".encode())
    await connection.execute(projection.tables_sql.read_bytes())
    await connection.execute(position_ddl(schema, has_gone(projection)).encode())
    for table in projection.tables:
        for column, definition in added_columns(projection, table):
            await connection.execute(
                f"alter table {schema}.{table.name} add column if not exists {column} {definition}".encode()
            )
    swept: list[Table | CountTable] = [*projection.tables, *projection.count_tables]
    for each in swept:
        columns = (*each.erased_with, *(each.gone_with if has_gone(projection) else ()))
        await _index_for_sweeping(connection, schema, each.name, columns)


async def _index_for_sweeping(
    connection: AsyncConnection[Any], schema: str, table: str, columns: Sequence[str]
) -> None:
    """An index that begins with the column, where there is none: the sweeper finds a person's rows by it."""
    cursor = await connection.execute(
        """
        select a.attname from pg_index i
          join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
         where i.indrelid = %s::regclass and i.indpred is null""",
        (f"{schema}.{table}",),
    )
    leading = {name for (name,) in await cursor.fetchall()}
    for column in dict.fromkeys(columns):
        if column not in leading:
            await connection.execute(
                f"create index if not exists {table}_{column}_sweep on {schema}.{table} ({column})".encode()
            )


async def _grant(connection: AsyncConnection[Any], schema: str, environment: Environment) -> None:
    role = urlsplit(environment.query_database_url).username
    found = await connection.execute("select 1 from pg_roles where rolname = %s", (role,))
    if role is None or await found.fetchone() is None:
        raise psycopg.errors.UndefinedObject(f"the query API's role {role!r} does not exist: QUERY_DATABASE_URL")
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    await connection.execute(
        sql.SQL(
            "grant usage on schema {schema} to {role}; grant select on all tables in schema {schema} to {role};"
            "alter default privileges in schema {schema} grant select on tables to {role}"
        ).format(**names)
    )


def main() -> None:
    from projectors.catalogue import PROJECTIONS

    asyncio.run(prepare(environment(), PROJECTIONS))


if __name__ == "__main__":
    main()
