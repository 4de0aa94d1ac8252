"""One SQL statement per batch: newest wins per group of columns, counts follow the changed rows, position first.

What a statement does, in this order (each step is a CTE; the whole is one autocommit statement):

    advanced             compare-and-set on position: no row here, and nothing below happens
    rows_<table>         the batch's rows from arrays, joined to `advanced`, without erased people's and gone posts'
    changed_<table>      insert ... on conflict do update: a group is taken where it is newer, a row where a group is
    delta_<into>, count_<into>
                         the counts: -1 for what the locked old row counted, +1 for what the new one counts
    erased_now, gone_now entries of the sets `erased` and `gone` (the sweeper, runtime/erasure.py, does the rest)
    (effects)            see below
    parked_now, released_now
                         what the step sets aside and takes back (runtime/parking_lot.py), where it does

The old values of a row are never taken from the statement's snapshot, which may be older than the row that is locked.
The update itself keeps them: `was_counted = t.counted` reads the locked version. Those columns are the runtime's own,
added to the tables by runtime/prepare.py:

    counted              generated: Table.counted, false where it is null
    was_counted          what `counted` was before the row's last change (false for a new row)
    was_<column>         the same for each group column that a Count groups by, or that the table has `remembered`
    was_<group>_event    the same for each group, on tables that `effects` reads

So tables.sql holds plain tables: the key, the groups' columns (all nullable) and `<group>_event uuid` for each group.

Values in Changes.rows, by SQL type: uuid -> UUID; text -> str; boolean -> bool; integer, bigint -> int; timestamptz ->
datetime, or whole microseconds since 1970 as int; jsonb -> a dict or list, or a str that is JSON already; uuid[],
text[] -> a sequence. None is null, anywhere but in a key.

Effects (PostgresProjection.effects): CTEs, separated by commas, without `with` and without a comma at either end. They
are part of the statement when one of the tables they name as `changed_<table>` is among the batch's rows; the others of
them then have no row. `{schema}` stands for the projection's schema; a percent sign is written once. The last one must
be called `effect`; the statement reads all its rows, so that functions called in its select list are run. A rebuild
leaves effects out. `changed_<table>` has a row for each row inserted or changed by this statement, with the columns

    every key and group column      as they are now
    <group>_event                   the event that set the group, null when none did
    <group>_changed                 boolean: whether this statement set the group
    was_<group>_event               the event that had set it before, null for a new row or group
    counted, was_counted            on tables that declare `counted`: whether the row counts now, and did before
    was_<column>                    what each `remembered` column was before, null for a new row or group

projectors/notifications/told_by_changes.sql with frames.sql is one: a frame for each notification that came or went,
numbered under its recipient's row lock.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from projectors.runtime.changes import Changes, Count, Groups, Key, Table
from projectors.runtime.parking_lot import Aside, aside_ctes
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores.arrays import Packed, packer, uuid_array, wire_type
from projectors.runtime.stores.port import Advance
from shared.ids import NIL

# Where the sweeper listens for new entries of `erased` and `gone`; the payload is the schema's name.
SWEEP_CHANNEL = "rookery_sweep"
ADVANCE_PARAMETERS = 6


@dataclass(frozen=True)
class Statement:
    """One statement and the columns it takes behind the position's parameters, table by table."""

    sql: str
    tables: tuple[Table, ...]
    erased: bool
    gone: bool


def statement_for(projection: PostgresProjection, schema: str, changes: Changes, with_aside: bool = False) -> Statement:
    """The statement for the kinds of changes in this batch; equal kinds have the same statement, so it is prepared
    once."""
    names = tuple(sorted(name for name, rows in changes.rows.items() if rows))
    known = _Known(projection)
    return _compose(projection.name, schema, names, bool(changes.erased), bool(changes.gone), known, with_aside)


def parameters(statement: Statement, step: Advance, changes: Changes, aside: Aside | None = None) -> list[Any]:
    """The statement's values: the step of the position, then an array for each column, then what is set aside."""
    values: list[Any] = [
        step.partition.topic,
        step.partition.number,
        step.previous,
        step.epoch,
        step.next,
        step.last_event,
    ]
    for table in statement.tables:
        values.extend(_packed_columns(table, changes.rows[table.name]))
    for wanted, entries in ((statement.erased, changes.erased), (statement.gone, changes.gone)):
        if wanted:
            values.append(uuid_array(list(entries)))
            values.append(uuid_array(list(entries.values())))
    if aside is not None:
        values.extend(aside.parameters())
    return values


