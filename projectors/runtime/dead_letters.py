"""A copy of every parked record in its projection's `.dlq` topic, with the reason in headers, at least once.

The copy follows the commit that parks the record. Whether it was made is noted in the record's row, so that a worker
that ends in between leaves it to the partition's next owner. Bytes are those of the log: what was sealed is sealed. The
record's key is kept, so that a null for it ends the copy as it ends the record.
"""

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from confluent_kafka import KafkaException, Producer

from projectors.runtime.parking_lot import Parked, ParkingLot
from projectors.runtime.stores.port import Partition
from schemas.codec import MAGIC
from shared.environment import Environment
from shared.kafka import PRODUCER_SETTINGS

SUFFIX = ".dlq"
AT_ONCE = 200
DELIVERY_SECONDS = 10.0
log = structlog.get_logger()


class DeadLetters:
    """Copies what is parked in a projection. Makes a producer once there is something to be copied."""

    def __init__(self, projection: str, lot: ParkingLot, environment: Environment) -> None:
        self._projection = projection
        self._lot = lot
        self._environment = environment
        self._topic = environment.topic(projection + SUFFIX)
        self._producer: Producer | None = None

    async def copy(self, held: Mapping[Partition, int]) -> None:
        """Copies what the partitions held have uncopied. A broker that is away is logged, and asked again next time."""
        while records := await self._lot.uncopied(held, AT_ONCE):
            try:
                await asyncio.to_thread(self._produce, records)
            except (KafkaException, TimeoutError) as error:
                self._producer = None  # one that lost its place in the log (see event_log/publishing.py) stays useless
                log.warning("dead_letters_not_copied", records=len(records), topic=self._topic, error=str(error))
                return
            await self._lot.copied(records)

    def _produce(self, records: Sequence[Parked]) -> None:
        """Every record, acknowledged by the broker when this returns."""
        if self._producer is None:
            self._producer = Producer(
                {**PRODUCER_SETTINGS, "bootstrap.servers": self._environment.kafka_bootstrap_servers}
            )
        failed: list[KafkaException] = []
        for record in records:
            self._producer.produce(
                self._topic,
                value=bytes(record.value),
                key=None if record.record_key is None else bytes(record.record_key),
                headers=[(name, value.encode()) for name, value in headers_of(self._projection, record).items()],
                on_delivery=lambda error, _: failed.append(KafkaException(error)) if error else None,
            )
        if self._producer.flush(DELIVERY_SECONDS):
            self._producer.purge()
            raise TimeoutError("the broker does not answer")
        if failed:
            raise failed[0]


def headers_of(projection: str, record: Parked) -> dict[str, str]:
    """What a copy says beside the record's bytes; no personal data."""
    found = {
        "projection": projection,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.record_offset),
        "event_type": record.event_type or "",
        "schema_id": _schema_id(bytes(record.value)),
        "state": record.state,
        "exception": record.cause,
        "reason": record.reason,
        "attempts": str(record.attempts),
        "parked_at": "" if record.first_at is None else record.first_at.isoformat(),
    }
    return {f"rookery.{name}": value for name, value in found.items()}


def _schema_id(value: bytes) -> str:
    if len(value) < MAGIC.size:
        return ""
    magic, schema_id = MAGIC.unpack_from(value)
    return str(schema_id) if magic == 0 else ""
