"""What a fold answers: rows by key, and per group of columns the newest event that set it. Pure values, no database.

A table's columns fall into groups that are written together. Each group remembers the id of the event that last set it
(the column `<group>_event`); an older or equal event changes nothing. So duplicates, redeliveries and any order of
partitions give the same rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

NOBODY = ""  # in `whose`: the column holds nothing of any person

Key = tuple[Any, ...]
# group name -> (id of the event that sets it, the group's column values in the table's order)
Groups = dict[str, tuple[UUID, tuple[Any, ...]]]


@dataclass(frozen=True)
class Count:
    """A count kept from the rows that really changed: `into`.`column` is the number of rows that count.

    `by` maps the count table's key columns to columns of the counted table; a row with a null among them is not
    counted.
    """

    into: str
    column: str
    by: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table of a projection, as the folds and the sweeper know it; its shape in SQL is in tables.sql.

    `key` and `groups` map column names to SQL types. `counted` is an SQL expression over the row's columns: whether the
    row is there to be counted. `remembered` names group columns of which effects read what they were before the row's
    last change, as `was_<column>`. `erased_with` names the columns with the people whose erasure deletes the row,
    `gone_with` the columns with the posts whose deletion deletes it. `whose` says for every column whose data it is:
    the name of the column with that person's id, or NOBODY. `partly_named` are those of the columns that a row is found
    by (runtime/row_scope.py) that not every event about the row names.
    """

    name: str
    key: Mapping[str, str]
    groups: Mapping[str, Mapping[str, str]]
    whose: Mapping[str, str]
    erased_with: tuple[str, ...]
    gone_with: tuple[str, ...] = ()
    counted: str = ""
    counts: tuple[Count, ...] = ()
    remembered: tuple[str, ...] = ()
    partly_named: tuple[str, ...] = ()


@dataclass(frozen=True)
class CountTable:
    """A table of counts: what the sweeper and the digests must know of it. A row of zeros equals no row.

    `erased_with` and `gone_with` name key columns: a count of an erased person, or under a gone post, is deleted and
    never comes back.
    """

    name: str
    key: Mapping[str, str]
    columns: tuple[str, ...]
    whose: Mapping[str, str]
    erased_with: tuple[str, ...] = ()
    gone_with: tuple[str, ...] = ()


@dataclass
class Changes:
    """The effect of a batch of events on one projection's tables, each row merged to its newest state within the
    batch."""

    rows: dict[str, dict[Key, Groups]] = field(default_factory=dict)
    erased: dict[UUID, UUID] = field(default_factory=dict)  # person -> event
    gone: dict[UUID, UUID] = field(default_factory=dict)  # post -> event

    def set(self, table: Table, key: Key, group: str, event_id: UUID, values: tuple[Any, ...] = ()) -> None:
        """The group's columns take `values`, unless a newer event has set them in this batch."""
        groups = self.rows.setdefault(table.name, {}).setdefault(key, {})
        known = groups.get(group)
        if known is None or event_id > known[0]:
            groups[group] = (event_id, values)

    def erase(self, user_id: UUID, event_id: UUID) -> None:
        """The person is gone with all that is theirs."""
        self.erased.setdefault(user_id, event_id)

    def remove(self, post_id: UUID, event_id: UUID) -> None:
        """The post is gone with all that hangs on it."""
        self.gone.setdefault(post_id, event_id)


def tables_by_name(tables: Iterable[Table]) -> dict[str, Table]:
    return {table.name: table for table in tables}
