"""Which rows an id names, and which events those rows are made of. Pure.

A row is found by the ids in its key, of those whose data it is, of the post it hangs on, and of what it is counted
under. Every event that sets anything of such a row names these ids too, but for those that its table declares
`partly_named` (tests/properties/test_row_scope.py): so the events that hold an id's bytes make all of an id's rows. The
one exception is the deletion of a post, after which there is no row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from projectors.runtime.apply import column_types
from projectors.runtime.changes import CountTable, Table

# The kinds of runtime/parking_keys.py, with the number of ids that each has.
KINDS = {"person": 1, "relation": 2, "post": 1, "comment": 1, "like": 2, "share": 2, "bookmark": 2, "read": 1}


@dataclass(frozen=True)
class Scope:
    """The rows that name all of these ids: one, or the two of an edge."""

    ids: tuple[UUID, ...]

    @staticmethod
    def of(text: str) -> "Scope":
        """An id, or a key as runtime/parking_keys.py writes it (`like:POST:PERSON`). Raises ValueError."""
        kind, *parts = text.split(":") if ":" in text else ("", text)
        if kind and KINDS.get(kind) != len(parts):
            raise ValueError(f"{text!r} is no key: it is an id, or {', '.join(_shapes())}")
        try:
            return Scope(tuple(dict.fromkeys(map(UUID, parts))))
        except ValueError:
            raise ValueError(f"{text!r} is no key: an id is a UUID, as 01a1fec5-dcc0-710b-bd49-586308e74075") from None

    def condition(self, table: Table, row: str) -> str:
        """Whether a row of the table is in scope, in SQL."""
        return _named(scope_columns(table), self.ids, row)

    def in_key(self, table: Table | CountTable, row: str) -> str:
        """The same by the key alone."""
        return _named(key_ids(table), self.ids, row)


def scope_columns(table: Table) -> tuple[str, ...]:
    """The columns by whose ids a row of the table is found."""
    types = column_types(table)
    counted_by = (column for count in table.counts for column in count.by.values())
    columns = (*table.key, *table.erased_with, *table.gone_with, *counted_by)
    return tuple(
        column for column in dict.fromkeys(columns) if types[column] == "uuid" and column not in table.partly_named
    )


def key_ids(table: Table | CountTable) -> tuple[str, ...]:
    """The ids of the key that every event about a row names."""
    unnamed = table.partly_named if isinstance(table, Table) else ()
    return tuple(column for column, kind in table.key.items() if kind == "uuid" and column not in unnamed)


def _named(columns: Sequence[str], ids: Sequence[UUID], row: str) -> str:
    # One comparison for each column, so that each can use an index of its own.
    each = (" or ".join(f"{row}.{column} = '{identifier}'" for column in columns) for identifier in ids)
    return " and ".join(f"({condition or 'false'})" for condition in each)


def _shapes() -> list[str]:
    return [f"{kind}:{':'.join(['ID'] * number)}" for kind, number in KINDS.items()]
