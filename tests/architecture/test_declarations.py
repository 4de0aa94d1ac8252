"""Whose every column of the read database is, is declared: erasing a person can miss none.

Claim: every column of every table that a projection has in PostgreSQL is declared with whose data it is, under an
owner that is a column of the same row; every declared column is there; and a table of counts says what ends it.
Oracle: the catalogue of a real PostgreSQL after runtime/prepare.py has made every table in a fresh database.
Cannot catch: a column declared as somebody else's than it is.
"""

import asyncio
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from projectors.runtime.apply import added_columns
from projectors.runtime.changes import NOBODY
from projectors.runtime.prepare import prepare
from projectors.runtime.projection import PostgresProjection
from shared.environment import Environment
from tests.properties.projections import POSTGRES_PROJECTIONS

# The runtime's own: positions, and the sets of people and posts that are gone, which outlive them on purpose.
# What is parked or was dropped goes with its subject by the sweeper's own statement.
RUNTIME_TABLES = {"position", "erased", "gone", "parked", "dropped", "breaker"}


@pytest.fixture(scope="module")
def columns(servers: Environment, scratch_database: str) -> dict[tuple[str, str], dict[str, str]]:
    """(schema, table) -> column -> SQL type, of everything that prepare makes."""
    asyncio.run(prepare(replace(servers, read_database_url=scratch_database), list(POSTGRES_PROJECTIONS.values())))
    found: dict[tuple[str, str], dict[str, str]] = {}
    with psycopg.connect(scratch_database) as connection:
        rows = connection.execute(
            """select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
                 from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
                where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
                  and n.nspname not in ('pg_catalog', 'information_schema')"""
        )
        for schema, table, column, kind in rows:
            found.setdefault((schema, table), {})[column] = kind
    return found


def declared(projection: PostgresProjection) -> dict[str, Any]:
    tables: list[Any] = [*projection.tables, *projection.count_tables]
    return {table.name: table for table in tables}


@pytest.mark.parametrize("name", POSTGRES_PROJECTIONS)
def test_every_table_and_column_says_whose_it_is(name: str, columns: dict[tuple[str, str], dict[str, str]]) -> None:
    projection = POSTGRES_PROJECTIONS[name]
    tables = declared(projection)
    made = {
        table: names for (schema, table), names in columns.items() if schema == name and table not in RUNTIME_TABLES
    }
    assert made.keys() == tables.keys(), (
        f"{name}: tables.sql makes {sorted(made)}, the fold declares {sorted(tables)}; "
        "declare each as a Table or a CountTable"
    )
    for table, names in made.items():
        runtime_own = (
            {column for column, _ in added_columns(projection, tables[table])}
            if hasattr(tables[table], "groups")
            else set()
        )
        unsaid = names.keys() - tables[table].whose.keys() - runtime_own
        assert not unsaid, (
            f"{name}.{table}: say in `whose` whose data {sorted(unsaid)} is: a column with their id, or NOBODY"
        )
        absent = tables[table].whose.keys() - names.keys()
        assert not absent, f"{name}.{table} declares {sorted(absent)}, which tables.sql does not make"


@pytest.mark.parametrize("name", POSTGRES_PROJECTIONS)
def test_owners_and_what_ends_a_row_are_columns_of_it(name: str) -> None:
    for table in declared(POSTGRES_PROJECTIONS[name]).values():
        for column, owner in table.whose.items():
            assert owner == NOBODY or owner in table.whose, (
                f"{name}.{table.name}.{column} is declared as {owner!r}'s, no column"
            )
        ends = {*table.erased_with, *table.gone_with}
        assert ends <= table.whose.keys(), (
            f"{name}.{table.name} ends with {sorted(ends - table.whose.keys())}, no columns of it"
        )


@pytest.mark.parametrize("name", POSTGRES_PROJECTIONS)
def test_every_count_goes_into_a_declared_table(name: str) -> None:
    projection = POSTGRES_PROJECTIONS[name]
    kept = {table.name: table for table in projection.count_tables}
    for table in projection.tables:
        for count in table.counts:
            assert count.into in kept, f"{name}.{table.name} counts into {count.into}: declare it as a CountTable"
            assert set(count.by) == set(kept[count.into].key), f"{name}.{table.name}: {count.into} has another key"
            assert count.column in kept[count.into].columns


@pytest.mark.parametrize("name", POSTGRES_PROJECTIONS)
def test_types_are_those_of_the_table(name: str, columns: dict[tuple[str, str], dict[str, str]]) -> None:
    for table in POSTGRES_PROJECTIONS[name].tables:
        said = {**table.key, **{column: kind for group in table.groups.values() for column, kind in group.items()}}
        long = {"timestamptz": "timestamp with time zone", "int": "integer", "bool": "boolean"}
        said = {column: long.get(kind, kind) for column, kind in said.items()}
        made = {column: columns[name, table.name][column] for column in said}
        assert made == said, f"{name}.{table.name}: the declared types are not those of tables.sql"


def test_prepare_makes_nothing_outside_its_schemas(columns: dict[tuple[str, str], dict[str, str]]) -> None:
    schemas = {schema for schema, _ in columns}
    assert schemas <= {*POSTGRES_PROJECTIONS, "delivery"}, "a table of tables.sql fell into another schema"
