"""What the read database holds, row by row, in the form in which the model says it."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from tests.model.tables import Expected, Key, Row

ROWS_AT_ONCE = 20_000


def rows_of(connection: psycopg.Connection[Any], expected: Expected) -> Iterator[tuple[Key, Row]]:
    """Every row of one table as (key, compared columns), read in portions inside the caller's transaction."""
    schema, _, table = expected.name.partition(".")
    columns = (*expected.key, *expected.columns)
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, table)
    )
    width = len(expected.key)
    with connection.cursor(name=f"rows_of_{schema}_{table}", binary=True) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(query)
        assert cursor.description is not None
        is_array = any(_is_array(connection, column.type_code) for column in cursor.description)
        for row in cursor:
            values = tuple(tuple(value) if isinstance(value, list) else value for value in row) if is_array else row
            yield values[:width], values[width:]


def _is_array(connection: psycopg.Connection[Any], type_code: int) -> bool:
    found = connection.adapters.types.get(type_code)
    return found is not None and found.array_oid == type_code


def ids_of(connection: psycopg.Connection[Any], schema: str, table: str, column: str) -> set[UUID]:
    """One column of ids as a set; empty where there is no such table."""
    if not connection.execute("select to_regclass(%s) is not null", (f"{schema}.{table}",)).fetchone()[0]:  # type: ignore[index]
        return set()
    query = sql.SQL("select {} from {}").format(sql.Identifier(column), sql.Identifier(schema, table))
    return {identifier for (identifier,) in connection.execute(query, binary=True)}
