"""The schemas of a projection beside its live one: what each is, how far it is, and that erased people leave it too.

    counters_next                 being rebuilt, or rebuilt and waiting to be swapped in
    counters_old                  what was live before the last swap; a rollback swaps it back
    counters_older                what was that before; dropped as soon as the swap has succeeded
    counters_asof_20261121t1200   the state as of a moment or of offsets, kept for reading
    counters_part_...             the same of a part of the log only

What a schema is stands in its comment, so that it is changed in the transactions that change the schema and goes where
the schema goes.
"""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql

from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores.port import Partition

_SHAPE = "rebuilt as "
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


class Kind(StrEnum):
    NEXT = "next"
    OLD = "old"
    AS_OF = "as of"
    PART = "part"


class Phase(StrEnum):
    """How far a rebuild is; each is written in the transaction that ends the one before."""

    LOADING = "loading"  # records are folded into staging tables
    MERGING = "merging"  # the tables are made of the staged rows, then the indexes
    READY = "ready"  # whole up to its positions


@dataclass(frozen=True)
class Sibling:
    """One such schema. Times are ISO 8601, UTC; `until` says in words up to where it was made.

    `shape` names what its tables were declared as: only the same code goes on with it.
    """

    schema: str
    projection: str
    kind: Kind
    phase: Phase
    began_at: str
    shape: str = ""
    until: str = ""
    ended_at: str = ""  # of a rebuild: when it was whole; of the old one: when it was swapped out
    released: bool = False  # on the way to a swap, parked records were applied that the live schema still has parked

    def at(self, phase: Phase, **changes: Any) -> "Sibling":
        return replace(self, phase=phase, **changes)


def shape_of(projection: PostgresProjection) -> str:
    """What decides a projection's rows: its tables, its declarations, its fold. Another shape needs another rebuild."""
    source = sys.modules[projection.fold.__module__].__file__
    told = hashlib.sha256(projection.tables_sql.read_bytes())
    told.update(repr((projection.tables, projection.count_tables, projection.topics)).encode())
    told.update(Path(source).read_bytes() if source else b"")
    return told.hexdigest()[:16]


def live_comment(schema: str, shape: str) -> sql.Composed:
    """What notes in a live schema's comment the shape that it was made in, for a rollback to know."""
    return sql.SQL("comment on schema {} is {}").format(sql.Identifier(schema), sql.Literal(_SHAPE + shape))


def live_shape(comment: str | None) -> str:
    """The shape that a live schema's comment tells; empty where it tells none."""
    return comment.removeprefix(_SHAPE) if comment is not None and comment.startswith(_SHAPE) else ""


def lock_number(*names: str) -> int:
    """The number of an advisory lock: of a projection's rebuild, or of ("loading", schema)."""
    digest = hashlib.sha256(f"rookery rebuild {' '.join(names)}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def place(partition: Partition) -> str:
    """A partition as people write it: posts/3."""
    return f"{partition.topic}/{partition.number}"


def partition_at(text: str) -> Partition:
    """The partition of `posts/3`. Raises ValueError."""
    topic, slash, number = text.partition("/")
    if not (topic and slash and number.isdecimal()):
        raise ValueError(f"{text!r} is not TOPIC/PARTITION")
    return Partition(topic, int(number))


def write(connection: Connection[Any], sibling: Sibling) -> None:
    """Notes in the schema's comment what it is."""
    connection.execute(
        sql.SQL("comment on schema {} is {}").format(
            sql.Identifier(sibling.schema), sql.Literal(json.dumps(asdict(sibling)))
        )
    )


def siblings(connection: Connection[Any], projection: str = "") -> list[Sibling]:
    """Every schema beside a live one, of one projection or of all."""
    rows = connection.execute(
        "select nspname, obj_description(oid, 'pg_namespace') from pg_namespace where nspname like '%\\_%' order by 1"
    ).fetchall()
    return [each for name, comment in rows if (each := read(name, comment)) and projection in ("", each.projection)]


def read(schema: str, comment: str | None) -> Sibling | None:
    """What a schema's comment says it is; None where it is none of ours."""
    if comment is None or not comment.startswith("{"):
        return None
    try:
        said: dict[str, Any] = json.loads(comment)
        said.pop("targets", None)  # of an earlier version
        said |= {"schema": schema, "kind": Kind(said["kind"]), "phase": Phase(said["phase"])}
        return Sibling(**said)
    except (ValueError, KeyError, TypeError):
        return None


def found(connection: Connection[Any], schema: str) -> Sibling | None:
    row = connection.execute(
        "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", (schema,)
    ).fetchone()
    return None if row is None else read(schema, row[0])


def exists(connection: Connection[Any], schema: str) -> bool:
    return connection.execute("select 1 from pg_namespace where nspname = %s", (schema,)).fetchone() is not None


def drop(connection: Connection[Any], schema: str) -> None:
    """Drops a sibling, table by table, so that no transaction holds the locks of all. Raises LookupError for others."""
    if found(connection, schema) is None:
        raise LookupError(f"{schema} is not a schema that a rebuild made")
    rows = connection.execute("select tablename from pg_tables where schemaname = %s", (schema,)).fetchall()
    for (table,) in rows:
        connection.execute(sql.SQL("drop table if exists {} cascade").format(sql.Identifier(schema, table)))
    connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))


def stamp(moment: datetime) -> str:
    """A moment as a part of a schema's name: 20261121t1200, with seconds and more where there are any."""
    text = moment.strftime("%Y%m%dt%H%M")
    if moment.second or moment.microsecond:
        text += moment.strftime("%S")
    return text + (f"{moment.microsecond:06d}" if moment.microsecond else "")


def checked_name(schema: str) -> str:
    """Raises ValueError for what is no plain name: schemas' names are written into SQL."""
    if not _NAME.fullmatch(schema):
        raise ValueError(f"{schema!r} cannot be a schema's name")
    return schema


def offsets_of(connection: Connection[Any], schema: str) -> dict[Partition, int]:
    """The offset of the next record of every partition that has a position there."""
    rows = connection.execute(
        sql.SQL("select topic, partition, next_offset from {}").format(sql.Identifier(schema, "position"))
    ).fetchall()
    return {Partition(topic, number): offset for topic, number, offset in rows}


def copy_erased(connection: Connection[Any], live: str, schema: str, sets: Sequence[str]) -> int:
    """Enters in the sibling who is erased in the live schema and not yet there; answers how many were entered."""
    entered = 0
    for name in sets:
        column = "user_id" if name == "erased" else "post_id"
        entered += connection.execute(
            sql.SQL(
                "insert into {into} ({column}, event_id) select {column}, event_id from {source} order by {column}"
                " on conflict do nothing"
            ).format(
                into=sql.Identifier(schema, name), source=sql.Identifier(live, name), column=sql.Identifier(column)
            )
        ).rowcount
    return entered


def connect(url: str, **settings: str) -> Connection[Any]:
    """An autocommit connection of a rebuild's; `settings` are PostgreSQL's, for this session."""
    options = {"jit": "off", "lock_timeout": "10s", "timezone": "UTC"} | settings
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=3,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        application_name="rookery-rebuild",
        options=" ".join(f"-c {name}={value}" for name, value in options.items()),
    )
