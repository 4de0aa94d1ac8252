"""One key, one answer: it is written with the event's outbox row, so it is remembered exactly when its event is.

Keys are per actor and remembered for 24 hours. Only successes are: a refusal has changed nothing and is decided anew.
The lock tells a key in flight from a new one; should two keys share a lock, the table's key still tells them apart.
"""

import hashlib
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from psycopg import Cursor

from command_api.event_log import outbox
from command_api.event_log.outbox import Entry
from shared.errors import Conflict, KeyReused


class IdempotencyKey(NamedTuple):
    """A key as the client chose it, and what it was used for."""

    key: str
    fingerprint: bytes


class Remembered(NamedTuple):
    """The first answer. `entry` is where the event stands that it told of; None when that was long ago."""

    event_id: UUID
    status: int
    response: bytes
    entry: Entry | None


def fingerprint(method: str, path: str, body: Any) -> bytes:
    """The same for the same request, whatever the order of its fields or the spaces between them."""
    canonical = orjson.dumps([method, path, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).digest()


def claim(cursor: Cursor[Any], actor_id: UUID, asked: IdempotencyKey) -> Remembered | None:
    """Takes the key for the rest of this transaction, or answers what it was answered before.

    Raises Conflict while another request holds the key, KeyReused when it was used for another request.
    """
    digest = hashlib.sha256(actor_id.bytes + asked.key.encode()).digest()
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", (int.from_bytes(digest[:8], "big", signed=True),))
    row = cursor.fetchone()
    if row is None or not row[0]:
        raise Conflict("a request with this idempotency key is in flight")
    cursor.execute(
        "SELECT event_id, fingerprint, status, response FROM idempotency_answer"
        " WHERE actor_id = %s AND idempotency_key = %s",
        (actor_id, asked.key),
    )
    found = cursor.fetchone()
    if found is None:
        return None
    event_id, known, status, response = found
    if bytes(known) != asked.fingerprint:
        raise KeyReused()
    return Remembered(event_id, status, bytes(response), outbox.find(cursor, [event_id]).get(event_id))
