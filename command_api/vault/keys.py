"""Subjects' data keys: made with the account, kept wrapped in the vault, destroyed with the person."""

import threading
from collections.abc import Sequence
from uuid import UUID

from django.db import connections

from command_api.guards import array
from command_api.vault.router import VAULT
from shared.crypto import KeyRing, new_data_key, wrap
from shared.environment import environment

_of_thread = threading.local()


def key_ring() -> KeyRing:
    """This thread's key ring: its caches are not made for several threads at once."""
    ring: KeyRing | None = getattr(_of_thread, "ring", None)
    if ring is None:
        ring = _of_thread.ring = KeyRing(_master_key(), fetch_keys)
    return ring


def fetch_keys(subjects: list[UUID]) -> dict[UUID, bytes]:
    """Their wrapped keys; a subject without one is left out."""
    with connections[VAULT].cursor() as cursor:
        cursor.execute(
            "SELECT subject_id, wrapped FROM subject_key WHERE subject_id = ANY(%s::uuid[])", [array(subjects)]
        )
        return {subject_id: bytes(wrapped) for subject_id, wrapped in cursor.fetchall()}


def make_keys(subjects: Sequence[UUID]) -> None:
    """Gives each of these people a key who has none; part of the surrounding transaction."""
    master_key = _master_key()
    wrapped = ",".join('"\\\\x' + wrap(master_key, subject, new_data_key()).hex() + '"' for subject in subjects)
    with connections[VAULT].cursor() as cursor:
        cursor.execute(
            "INSERT INTO subject_key (subject_id, wrapped) SELECT * FROM unnest(%s::uuid[], %s::bytea[])"
            " ON CONFLICT DO NOTHING",
            [array(subjects), "{" + wrapped + "}"],
        )


def destroy_key(subject_id: UUID) -> None:
    """What was sealed under it is unreadable from now on, here at once and elsewhere within a minute."""
    with connections[VAULT].cursor() as cursor:
        cursor.execute("DELETE FROM subject_key WHERE subject_id = %s", [subject_id])
    key_ring().forget(subject_id)


def _master_key() -> bytes:
    return bytes.fromhex(environment().secrets["master_key"])
