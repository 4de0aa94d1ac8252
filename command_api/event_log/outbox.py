"""The outbox's SQL: rows go in with the guards' transaction, and are marked once the broker has acknowledged them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor

from command_api.guards import array
from shared.ids import NIL
from shared.position import Position

COLUMN_NAMES = ("event_id", "topic", "partition", "key", "value", "actor_id")
COLUMNS = ", ".join(COLUMN_NAMES)
# PostgreSQL's binary COPY format: a header, and per row the number of columns, then each one's length and bytes.
COPY_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
COPY_ID, COPY_LENGTH, COPY_PARTITION, COPY_LAST_ID = (Struct(f) for f in ("!hi16s", "!i", "!iii", "!i16s"))
# In the place of an offset: the log lost the record, and its bytes are gone here too. Nobody waits for it.
LOST_OFFSET = -1
INSERT_ANSWER = (
    "INSERT INTO idempotency_answer (actor_id, idempotency_key, fingerprint, status, response, event_id)"
    " VALUES (%s, %s, %s, %s, %s, %s)"
)


class Record(NamedTuple):
    """A record on its way to the log, with the bytes that it will have for ever; `topic` is without prefix."""

    event_id: UUID
    topic: str
    partition: int
    key: bytes
    value: bytes
    actor_id: UUID


class Answer(NamedTuple):
    """What is remembered for an idempotency key."""

    key: str
    fingerprint: bytes
    status: int
    response: bytes


class Entry(NamedTuple):
    """Where an event stands, as far as the outbox knows; `offset` is None until the broker acknowledged it."""

    topic: str
    partition: int
    offset: int | None

    @property
    def position(self) -> Position | None:
        return None if self.offset is None else Position(self.topic, self.partition, self.offset + 1)


def insert(cursor: Cursor[Any], record: Record, answer: Answer | None) -> None:
    """One record, with the answer that its idempotency key will get again."""
    into_outbox = f"INSERT INTO outbox ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)"
    if answer is None:
        cursor.execute(into_outbox, record)
    else:
        values = (*record, record.actor_id, *answer, record.event_id)
        cursor.execute(f"WITH told AS ({into_outbox}) {INSERT_ANSWER}", values)


def insert_many(cursor: Cursor[Any], records: Sequence[Record]) -> None:
    """Many records without answers, by COPY in its binary format: nothing is written in digits and read back."""
    rows = [COPY_BEGIN]
    for r in records:
        topic = r.topic.encode()
        rows.append(
            b"".join(
                (
                    COPY_ID.pack(len(COLUMN_NAMES), 16, r.event_id.bytes),
                    COPY_LENGTH.pack(len(topic)),
                    topic,
                    COPY_PARTITION.pack(4, r.partition, len(r.key)),
                    r.key,
                    COPY_LENGTH.pack(len(r.value)),
                    r.value,
                    COPY_LAST_ID.pack(16, r.actor_id.bytes),
                )
            )
        )
    rows.append(COPY_END)
    with cursor.copy(f"COPY outbox ({COLUMNS}) FROM STDIN (FORMAT binary)") as copy:
        copy.write(b"".join(rows))


def insert_answer(cursor: Cursor[Any], actor_id: UUID, answer: Answer, same_as: UUID) -> None:
    """The answer to a command that changed nothing; `same_as` is the event whose position answers for it."""
    cursor.execute(INSERT_ANSWER, (actor_id, *answer, same_as))


def find(cursor: Cursor[Any], event_ids: Iterable[UUID]) -> dict[UUID, Entry]:
    """Where these events stand; one that is no longer in the outbox was acknowledged long ago and is left out."""
    # A look-up each, so that for every id only its own hour is asked.
    cursor.execute(
        "SELECT told.* FROM unnest(%s::uuid[]) AS wanted (event_id) CROSS JOIN LATERAL ("
        "SELECT event_id, topic, partition, acked_offset FROM outbox WHERE event_id = wanted.event_id LIMIT 1) AS told",
        (array(event_ids),),
    )
    return {row[0]: Entry(*row[1:]) for row in cursor.fetchall()}


def newest(cursor: Cursor[Any]) -> UUID:
    """The greatest id of all events that any server has committed, as far as the outbox remembers; NIL for none."""
    cursor.execute("SELECT event_id FROM outbox ORDER BY event_id DESC LIMIT 1")
    row = cursor.fetchone()
    return row[0] if row else NIL


def mark_acked(connection: Connection[Any], offsets: Mapping[UUID, int]) -> None:
    """Remembers the offsets. It need not be durable at once: a lost mark costs a second copy of the same event.

    In a transaction of its own where there is none.
    """
    if not offsets:
        return
    connection.execute(
        "WITH lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
        " UPDATE outbox SET acked_offset = acked.acked_offset, acked_at = clock_timestamp()"
        " FROM unnest(%s::uuid[], %s::bigint[]) AS acked (event_id, acked_offset), lazily"
        " WHERE outbox.event_id = acked.event_id AND outbox.acked_at IS NULL"
        # Leaves out the hours in which none of them lies.
        " AND outbox.event_id BETWEEN %s AND %s",
        (array(offsets), "{" + ",".join(map(str, offsets.values())) + "}", min(offsets), max(offsets)),
    )


def backlog(cursor: Cursor[Any], rows_max: int) -> int:
    """How many records wait for the broker, counted to just above `rows_max`."""
    cursor.execute(
        "SELECT count(*) FROM (SELECT FROM outbox WHERE acked_at IS NULL LIMIT %s) AS waiting", (rows_max + 1,)
    )
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def withdraw(cursor: Cursor[Any], actor_id: UUID, keep: UUID) -> None:
    """Takes back what an erased person has not yet appended, but `keep`, and forgets what they were answered."""
    cursor.execute("DELETE FROM outbox WHERE acked_at IS NULL AND actor_id = %s AND event_id <> %s", (actor_id, keep))
    cursor.execute("DELETE FROM idempotency_answer WHERE actor_id = %s", (actor_id,))


# What a log that lost its tail needs (infra/repair).


def acknowledged(connection: Connection[Any]) -> Iterator[tuple[UUID, str, int, int]]:
    """Event, topic, partition and offset of everything that the broker has acknowledged; LOST_OFFSET was given up."""
    with connection.transaction(), connection.cursor("acknowledged", binary=True) as cursor:
        cursor.itersize = 10_000
        cursor.execute(
            "SELECT event_id, topic, partition, acked_offset FROM outbox WHERE acked_offset IS NOT NULL"
            " ORDER BY topic, partition, event_id"
        )
        yield from cursor


def bytes_of(cursor: Cursor[Any], event_ids: Iterable[UUID]) -> list[Record]:
    """Those of these events whose bytes are still there, in the order of their ids."""
    cursor.execute(
        f"SELECT {COLUMNS} FROM outbox WHERE event_id = ANY(%s::uuid[]) AND value IS NOT NULL ORDER BY event_id",
        (array(event_ids),),
    )
    return [Record(*row) for row in cursor.fetchall()]


def move(connection: Connection[Any], offsets: Mapping[UUID, int]) -> None:
    """Notes where records stand that were acknowledged at another place before."""
    connection.execute(
        "UPDATE outbox SET acked_offset = moved.acked_offset"
        " FROM unnest(%s::uuid[], %s::bigint[]) AS moved (event_id, acked_offset)"
        " WHERE outbox.event_id = moved.event_id",
        (array(offsets), "{" + ",".join(map(str, offsets.values())) + "}"),
    )


def erased_actors(cursor: Cursor[Any], event_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these events whose actor has been erased since, the erasure itself left out."""
    cursor.execute(
        "SELECT event_id FROM outbox JOIN account ON user_id = actor_id WHERE event_id = ANY(%s::uuid[])"
        " AND state = 'erased' AND last_event <> event_id",
        (array(event_ids),),
    )
    return {event_id for (event_id,) in cursor.fetchall()}


def drop(connection: Connection[Any], event_ids: Iterable[UUID]) -> None:
    """Forgets these events."""
    connection.execute("DELETE FROM outbox WHERE event_id = ANY(%s::uuid[])", (array(event_ids),))
