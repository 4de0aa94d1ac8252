"""Whether two schemas of a projection hold the same, exactly and in whatever order: digests first, then the first key.

A row's digest is PostgreSQL's 64-bit hash of its declared columns under two seeds; a table's is the number of its rows
and the exact sums of those, kept for 1,024 buckets of the key, so that a difference is found by reading few rows.

Compared is what readers can see: rows that name an erased person or a gone post are left out, and so are rows that do
not say yet whose they are, since whether such a rest stands depends on when a sweep came by. A count is compared as it
will be once what is erased is swept: what unswept rows still count is taken off. A row of zeros equals no row. The
runtime's own columns (`was_*`) say nothing of the state.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from psycopg import Connection

from projectors.runtime.apply import absences, column_types, counted_terms, event_column, has_gone
from projectors.runtime.changes import CountTable, Table
from projectors.runtime.projection import PostgresProjection

BUCKETS = 1_024
BUCKETS_READ = 32  # of those that differ
Digest = tuple[int, int, int]


@dataclass(frozen=True)
class Compared:
    """One table's columns and the query of its rows, the key first. The schema's name is put in for {schema}."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    query: str

    def rows(self, schema: str) -> str:
        return self.query.replace("{schema}", schema)


@dataclass(frozen=True)
class KeyDifference:
    """The first key of a table under which the two differ, with the columns that do, of each side; None: no row."""

    table: str
    key: Mapping[str, str]
    live: Mapping[str, str] | None
    rebuilt: Mapping[str, str] | None


