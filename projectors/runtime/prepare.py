"""Makes every projection's tables and functions, as a step of its own that may be repeated at any time.

    python -m projectors.runtime.prepare

A table's shape is in its tables.sql, without a schema's name, so that a rebuild makes the same tables beside the live
ones. What the runtime needs besides (position, erased and gone, the columns `counted` and `was_*`, indexes for
sweeping) is derived from the declarations. A change of shape is a rebuild, never an ALTER of a filled table: this step
only adds what is absent.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import AsyncConnection, sql

from projectors.runtime.apply import added_columns, has_gone
from projectors.runtime.changes import CountTable, Table
from projectors.runtime.parking_lot import parking_ddl
from projectors.runtime.position import position_ddl
from projectors.runtime.projection import PostgresProjection, Projection, RedisProjection
from projectors.runtime.siblings import live_comment, shape_of
from shared.environment import Environment, environment
from shared.feed_redis import load_functions

# Frames and their sequences outlive every rebuild, so they lie outside the projections' schemas.
DELIVERY_SQL = Path(__file__).resolve().parent.parent / "notifications" / "delivery.sql"
TRIGRAMS_SQL = "create extension if not exists pg_trgm with schema public"  # what people are searched by
LACKS_EXTENSION = (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile)
NO_TRIGRAMS = "PostgreSQL lacks the extension pg_trgm: install its contrib package (postgresql-contrib)"
_LOCK = 0x726F6F6B  # "rook": two preparations at once wait for each other
_TABLE = re.compile(
    r"create table if not exists (\w+) .*?(?:(\w+) \w+ primary key|primary key \((.*?)\))",
    re.DOTALL,
)
_INDEX = re.compile(r"create index if not exists (\w+) on (\w+) (.*)", re.DOTALL)


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
                    name = projection.name
                    is_new = await _is_absent(connection, name)
                    for statement in (*table_statements(projection, name), *index_statements(projection, name)):
                        try:
                            await connection.execute(statement.encode())
                        except LACKS_EXTENSION as error:
                            if statement != TRIGRAMS_SQL:
                                raise
                            raise psycopg.errors.FeatureNotSupported(NO_TRIGRAMS) from error
                    if is_new:
                        await connection.execute(live_comment(name, shape_of(projection)))
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
        for each in functions:
            load_functions(environment, each.functions_lua.read_text())


def table_statements(projection: PostgresProjection, schema: str) -> list[str]:
    """The statements that make the schema and its tables with all their columns, and no index but the primary keys'.

    Run them in one transaction: with it ends the search path under which tables.sql is read. Repeating changes nothing.
    """
    own = [statement for statement in _statements(projection) if not _INDEX.match(statement)]
    added = [
        f"alter table {schema}.{table.name} add column if not exists {column} {definition}"
        for table in projection.tables
        for column, definition in added_columns(projection, table)
    ]
    return [
        # Whoever owns the database may make it, as PostgreSQL trusts it.
        *([TRIGRAMS_SQL] if "gin_trgm_ops" in projection.tables_sql.read_text() else []),
        f"create schema if not exists {schema}",
        f"set local search_path = {schema}",
        *own,
        "set local search_path to default",
        position_ddl(schema, has_gone(projection)),
        *added,
    ]


def primary_keys(projection: PostgresProjection) -> dict[str, list[str]]:
    """By table, the columns of its primary key in their order, which is not always the declaration's."""
    found = filter(None, map(_TABLE.match, _statements(projection)))
    return {each[1]: re.split(r",\s*", each[2] or each[3]) for each in found}


def index_statements(projection: PostgresProjection, schema: str) -> dict[str, str]:
    """The statements that make every index besides the primary keys', each with its table. Repeating changes nothing.

    They depend on nothing but the tables, so several connections may share them.
    """
    found = {}
    leading = {(table, columns[0]) for table, columns in primary_keys(projection).items()}
    for statement in _statements(projection):
        if named := _INDEX.match(statement):
            index, table, columns = named.groups()
            found[f"create index if not exists {index} on {schema}.{table} {columns}"] = table
            if not re.search(r"\bwhere\b", columns):
                leading.add((table, columns.lstrip("( ").partition(",")[0].rstrip(") ")))
    swept: list[Table | CountTable] = [*projection.tables, *projection.count_tables]
    for each in swept:
        # The sweeper finds a person's rows by an index that begins with the column.
        for column in dict.fromkeys((*each.erased_with, *(each.gone_with if has_gone(projection) else ()))):
            if (each.name, column) not in leading:
                made = f"create index if not exists {each.name}_{column}_sweep on {schema}.{each.name} ({column})"
                found[made] = each.name
    return found


def _statements(projection: PostgresProjection) -> list[str]:
    """The statements of tables.sql, one by one: names in them are of whatever schema the search path says."""
    text = re.sub(r"--[^\n]*", "", projection.tables_sql.read_text())
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def reading_grants(schema: str, environment: Environment) -> sql.Composed:
    """What lets the query API's role SELECT from the schema, and from tables made in it later."""
    names = {
        "schema": sql.Identifier(schema),
        "role": sql.Identifier(urlsplit(environment.query_database_url).username or ""),
    }
    return sql.SQL(
        "grant usage on schema {schema} to {role}; grant select on all tables in schema {schema} to {role};"
        "alter default privileges in schema {schema} grant select on tables to {role}"
    ).format(**names)


async def _is_absent(connection: AsyncConnection[Any], schema: str) -> bool:
    found = await connection.execute("select 1 from pg_namespace where nspname = %s", (schema,))
    return await found.fetchone() is None


async def _grant(connection: AsyncConnection[Any], schema: str, environment: Environment) -> None:
    role = urlsplit(environment.query_database_url).username
    found = await connection.execute("select 1 from pg_roles where rolname = %s", (role,))
    if role is None or await found.fetchone() is None:
        raise psycopg.errors.UndefinedObject(f"the query API's role {role!r} does not exist: QUERY_DATABASE_URL")
    await connection.execute(reading_grants(schema, environment))


def main() -> None:
    from projectors.catalogue import PROJECTIONS

    asyncio.run(prepare(environment(), PROJECTIONS))


if __name__ == "__main__":
    main()
