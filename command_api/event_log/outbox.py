"""The outbox's SQL: rows go in with the guards' transaction, and are marked once the broker has acknowledged them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor

from command_api.guards import array
from shared.position import Position

COLUMNS = "event_id, topic, partition, key, value, actor_id"


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
    cursor.execute(
        f"INSERT INTO outbox ({COLUMNS}, idempotency_key, fingerprint, status, response)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (*record, *(answer or (None, None, None, None))),
    )


def insert_many(cursor: Cursor[Any], records: Sequence[Record]) -> None:
    """Many records without idempotency keys, by COPY."""
    lines = [
        f"{r.event_id.hex}\t{r.topic}\t{r.partition}\t\\\\x{r.key.hex()}\t\\\\x{r.value.hex()}\t{r.actor_id.hex}\n"
        for r in records
    ]
    with cursor.copy(f"COPY outbox ({COLUMNS}) FROM STDIN") as copy:
        copy.write("".join(lines))


def insert_answer(cursor: Cursor[Any], ledger_id: UUID, actor_id: UUID, answer: Answer, same_as: UUID) -> None:
    """The answer to a command that changed nothing: there is nothing to append, so the row counts as acknowledged."""
    cursor.execute(
        "INSERT INTO outbox (event_id, topic, partition, actor_id, idempotency_key, fingerprint, status, response,"
        " same_as, acked_at) VALUES (%s, '', 0, %s, %s, %s, %s, %s, %s, clock_timestamp())",
        (ledger_id, actor_id, *answer, same_as),
    )


def find(cursor: Cursor[Any], event_ids: Iterable[UUID]) -> dict[UUID, Entry]:
    """Where these events stand; one that is no longer in the outbox was acknowledged long ago and is left out."""
    cursor.execute(
        "SELECT event_id, topic, partition, acked_offset FROM outbox"
        " WHERE event_id = ANY(%s::uuid[]) AND value IS NOT NULL",
        (array(event_ids),),
    )
    return {row[0]: Entry(*row[1:]) for row in cursor.fetchall()}


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
        " WHERE outbox.event_id = acked.event_id AND outbox.acked_at IS NULL",
        (array(offsets), "{" + ",".join(map(str, offsets.values())) + "}"),
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
    cursor.execute(
        "UPDATE outbox SET idempotency_key = NULL, fingerprint = NULL, status = NULL, response = NULL"
        " WHERE actor_id = %s AND idempotency_key IS NOT NULL",
        (actor_id,),
    )
