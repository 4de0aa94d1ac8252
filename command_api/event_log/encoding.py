"""Events to the records that the outbox keeps: bytes that never change from here on."""

import threading
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from uuid import UUID

import httpx2
from confluent_kafka.schema_registry.error import SchemaRegistryError

from command_api.event_log.outbox import Record
from command_api.vault.keys import key_ring
from schemas.catalogue import event_schemas
from schemas.codec import Codec
from schemas.registration import open_codec
from schemas.types import Event
from shared.environment import environment
from shared.errors import Unavailable
from shared.kafka import partition_of, record_key

ASK_AGAIN_SECONDS = 1.0
_codec: Codec | None = None
_asking = threading.Lock()
_refused: tuple[float, str] | None = None


def codec() -> Codec:
    """This process's codec; the first call asks the registry for the ids of the schemas.

    Raises Unavailable when the registry cannot tell them. One thread asks, and its failure answers all for a second: a
    registry that is away would otherwise hold every thread for as long as its client tries.
    """
    global _codec, _refused
    if _codec is not None:
        return _codec
    with _asking:
        if _codec is None:
            if _refused is not None and time.monotonic() - _refused[0] < ASK_AGAIN_SECONDS:
                raise Unavailable(_refused[1])
            try:
                _codec = open_codec(environment().schema_registry_url)
            except (httpx2.HTTPError, SchemaRegistryError) as error:
                detail = f"the schema registry cannot be asked: {error}"
                _refused = time.monotonic(), detail
                raise Unavailable(detail) from error
        return _codec


@lru_cache(maxsize=1)
def _destinations() -> dict[str, tuple[str, str]]:
    """By event name: the topic and the field that chooses the partition."""
    return {name: (schema.topic, schema.partitioned_by) for name, schema in event_schemas().items()}


def load_keys(subjects: Iterable[UUID]) -> None:
    """Fetches the keys of these people ahead of a transaction that will need them."""
    key_ring().load(subjects)


def records(events: Sequence[Event]) -> list[Record]:
    """The events' records, in order. Raises LookupError when a subject's key is gone."""
    partitions = environment().topic_partitions
    encode, seal, destinations = codec().encode, key_ring().seal, _destinations()
    made = []
    for event in events:
        topic, partitioned_by = destinations[type(event).__name__]
        made.append(
            Record(
                event.event_id,
                topic,
                partition_of(getattr(event, partitioned_by), partitions),
                record_key(event.subject_id, event.event_id),
                encode(event, seal),
                event.subject_id,
            )
        )
    return made
