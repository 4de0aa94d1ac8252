"""Claim: text is opened for projections that read it, its keys fetched by one query per batch; a destroyed key reads as
None.

Oracle: the events as encoded. A real PostgreSQL holds the keys. Cannot catch: grants of the role that reads them.
"""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from projectors.runtime.reading import Reader, SubjectKeys
from schemas.catalogue import event_schemas
from schemas.codec import Codec, UnknownEventType
from schemas.types import PostLiked, UserRegistered
from shared.crypto import KeyRing, new_data_key, wrap
from shared.ids import time_of
from tests.runtime.engine import Ids

MASTER_KEY = bytes(range(32))


@pytest.fixture
def codec() -> Codec:
    return Codec({name: number for number, name in enumerate(event_schemas(), start=1)})


def registered(ids: Ids) -> UserRegistered:
    event_id = ids()
    return UserRegistered(
        event_id=event_id, occurred_at=time_of(event_id), subject_id=ids(), username="ann", display_name="Ann ☃"
    )


def test_text_is_opened_with_its_subjects_key(scratch_database: str, codec: Codec) -> None:
    ids = Ids()
    kept, destroyed = registered(ids), registered(ids)
    writing = KeyRing(MASTER_KEY, lambda subjects: {})
    with psycopg.connect(scratch_database, autocommit=True) as vault:
        vault.execute("create table subject_key (subject_id uuid primary key, wrapped bytea)")
        for event in (kept, destroyed):
            data_key = new_data_key()
            writing.add(event.subject_id, data_key)
            vault.execute(
                "insert into subject_key values (%s, %s)",
                (event.subject_id, wrap(MASTER_KEY, event.subject_id, data_key)),
            )
        values = [codec.encode(event, writing.seal) for event in (kept, destroyed)]
        vault.execute("delete from subject_key where subject_id = %s", (destroyed.subject_id,))

    asked: list[list[UUID]] = []
    keys = SubjectKeys(scratch_database)

    def fetch(subjects: list[UUID]) -> dict[UUID, bytes]:
        asked.append(subjects)
        return keys.fetch(subjects)

    reader = Reader(codec, KeyRing(MASTER_KEY, fetch))
    asyncio.run(reader.load_keys(values))
    events: list[Any] = reader.read(values)
    assert events[0] == kept
    assert (events[1].username, events[1].display_name) == (None, None)
    assert len(asked) == 1
    without_keys: list[Any] = Reader(codec, None).read(values)
    assert [event.username for event in without_keys] == [None, None]


def test_an_unknown_event_type_halts(codec: Codec) -> None:
    ids = Ids()
    event_id = ids()
    like = PostLiked(
        event_id=event_id, occurred_at=1, subject_id=ids(), post_id=ids(), post_author_id=ids(), reaction="like"
    )
    value = codec.encode(like, lambda *_: b"")
    with pytest.raises(UnknownEventType):
        Reader(codec, None).read([value[:1] + (999).to_bytes(4, "big") + value[5:]])
