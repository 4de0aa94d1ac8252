"""What Changes mean, in memory: newest wins per group, and counts are whatever the rows that are there add up to.

This is the meaning that the SQL of runtime/apply.py and the sweeper must have, without their set-based statements,
locks and bookkeeping: rows are kept as merged groups, erased people's and gone posts' rows are left out at the end,
and counts are not kept at all but taken from the rows by the tables' declarations.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from types import CodeType
from typing import Any
from uuid import UUID

from projectors.runtime.changes import Changes, Groups, Key, Table, tables_by_name
from shared.ids import datetime_of
from tests.model.tables import Expected

NamedRow = dict[str, Any]


class Tables:
    """The tables of one projection after any number of Changes."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.tables = tables_by_name(tables)
        self.groups: dict[str, dict[Key, Groups]] = {name: {} for name in self.tables}
        self.erased: set[UUID] = set()
        self.gone: set[UUID] = set()

    def apply(self, changes: Changes) -> None:
        for table, rows in changes.rows.items():
            for key, groups in rows.items():
                known = self.groups[table].setdefault(key, {})
                for group, (event_id, values) in groups.items():
                    if group not in known or event_id > known[group][0]:
                        known[group] = (event_id, values)
        self.erased |= changes.erased.keys()
        self.gone |= changes.gone.keys()

    def rows(self, name: str) -> Iterator[NamedRow]:
        """Each row of a table that no erasure or deletion takes away, every column by name."""
        table = self.tables[name]
        for key, groups in self.groups[name].items():
            row = named_row(table, key, groups)
            if any(row[column] in self.erased for column in table.erased_with):
                continue
            if any(row[column] in self.gone for column in table.gone_with):
                continue
            yield row

    def taken_away(self, name: str) -> set[Key]:
        """The keys of the rows that an erasure or deletion takes away.

        A database may keep such a row's other groups: what names the person or post may have come too late to be kept.
        """
        kept = {tuple(row[column] for column in self.tables[name].key) for row in self.rows(name)}
        return self.groups[name].keys() - kept

    def counts(self) -> dict[str, dict[Key, Counter[str]]]:
        """Count table -> key, its columns in alphabetical order -> column -> count, as the declarations derive them."""
        found: dict[str, dict[Key, Counter[str]]] = {}
        for table in self.tables.values():
            for row in self.rows(table.name) if table.counts else ():
                if not is_counted(table, row):
                    continue
                for count in table.counts:
                    key = tuple(row[column] for _, column in sorted(count.by.items()))
                    if None not in key:
                        found.setdefault(count.into, {}).setdefault(key, Counter())[count.column] += 1
        return found

    def found(self, expected: Expected) -> Iterator[tuple[Key, tuple[Any, ...]]]:
        """The rows of one of the model's tables as it compares them."""
        name = expected.name.partition(".")[2]
        if name in self.tables:
            rows: Iterable[NamedRow] = self.rows(name)
        else:
            rows = self._count_rows(name)
        for row in rows:
            yield tuple(row[column] for column in expected.key), tuple(row.get(column) for column in expected.columns)

    def _count_rows(self, name: str) -> Iterator[NamedRow]:
        columns = {count.column for table in self.tables.values() for count in table.counts if count.into == name}
        names = next(
            (sorted(count.by) for table in self.tables.values() for count in table.counts if count.into == name), []
        )
        for key, counts in self.counts().get(name, {}).items():
            # A column that nothing counts into yet stays at the 0 that its table gives it.
            yield {
                **dict(zip(names, key, strict=True)),
                **_zeroes(name),
                **{column: counts[column] for column in columns},
            }


def _zeroes(name: str) -> NamedRow:
    return {"comment_count": {"likes": 0}}.get(name, {})


def named_row(table: Table, key: Key, groups: Mapping[str, tuple[UUID, tuple[Any, ...]]]) -> NamedRow:
    """A row's columns by name; those of groups that nothing has set are null."""
    row: NamedRow = dict(zip(table.key, key, strict=True))
    for group, columns in table.groups.items():
        event_id, values = groups.get(group, (None, (None,) * len(columns)))
        row[f"{group}_event"] = event_id
        for (column, sql_type), value in zip(columns.items(), values, strict=True):
            row[column] = normal(sql_type, value)
    return row


def normal(sql_type: str, value: Any) -> Any:
    """A value as PostgreSQL would hand it back: the folds may give times as microseconds and documents as text."""
    if value is None:
        return None
    if sql_type == "timestamptz":
        return value if isinstance(value, datetime) else datetime_of(value)
    if sql_type == "jsonb":
        return json.loads(value) if isinstance(value, str | bytes) else getattr(value, "obj", value)
    return tuple(value) if sql_type.endswith("[]") else value


def is_counted(table: Table, row: NamedRow) -> bool:
    """The table's `counted` expression, which keeps to names, `is null`, `coalesce`, `and`, `or` and `not`."""
    if not table.counted:
        return False
    return bool(eval(_python(table.counted), {"__builtins__": {}, "coalesce": _first_known, "false": False}, row))


@cache
def _python(counted: str) -> CodeType:
    python = counted.replace("is not null", "is not None").replace("is null", "is None")
    return compile(python, counted, "eval")


def _first_known(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def fold_in_batches(tables: Sequence[Table], batches: Iterable[Changes]) -> Tables:
    """The tables after these batches in this order."""
    result = Tables(tables)
    for changes in batches:
        result.apply(changes)
    return result
