"""How records reach Kafka: key, partition and producer settings, the same for every process that appends."""

from functools import lru_cache
from uuid import UUID

from aiokafka.partitioner import murmur2

# acks=all with idempotence: no loss and no doubling within a producer's session; beyond it a duplicate is inert in
# the folds.
PRODUCER_SETTINGS: dict[str, str | int | float | bool] = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 0,
    "compression.type": "lz4",
    "delivery.timeout.ms": 8_000,
    "request.timeout.ms": 4_000,
    "socket.keepalive.enable": True,
    "reconnect.backoff.max.ms": 1_000,
}


def record_key(subject_id: UUID, event_id: UUID) -> bytes:
    """32 bytes, unique to the record, so that it can be deleted by a null value for its key."""
    return subject_id.bytes + event_id.bytes


@lru_cache(maxsize=100_000)
def partition_of(identifier: UUID, partitions: int) -> int:
    """The partition of a record by the id its topic is partitioned by: murmur2, as Java clients do."""
    return int((murmur2(identifier.bytes) & 0x7FFFFFFF) % partitions)