def event_column(group: str) -> str:
    return f"{group}_event"


def has_gone(projection: PostgresProjection) -> bool:
    """Whether the projection keeps the set of deleted posts: it reads the topic that tells of them."""
    return "posts" in projection.topics


def count_by_columns(table: Table) -> tuple[str, ...]:
    """The group columns that a count groups by, whose old values must be kept: they can change, unlike the key."""
    return tuple(sorted({column for count in table.counts for column in count.by.values()} - set(table.key)))


def _kept_columns(table: Table) -> tuple[str, ...]:
    return tuple(sorted({*count_by_columns(table), *table.remembered}))


def read_by_effects(projection: PostgresProjection) -> frozenset[str]:
    """The tables whose changes the projection's effects read."""
    return frozenset(re.findall(r"\bchanged_(\w+)", projection.effects))


def added_columns(projection: PostgresProjection, table: Table) -> Iterator[tuple[str, str]]:
    """The columns that the runtime adds to a table, with their types; see the top of this module."""
    if table.counted:
        yield "counted", f"boolean not null generated always as (coalesce({table.counted}, false)) stored"
        yield "was_counted", "boolean not null default false"
    types = column_types(table)
    for column in _kept_columns(table):
        yield f"was_{column}", types[column]
    if table.name in read_by_effects(projection):
        for group in table.groups:
            yield f"was_{event_column(group)}", "uuid"


def column_types(table: Table) -> dict[str, str]:
    """Every declared column of the table with its SQL type: the key, then per group its event and its columns."""
    types = dict(table.key)
    for group, columns in table.groups.items():
        types[event_column(group)] = "uuid"
        types.update(columns)
    return types


def counted_terms(count: Count, counted_key: Callable[[str], str], row: str, amount: str, condition: str) -> str:
    """One `select` of count changes: key columns under their names in the count table, then `column` and its amount."""
    keys = ", ".join(f"{counted_key(column)} as {into}" for into, column in count.by.items())
    known = " and ".join(f"{counted_key(column)} is not null" for column in count.by.values())
    return f"select {keys}, {amount} as {count.column} from {row} where {condition} and {known}"


class _Known:
    """A projection as part of a cache's key: the same object is the same projection, without hashing all it
    declares."""

    def __init__(self, projection: PostgresProjection) -> None:
        self.projection = projection

    def __hash__(self) -> int:
        return id(self.projection)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.projection is self.projection


@lru_cache(maxsize=1_000)
def _compose(
    _name: str, schema: str, names: tuple[str, ...], erased: bool, gone: bool, known: _Known, with_aside: bool
) -> Statement:
    projection = known.projection
    tables = tuple(table for table in projection.tables if table.name in names)
    unknown = set(names) - {table.name for table in tables}
    if unknown:
        raise LookupError(
            f"the fold of {projection.name} answers rows of tables it does not declare: {sorted(unknown)}"
        )
    next_parameter = iter(range(ADVANCE_PARAMETERS + 1, 10_000))
    ctes = [_advanced(schema)]
    answers = ["(select count(*) from advanced)"]
    effects = read_by_effects(projection)
    for table in tables:
        ctes.append(_rows(projection, schema, table, next_parameter))
        ctes.append(_changed(schema, table, with_old_events=table.name in effects))
        answers.append(f"(select count(*) from changed_{table.name})")
    for into, cte in count_ctes(projection, schema, tables, "changed_").items():
        ctes.append(cte)
        answers.append(f"(select count(*) from count_{into})")
    if erased:
        ctes.append(_entered(schema, "erased", "user_id", next_parameter))
        answers.append("(select count(signal::text) from erased_signal as signal)")
    if gone:
        ctes.append(_entered(schema, "gone", "post_id", next_parameter))
        answers.append("(select count(signal::text) from gone_signal as signal)")
    if effects & set(names):
        for table in projection.tables:
            if table.name in effects - set(names):
                ctes.append(_unchanged(table))
        ctes.append(projection.effects.strip().replace("{schema}", schema))
        answers.append("(select count(done::text) from effect as done)")
    if with_aside:
        here = "(select $1::text as topic, $2::integer as partition from advanced)"
        ctes.append(aside_ctes(schema, here, next(next_parameter), next(next_parameter)))
    # Scalar subqueries of a select list are run in their order, so that tables are written in the same order
    # everywhere.
    sql = "with " + ",\n".join(ctes) + "\nselect " + ",\n  ".join(answers)
    return Statement(sql, tables, erased, gone)


