"""The SQL of a repair: what an id's rows are and what they ought to be, and which counts do not fit their rows.

Everything it makes for itself is temporary, of one session:

    staged_<table>    what the log says of an id's rows, as it came (runtime/staging.py)
    differ_<table>    the keys, of rows and of counts, that seem wrong; only these are looked at under the lock
    wanted_<table>    these rows as they ought to be; before_<table> as they are. Both last as long as the transaction

Rows of erased people and gone posts are not looked at on either side: they are the sweeper's.
"""

from collections.abc import Iterator

from projectors.runtime.apply import absences, column_types
from projectors.runtime.changes import Count, CountTable, Table
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.row_scope import Scope, key_ids
from projectors.runtime.staging import merged_sql, staged, staged_columns

OWN = "pg_temp"  # the schema of a session's temporary tables


def temporary_tables(projection: PostgresProjection) -> Iterator[str]:
    for table in projection.tables:
        yield f"create temporary table {staged(table)} ({staged_columns(table)})"


def unknown_rows(projection: PostgresProjection, table: Table, scope: Scope) -> str:
    """The key ids of rows that name the ids, but not by their key, and of which no event was found that does."""
    schema, key = projection.name, ", ".join(f"t.{column}" for column in table.key)
    names = ", ".join(f"t.{column}" for column in key_ids(table))
    return f"""
select {names} from {schema}.{table.name} as t
 where {scope.condition(table, "t")} and not ({scope.in_key(table, "t")}){_there(projection, table, "t")}
   and ({key}) not in (select {", ".join(table.key)} from {staged(table)})"""


def differing_rows(projection: PostgresProjection, table: Table, scope: Scope) -> str:
    """Makes differ_<table>. Workers go on meanwhile, so that a row may be in it that is right."""
    key, names = ", ".join(table.key), ", ".join(column_types(table))
    merged = merged_sql(projection, projection.name, table, f"(select * from {staged(table)}) as s")
    there = _there(projection, table, "t")
    return f"""
create temporary table differ_{table.name} as
with merged as materialized ({merged}),
scoped as materialized (
  select {key} from {projection.name}.{table.name} as t where {scope.condition(table, "t")}{there}),
wanted as materialized (
  select m.* from merged as m where {scope.condition(table, "m")} or ({key}) in (select {key} from scoped)),
found as materialized (
  select {names} from {projection.name}.{table.name} as t
   where ({key}) in (select {key} from wanted union select {key} from scoped){there})
select {key} from wanted as w full join found as f using ({key}) where {_differ(table)}"""


def rows_in_scope(projection: PostgresProjection, table: Table, scope: Scope) -> str:
    where = f"{scope.condition(table, 't')}{_there(projection, table, 't')}"
    return f"select count(*) from {projection.name}.{table.name} as t where {where}"


def locked_rows(projection: PostgresProjection, table: Table) -> list[str]:
    """Locks the rows under differ_<table>, then makes wanted_<table> and before_<table> of them."""
    schema, key = projection.name, ", ".join(table.key)
    names, there = ", ".join(f"t.{name}" for name in column_types(table)), _there(projection, table, "t")
    ordered = ", ".join(f"t.{column}" for column in table.key)
    few = f"(select s.* from {staged(table)} as s join differ_{table.name} using ({key})) as s"
    return [
        f"""select from {schema}.{table.name} as t join differ_{table.name} using ({key})
             order by {ordered} for update of t""",
        f"create temporary table wanted_{table.name} on commit drop as {merged_sql(projection, schema, table, few)}",
        f"""create temporary table before_{table.name} on commit drop as
            select {names} from {schema}.{table.name} as t join differ_{table.name} using ({key}) where true{there}""",
        # What was right after all, since a worker was at it when the two were compared.
        f"create temporary table right_{table.name} on commit drop as select {key} from wanted_{table.name} as w"
        f" join before_{table.name} as f using ({key}) where not {_differ(table)}",
        f"delete from wanted_{table.name} as w using right_{table.name} as r where {_same(table, 'w', 'r')}",
        f"delete from before_{table.name} as f using right_{table.name} as r where {_same(table, 'f', 'r')}",
    ]


def row_differences(table: Table) -> str:
    """Key, columns as they are and columns as they ought to be, as text; null where there is no row."""
    own = [name for name in column_types(table) if name not in table.key]
    key = ", ".join(f"{column}::text" for column in table.key)

    def side(row: str) -> str:
        texts = ", ".join(f"{row}.{name}::text" for name in own)
        return f"case when {row}.there then array[{texts}]::text[] end"

    return f"""
select array[{key}], {side("f")}, {side("w")}
  from (select *, true as there from before_{table.name}) as f
  full join (select *, true as there from wanted_{table.name}) as w using ({", ".join(table.key)})
 where {_differ(table)}
 order by {", ".join(table.key)}"""


def mended_rows(projection: PostgresProjection, table: Table) -> list[str]:
    """Deletes the rows that ought not to be, and sets the others to what they ought to be."""
    schema, names = projection.name, ", ".join(column_types(table))
    own = [name for name in column_types(table) if name not in table.key]
    settings = ", ".join(f"{name} = excluded.{name}" for name in own)
    return [
        f"""delete from {schema}.{table.name} as t using before_{table.name} as f
             where {_same(table, "t", "f")}
               and not exists (select from wanted_{table.name} as w where {_same(table, "w", "f")})""",
        f"""insert into {schema}.{table.name} as t ({names})
            select {names} from wanted_{table.name} order by {", ".join(table.key)}
            on conflict ({", ".join(table.key)}) do update set {settings}""",
    ]


