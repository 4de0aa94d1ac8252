"""Records to events: one decode per record, and one query per batch for the keys that are not at hand.

Only projections that read text open sealed fields; the others never see a key.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from projectors.runtime.projection import Projection
from schemas.codec import Codec
from schemas.registration import open_codec
from schemas.types import Event
from shared.crypto import KeyRing
from shared.environment import Environment


class Reader:
    """Decodes batches for one projection."""

    def __init__(self, codec: Codec, keys: KeyRing | None) -> None:
        self._codec = codec
        self._keys = keys

    async def load_keys(self, values: Sequence[bytes]) -> None:
        """Fetches the subjects' keys that `read` needs for these records. Raises psycopg.OperationalError."""
        if self._keys is None:
            return
        subjects = self._codec.subjects(values)
        if subjects:
            await asyncio.to_thread(self._keys.load, subjects)

    def type_name(self, value: bytes) -> str:
        """The type of the event, whose own fields may still be unreadable. Raises as `read` does."""
        return self._codec.type_name(value)

    def require_subject(self, value: bytes) -> None:
        """Raises what `load_keys` would raise because of this very record."""
        if self._keys is not None:
            self._codec.subjects((value,))

    def read(self, values: Sequence[bytes]) -> list[Event]:
        """The events of these records.

        Raises schemas.codec.UnknownEventType or MalformedRecord, which halt a live worker.
        """
        return self._codec.decode_all(values, None if self._keys is None else self._keys.unseal)


class SubjectKeys:
    """Reads wrapped data keys from the vault, through the role that may do nothing else."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def fetch(self, subjects: list[UUID]) -> dict[UUID, bytes]:
        """The wrapped keys of those subjects that have one, in one query."""
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=3)
        cursor = self._connection.execute(
            "select subject_id, wrapped from subject_key where subject_id = any(%s)", (subjects,), binary=True
        )
        return {subject: bytes(wrapped) for subject, wrapped in cursor.fetchall()}


def open_reader(projection: Projection, environment: Environment) -> Reader:
    """A reader with the registry's current schema ids. Raises SchemaRegistryError where events are not registered."""
    keys = None
    if projection.reads_text:
        master_key = bytes.fromhex(environment.secrets["master_key"])
        keys = KeyRing(master_key, SubjectKeys(environment.keys_database_url).fetch)
    return Reader(open_codec(environment.schema_registry_url), keys)