def _advanced(schema: str) -> str:
    return f"""advanced as (
  update {schema}.position
     set next_offset = $5::bigint, last_event = coalesce($6::uuid, last_event), advanced_at = clock_timestamp()
   where topic = $1::text and partition = $2::integer and next_offset = $3::bigint and epoch = $4::bigint
  returning 1)"""


def _rows(projection: PostgresProjection, schema: str, table: Table, next_parameter: Iterator[int]) -> str:
    types = column_types(table)
    arrays = ", ".join(f"${next(next_parameter)}::{wire_type(kind)}[]" for kind in types.values())
    columns = ", ".join(
        f"s.{name}" if wire_type(kind) == plain(kind) else f"s.{name}::{kind} as {name}" for name, kind in types.items()
    )
    absent = "".join(f"\n     and {condition}" for condition in absences(projection, schema, table, "s"))
    return f"""rows_{table.name} as (
  select {columns}
    from advanced, unnest({arrays}) as s ({", ".join(types)})
   where true{absent})"""


def absences(projection: PostgresProjection, schema: str, table: Any, row: str) -> Iterator[str]:
    """The conditions that keep the rows of erased people and gone posts out of a table or a count table."""
    for column in table.erased_with:
        yield f"not exists (select from {schema}.erased as e where e.user_id = {row}.{column})"
    if has_gone(projection):
        for column in table.gone_with:
            yield f"not exists (select from {schema}.gone as g where g.post_id = {row}.{column})"


def _changed(schema: str, table: Table, with_old_events: bool) -> str:
    newer = {
        group: f"excluded.{event_column(group)} > coalesce(t.{event_column(group)}, '{NIL}')" for group in table.groups
    }
    settings = []
    for group, columns in table.groups.items():
        for column in (event_column(group), *columns):
            # With one group the `where` below has said already that it is newer.
            value = f"excluded.{column}"
            if len(newer) > 1:
                value = f"case when {newer[group]} then excluded.{column} else t.{column} end"
            settings.append(f"{column} = {value}")
    returned = [f"t.{column}" for column in column_types(table)]
    kept = [("was_counted", "counted")] if table.counted else []
    kept += [(f"was_{column}", column) for column in _kept_columns(table)]
    settings += [f"{was} = t.{now}" for was, now in kept]
    returned += [*(["t.counted"] if table.counted else []), *(f"t.{was}" for was, _ in kept)]
    if with_old_events:
        for group in table.groups:
            event = event_column(group)
            settings.append(f"was_{event} = t.{event}")
            returned += [f"t.was_{event}", f"t.{event} is distinct from t.was_{event} as {group}_changed"]
    names, key = ", ".join(column_types(table)), ", ".join(table.key)
    return f"""changed_{table.name} as (
  insert into {schema}.{table.name} as t ({names})
  select {names} from rows_{table.name} order by {key}
  on conflict ({key}) do update set
    {(", " + chr(10) + "    ").join(settings)}
  where {" or ".join(newer.values())}
  returning {", ".join(returned)})"""


def _unchanged(table: Table) -> str:
    """What effects read of a table of which the batch has no row."""
    columns = column_types(table) | {f"was_{event_column(group)}": "uuid" for group in table.groups}
    columns |= {f"was_{column}": columns[column] for column in table.remembered}
    columns |= dict.fromkeys((f"{group}_changed" for group in table.groups), "boolean")
    if table.counted:
        columns |= {"counted": "boolean", "was_counted": "boolean"}
    nothing = ", ".join(f"null::{kind} as {name}" for name, kind in columns.items())
    return f"changed_{table.name} as (select {nothing} where false)"