def differing_counts(projection: PostgresProjection, counts: CountTable, scope: Scope) -> str:
    """Makes differ_<table> of the id's counts, in one snapshot: there every count fits its rows, or is wrong."""
    schema, key = projection.name, ", ".join(counts.key)
    sources = [
        _keys_of(count, f"(select * from {schema}.{table.name} as t where {scope.condition(table, 't')})")
        for table, count in _counted_into(projection, counts)
    ]
    own = scope.in_key(counts, "k")
    if len(scope.ids) == 1:
        sources.append(f"select {key} from {schema}.{counts.name} as k where {own}")
    else:
        own = "true"  # an edge is counted under one of its ends
    keys = f"(select distinct {key} from ({' union all '.join(sources)}) as k where {own})"
    found = ", ".join(f"d.{column}" for column in counts.key)
    return f"""
create temporary table differ_{counts.name} as
select {found} from ({_counted(projection, counts, keys)}) as d
  left join {schema}.{counts.name} as c using ({key}) where {_counts_differ(projection, counts)}"""


def locked_counts(projection: PostgresProjection, counts: CountTable) -> list[str]:
    """Adds to differ_<table> what the changed rows are counted under, before and after, and locks these counts."""
    schema, key = projection.name, ", ".join(counts.key)
    ordered = ", ".join(f"c.{column}" for column in counts.key)
    touched = [
        _keys_of(count, f"{side}_{table.name}")
        for table, count in _counted_into(projection, counts)
        for side in ("before", "wanted")
    ]
    return [
        f"insert into differ_{counts.name} ({key}) {' union '.join(touched)}",
        f"""select from {schema}.{counts.name} as c
             where ({key}) in (select {key} from differ_{counts.name}) order by {ordered} for update""",
        f"""create temporary table wanted_{counts.name} on commit drop as
            select d.* from ({_counted(projection, counts, f"(select distinct {key} from differ_{counts.name})")}) as d
              left join {schema}.{counts.name} as c using ({key}) where {_counts_differ(projection, counts)}""",
    ]


def count_differences(projection: PostgresProjection, counts: CountTable) -> str:
    key = ", ".join(f"w.{column}::text" for column in counts.key)

    def side(row: str) -> str:
        return f"array[{', '.join(f'coalesce({row}.{column}, 0)::text' for column in counts.columns)}]"

    return f"""
select array[{key}], {side("c")}, {side("w")}
  from wanted_{counts.name} as w left join {projection.name}.{counts.name} as c using ({", ".join(counts.key)})
 order by {", ".join(counts.key)}"""


def mended_counts(projection: PostgresProjection, counts: CountTable) -> str:
    names = ", ".join((*counts.key, *counts.columns))
    settings = ", ".join(f"{column} = excluded.{column}" for column in counts.columns)
    return f"""insert into {projection.name}.{counts.name} as c ({names})
select {names} from wanted_{counts.name} order by {", ".join(counts.key)}
on conflict ({", ".join(counts.key)}) do update set {settings}"""


def _there(projection: PostgresProjection, table: Table | CountTable, row: str) -> str:
    return "".join(f" and {condition}" for condition in absences(projection, projection.name, table, row))


def _same(table: Table, one: str, other: str) -> str:
    return " and ".join(f"{one}.{column} = {other}.{column}" for column in table.key)


def _differ(table: Table) -> str:
    """Whether the rows `w` and `f` of one key differ, one of which may not be there."""
    own = [name for name in column_types(table) if name not in table.key]
    first = next(iter(table.key))
    columns = [", ".join(f"{row}.{name}" for name in own) for row in ("w", "f")]
    return f"((w.{first} is null) <> (f.{first} is null) or row({columns[0]}) is distinct from row({columns[1]}))"


def _counted_into(projection: PostgresProjection, counts: CountTable) -> Iterator[tuple[Table, Count]]:
    for table in projection.tables:
        for count in table.counts:
            if count.into == counts.name:
                yield table, count


def _keys_of(count: Count, rows: str) -> str:
    """What the rows are, or would be, counted under."""
    keys = ", ".join(f"r.{column} as {into}" for into, column in count.by.items())
    known = " and ".join(f"r.{column} is not null" for column in count.by.values())
    return f"select {keys} from {rows} as r where {known}"


def _counted(projection: PostgresProjection, counts: CountTable, keys: str) -> str:
    """The counts of these keys as the live rows give them, zeros included."""
    key = ", ".join(counts.key)
    terms = [f"select {key}, {', '.join(f'0 as {column}' for column in counts.columns)} from wanted_keys"]
    for table, count in _counted_into(projection, counts):
        same = " and ".join(f"r.{column} = k.{into}" for into, column in count.by.items())
        own = ", ".join(f"k.{into}" for into in counts.key)
        amounts = ", ".join(str(int(column == count.column)) for column in counts.columns)
        source = f"{projection.name}.{table.name}"
        terms.append(f"select {own}, {amounts} from wanted_keys as k join {source} as r on {same} where r.counted")
    sums = ", ".join(f"sum({column})::bigint as {column}" for column in counts.columns)
    return f"""with wanted_keys as materialized (select * from {keys} as k)
select {key}, {sums} from ({" union all ".join(terms)}) as each group by {key}"""


def _counts_differ(projection: PostgresProjection, counts: CountTable) -> str:
    different = " or ".join(f"d.{column} <> coalesce(c.{column}, 0)" for column in counts.columns)
    return f"({different}){_there(projection, counts, 'd')}"