@dataclass
class Comparison:
    """What was compared. `changed` names the columns that this version declares changed; they were not compared."""

    rows: dict[str, int] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)
    first: list[KeyDifference] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    parked: dict[str, int] = field(default_factory=dict)  # records set aside, `live` and `rebuilt`

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compared(projection: PostgresProjection, changed: Collection[str]) -> list[Compared]:
    """What is compared of each table. `changed` names columns or tables as `table.column` or `table`.

    Raises LookupError for one that there is not, ValueError for a key column.
    """
    known = {f"{table.name}.{name}" for table in projection.tables for name in column_types(table)}
    known |= {f"{table.name}.{name}" for table in projection.count_tables for name in (*table.key, *table.columns)}
    tables = {each.partition(".")[0] for each in known}
    if unknown := set(changed) - known - tables:
        raise LookupError(f"{projection.name} has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    made: list[Compared] = []
    for table in projection.tables:
        if table.name not in changed:
            made.append(_of_table(projection, table, changed))
    for counts in projection.count_tables:
        if counts.name not in changed:
            made.append(_of_counts(projection, counts, changed))
    for name, column in (("erased", "user_id"), ("gone", "post_id"))[: 2 if has_gone(projection) else 1]:
        made.append(Compared(name, (column,), (), f"select {column} from {{schema}}.{name}"))
    return made


def _of_table(projection: PostgresProjection, table: Table, changed: Collection[str]) -> Compared:
    key = tuple(table.key)
    _refuse_keys(table.name, key, changed)
    columns = tuple(
        name for name in column_types(table) if name not in table.key and f"{table.name}.{name}" not in changed
    )
    ends = {*table.erased_with, *(table.gone_with if has_gone(projection) else ())}
    whole = [f"t.{event_column(group)} is not null" for group, own in table.groups.items() if ends & own.keys()]
    conditions = " and ".join(["true", *whole, *absences(projection, "{schema}", table, "t")])
    names = ", ".join(f"t.{name}" for name in (*key, *columns))
    return Compared(table.name, key, columns, f"select {names} from {{schema}}.{table.name} as t where {conditions}")


def _of_counts(projection: PostgresProjection, counts: CountTable, changed: Collection[str]) -> Compared:
    key = tuple(counts.key)
    _refuse_keys(counts.name, key, changed)
    columns = tuple(name for name in counts.columns if f"{counts.name}.{name}" not in changed)
    keys = ", ".join(key)
    terms = [f"select {keys}, {', '.join(columns)} from {{schema}}.{counts.name}"] if columns else []
    for table in projection.tables:
        excluded = _excluded(projection, table)
        for count in table.counts:
            if count.into == counts.name and count.column in columns and excluded:
                term = counted_terms(
                    count,
                    lambda column: f"r.{column}",
                    f"{{schema}}.{table.name} as r",
                    "-1",
                    f"r.counted and ({excluded})",
                )
                each = ", ".join(name if name == count.column else f"0 as {name}" for name in columns)
                terms.append(f"select {keys}, {each} from ({term}) as unswept")
    sums = ", ".join(f"sum({name})::bigint as {name}" for name in columns)
    conditions = " and ".join(["true", *absences(projection, "{schema}", counts, "d")])
    union = " union all ".join(terms)
    query = f"select {keys} from {{schema}}.{counts.name} where false"
    if columns:
        nonzero = " or ".join(f"sum({name}) <> 0" for name in columns)
        query = f"select {keys}, {sums} from ({union}) as d where {conditions} group by {keys} having {nonzero}"
    return Compared(counts.name, key, columns, query)


def _excluded(projection: PostgresProjection, table: Table) -> str:
    """The condition of rows that a sweep has still to delete; entries that are done have none left."""
    found = [
        f"r.{column} in (select user_id from {{schema}}.erased where done_at is null)" for column in table.erased_with
    ]
    if has_gone(projection):
        found += [
            f"r.{column} in (select post_id from {{schema}}.gone where done_at is null)" for column in table.gone_with
        ]
    return " or ".join(found)


def _refuse_keys(table: str, key: Sequence[str], changed: Collection[str]) -> None:
    if keys := {f"{table}.{name}" for name in key} & set(changed):
        raise ValueError(f"{', '.join(sorted(keys))} is in the table's key: declare the whole table {table} changed")


def digests(connection: Connection[Any], schema: str, what: Compared) -> dict[int, Digest]:
    """Bucket of the key -> number of rows and sums of their hashes; empty buckets are left out."""
    keys = ", ".join(f"t.{name}" for name in what.key)
    all_columns = ", ".join(f"t.{name}" for name in (*what.key, *what.columns))
    rows = connection.execute(
        f"""
        select hash_record_extended(row({keys}), 0) & {BUCKETS - 1} as bucket, count(*),
               sum(hash_record_extended(row({all_columns}), 1)::numeric),
               sum(hash_record_extended(row({all_columns}), 2)::numeric)
          from ({what.rows(schema)}) as t group by 1""".encode()
    ).fetchall()
    return {bucket: (number, int(one), int(two)) for bucket, number, one, two in rows}


def differing_buckets(live: Mapping[int, Digest], rebuilt: Mapping[int, Digest]) -> list[int]:
    return sorted(bucket for bucket in {*live, *rebuilt} if live.get(bucket) != rebuilt.get(bucket))


def rows_in(
    connection: Connection[Any], schema: str, what: Compared, buckets: Sequence[int]
) -> dict[tuple[Any, ...], tuple[str, ...]]:
    """The rows of these buckets by key, values as text."""
    keys = ", ".join(f"t.{name}" for name in what.key)
    texts = ", ".join(f"coalesce(t.{name}::text, 'null')" for name in (*what.key, *what.columns))
    rows = connection.execute(
        f"select {texts} from ({what.rows(schema)}) as t"
        f" where hash_record_extended(row({keys}), 0) & {BUCKETS - 1} = any(%s)".encode(),
        (list(buckets),),
    ).fetchall()
    width = len(what.key)
    return {tuple(row[:width]): tuple(row[width:]) for row in rows}


def first_difference(
    what: Compared, live: Mapping[tuple[Any, ...], tuple[str, ...]], rebuilt: Mapping[tuple[Any, ...], tuple[str, ...]]
) -> KeyDifference | None:
    """The least key under which the two differ."""
    for key in sorted({*live, *rebuilt}):
        mine, other = live.get(key), rebuilt.get(key)
        if mine != other:
            differ = [
                index
                for index in range(len(what.columns))
                if mine is None or other is None or mine[index] != other[index]
            ]
            return KeyDifference(
                what.table,
                dict(zip(what.key, key, strict=True)),
                _named(what, differ, mine),
                _named(what, differ, other),
            )
    return None


def _named(what: Compared, indexes: Sequence[int], values: Sequence[str] | None) -> dict[str, str] | None:
    return None if values is None else {what.columns[index]: values[index] for index in indexes}


def compare(
    projection: PostgresProjection,
    live_digests: Mapping[str, Mapping[int, Digest]],
    live: Connection[Any],
    rebuilt: Connection[Any],
    rebuilt_schema: str,
    changed: Collection[str],
) -> Iterator[tuple[Compared, int, KeyDifference | None]]:
    """Each table with the number of its rows, and the first key under which the rebuilt schema differs.

    `live` is still in the snapshot that its digests were taken in.
    """
    for what in compared(projection, changed):
        mine, other = live_digests[what.table], digests(rebuilt, rebuilt_schema, what)
        buckets = differing_buckets(mine, other)
        difference = None
        if buckets:
            few = buckets[:BUCKETS_READ]
            difference = first_difference(
                what, rows_in(live, projection.name, what, few), rows_in(rebuilt, rebuilt_schema, what, few)
            )
        yield what, sum(number for number, _, _ in other.values()), difference
