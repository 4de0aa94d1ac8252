"""The SQL of a bulk rebuild: rows are staged as they come, then each table is made of them at once, newest wins.

Staging tables are unlogged and have no index, so that a COPY costs little; a crash of the server empties them together
with the progress that says what they hold. What the statements of runtime/apply.py do row by row is done here for all:

    per group of columns   the newest event's values, whichever chunk or partition they came in
    erased and gone        rows that name an erased person or a gone post are left out, and counts of them
    counts                 summed up anew from the rows that count
"""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from projectors.runtime.apply import absences, column_types, counted_terms, event_column, has_gone, plain
from projectors.runtime.changes import Changes, CountTable, Table
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores.arrays import wire_type
from projectors.runtime.stores.copying import Cells, cells, copied

SEGMENT = "load_segment"
# A big table is made by so many statements at once, each of a share of its keys.
SHARES = 2


def staged(table: Table) -> str:
    return f"staged_{table.name}"


def staging_ddl(projection: PostgresProjection, schema: str) -> str:
    """The staging tables, and how far each part of the log is in them."""
    tables = "".join(
        f"create unlogged table {schema}.{staged(table)} ({staged_columns(table)}) with (autovacuum_enabled = off);\n"
        for table in projection.tables
    )
    return f"""{tables}
create unlogged table {schema}.{SEGMENT} (
  topic text, partition integer, first_offset bigint, until_offset bigint not null, next_offset bigint not null,
  last_event uuid, primary key (topic, partition, first_offset));"""


def staged_columns(table: Table) -> str:
    return ", ".join(f"{name} {wire_type(kind)}" for name, kind in column_types(table).items())


def staging_tables(projection: PostgresProjection) -> list[str]:
    return [*(staged(table) for table in projection.tables), SEGMENT]


def copies(projection: PostgresProjection, schema: str, changes: Changes) -> Iterator[tuple[str, bytes]]:
    """For each table with changed rows the COPY statement and all it sends."""
    for table in projection.tables:
        rows = changes.rows.get(table.name)
        if not rows:
            continue
        columns: list[Cells] = [
            cells(kind, values) for kind, values in zip(table.key.values(), zip(*rows, strict=True), strict=True)
        ]
        for group, types in table.groups.items():
            nothing: tuple[UUID | None, tuple[Any, ...]] = (None, (None,) * len(types))
            # A row of a table with one group has that group.
            set_groups: list[tuple[UUID | None, tuple[Any, ...]]] = (
                [groups[group] for groups in rows.values()]
                if len(table.groups) == 1
                else [groups.get(group, nothing) for groups in rows.values()]
            )
            columns.append(cells("uuid", [event for event, _ in set_groups]))
            if types:
                by_column = zip(*[values for _, values in set_groups], strict=True)
                columns += [cells(kind, values) for kind, values in zip(types.values(), by_column, strict=True)]
        names = ", ".join(column_types(table))
        yield f"copy {schema}.{staged(table)} ({names}) from stdin (format binary)", copied(columns)


def merge_sql(projection: PostgresProjection, schema: str, table: Table, share: int, shares: int) -> str:
    """Makes the table's rows of one share of the keys."""
    first_key = next(iter(table.key))
    of_share = "true" if shares == 1 else f"uuid_hash({first_key}) & {shares - 1} = {share}"
    source = f"(select * from {schema}.{staged(table)} where {of_share}) as s"
    names = ", ".join(column_types(table))
    return f"insert into {schema}.{table.name} ({names})\n{merged_sql(projection, schema, table, source)}"


def merged_sql(projection: PostgresProjection, schema: str, table: Table, source: str) -> str:
    """The table's rows as the staged rows of `source` make them, without erased people's and gone posts'."""
    key = ", ".join(table.key)
    absent = "".join(f" and {condition}" for condition in absences(projection, schema, table, "m"))
    casts = {
        name: f"{name}::{kind}" if wire_type(kind) != plain(kind) else name
        for name, kind in column_types(table).items()
    }
    if len(table.groups) == 1:
        (group,) = table.groups
        newest = f"select distinct on ({key}) * from {source} order by {key}, {event_column(group)} desc"
    else:
        joined = "".join(
            f"\n  left join (select distinct on ({key}) {', '.join([key, *columns])} from {source}"
            f" where {columns[0]} is not null order by {key}, {columns[0]} desc) as g{number} using ({key})"
            for number, columns in enumerate([event_column(group), *types] for group, types in table.groups.items())
        )
        newest = f"select * from (select distinct {key} from {source}) as k{joined}"
    return f"select {', '.join(casts.values())} from ({newest}) as m where true{absent}"


def shares_of(table: Table) -> int:
    """Into how many statements a table's merge can be cut: by its first key column, where that is an id."""
    return SHARES if next(iter(table.key.values())) == "uuid" else 1


def count_sql(projection: PostgresProjection, schema: str, counts: CountTable) -> str:
    """Makes a table of counts from the rows that count."""
    key = ", ".join(counts.key)
    terms = []
    for table in projection.tables:
        for count in table.counts:
            if count.into == counts.name:
                term = counted_terms(
                    count, lambda column: f"r.{column}", f"{schema}.{table.name} as r", "1", "r.counted"
                )
                columns = ", ".join(c if c == count.column else f"0 as {c}" for c in counts.columns)
                terms.append(f"select {key}, {columns} from ({term}) as one")
    if not terms:
        return ""
    names = ", ".join([key, *counts.columns])
    sums = ", ".join(f"sum({column}) as {column}" for column in counts.columns)
    absent = " and ".join(("true", *absences(projection, schema, counts, "d")))
    union = "\n union all ".join(terms)
    return f"""insert into {schema}.{counts.name} ({names})
select {names} from (select {key}, {sums} from ({union}) as each group by {key}) as d where {absent}"""


def position_sql(schema: str) -> str:
    """The positions of all that was loaded; the newest segment of a partition knows its last event."""
    return f"""insert into {schema}.position (topic, partition, next_offset, epoch, owner, last_event)
select distinct on (topic, partition) topic, partition, next_offset, 0, 'rebuild', last_event
  from {schema}.{SEGMENT} order by topic, partition, first_offset desc"""


def entered_sets(projection: PostgresProjection, changes: Changes) -> Iterator[tuple[str, str, Mapping[UUID, UUID]]]:
    """The sets that have new entries: name, column, entries."""
    if changes.erased:
        yield "erased", "user_id", changes.erased
    if changes.gone and has_gone(projection):
        yield "gone", "post_id", changes.gone