def count_ctes(
    projection: PostgresProjection, schema: str, tables: Sequence[Table], source: str, deleted: bool = False
) -> dict[str, str]:
    """CTEs that bring the counts in step with changed (or deleted) rows of these tables, one upsert per count table.

    `source` is the prefix of the CTEs with the changed rows. One count table may be fed by several tables, but a
    statement can touch a row only once, so all that goes into it is summed up first.
    """
    terms: dict[str, list[tuple[Count, str]]] = {}
    for table in sorted(tables, key=lambda each: each.name):
        for count in table.counts:
            for term in _count_terms(table, count, f"{source}{table.name}", deleted):
                terms.setdefault(count.into, []).append((count, term))
    declared = {table.name: table for table in projection.count_tables}
    return {into: _count_cte(projection, schema, into, terms[into], declared.get(into)) for into in sorted(terms)}


def _count_terms(table: Table, count: Count, rows: str, deleted: bool) -> Iterator[str]:
    source = f"{rows} as r"
    if deleted:
        yield counted_terms(count, lambda column: f"r.{column}", source, "-1", "r.counted")
    elif set(count.by.values()) <= set(table.key):
        amount = "case when r.counted then 1 else -1 end"
        yield counted_terms(count, lambda column: f"r.{column}", source, amount, "r.counted <> r.was_counted")
    else:
        old = {column: f"r.was_{column}" for column in count_by_columns(table)}
        yield counted_terms(count, lambda column: old.get(column, f"r.{column}"), source, "-1", "r.was_counted")
        yield counted_terms(count, lambda column: f"r.{column}", source, "1", "r.counted")


def _count_cte(
    projection: PostgresProjection, schema: str, into: str, terms: list[tuple[Count, str]], declared: Any
) -> str:
    keys = list(terms[0][0].by)
    columns = sorted({count.column for count, _ in terms})
    key = ", ".join(keys)
    selects = [
        f"select {key}, "
        + ", ".join(c if c == count.column else f"0 as {c}" for c in columns)
        + f" from ({term}) as one"
        for count, term in terms
    ]
    sums = ", ".join(f"sum({column}) as {column}" for column in columns)
    changed = " or ".join(f"d.{column} <> 0" for column in columns)
    absent = "".join(
        f" and {condition}"
        for condition in (absences(projection, schema, declared, "d") if declared is not None else ())
    )
    union = "\n    union all ".join(selects)
    names = ", ".join([*keys, *columns])
    return f"""delta_{into} as (
  select {key}, {sums} from (
    {union}) as each
   group by {key}),
count_{into} as (
  insert into {schema}.{into} as c ({names})
  select {names} from delta_{into} as d where ({changed}){absent} order by {key}
  on conflict ({key}) do update set {", ".join(f"{column} = c.{column} + excluded.{column}" for column in columns)}
  returning 1)"""


def _entered(schema: str, name: str, column: str, next_parameter: Iterator[int]) -> str:
    return f"""{name}_now as (
  insert into {schema}.{name} ({column}, event_id)
  select s.id, s.event_id
    from advanced, unnest(${next(next_parameter)}::uuid[], ${next(next_parameter)}::uuid[]) as s (id, event_id)
   order by s.id
  on conflict ({column}) do nothing
  returning 1),
{name}_signal as (select pg_notify('{SWEEP_CHANNEL}', '{schema}') from {name}_now limit 1)"""


def plain(sql_type: str) -> str:
    return {"bool": "boolean", "int": "integer"}.get(sql_type.strip().lower(), sql_type.strip().lower())


def _packed_columns(table: Table, rows: dict[Key, Groups]) -> Iterator[Packed]:
    keys = list(zip(*rows, strict=True))
    for kind, values in zip(table.key.values(), keys, strict=True):
        yield packer(kind)(values)
    for group, columns in table.groups.items():
        nothing = (None, (None,) * len(columns))
        found: list[tuple[UUID | None, tuple[Any, ...]]] = [groups.get(group, nothing) for groups in rows.values()]
        yield uuid_array([event for event, _ in found])
        if columns:
            by_column = zip(*[values for _, values in found], strict=True)
            for kind, column in zip(columns.values(), by_column, strict=True):
                yield packer(kind)(column)
