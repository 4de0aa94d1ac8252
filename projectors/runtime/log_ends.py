"""Where the log's partitions begin and end, asked of the broker and of nobody who caches it.

Apart from the consumer on purpose: what watches a consumer must not ask it.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from projectors.runtime.stores.port import Partition
from shared.environment import Environment

Answer = TypeVar("Answer")

RETRY_SECONDS = 0.2
LEADER_CHANGES = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
}


def leader_known(ask: Callable[[], Answer], timeout_seconds: float) -> Answer:
    """What `ask` answers once partitions have their leaders: the client hands on what a broker says while a leader
    changes, or has just been chosen for a new topic, and does not ask again by itself.

    Raises KafkaException: any other, or this one when it lasts longer than the time limit.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in LEADER_CHANGES or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_SECONDS)


def offsets_for_times(
    consumer: Consumer, asked: list[TopicPartition], timeout_seconds: float = 10.0
) -> list[TopicPartition]:
    """The first offset that each partition appended at its time (in the place of an offset: milliseconds since 1970) or
    later; OFFSET_END where there is none. Raises KafkaException where any partition was not answered.
    """

    def ask() -> list[TopicPartition]:
        found = consumer.offsets_for_times(asked, timeout=timeout_seconds)
        errors = [each.error for each in found if each.error is not None]
        if errors:
            raise KafkaException(errors[0])
        return found

    return leader_known(ask, timeout_seconds)


def listed_offsets(
    admin: AdminClient, asked: Collection[TopicPartition], spec: OffsetSpec, timeout_seconds: float
) -> dict[TopicPartition, Any]:
    """The offset, with its time, that each partition has by this rule. Raises KafkaException or TimeoutError where any
    partition was not answered."""

    def ask() -> dict[TopicPartition, Any]:
        deadline = time.monotonic() + timeout_seconds + 1
        futures = admin.list_offsets(dict.fromkeys(asked, spec), request_timeout=timeout_seconds)
        return {place: future.result(max(0.1, deadline - time.monotonic())) for place, future in futures.items()}

    return leader_known(ask, timeout_seconds) if asked else {}


class LogEnds:
    """Asks for the offsets of many partitions at once. Blocks: from an event loop call it in a thread.

    Methods raise confluent_kafka.KafkaException when the broker does not answer in `timeout_seconds`.
    """

    def __init__(self, environment: Environment, timeout_seconds: float = 5.0) -> None:
        self._environment = environment
        self._timeout = timeout_seconds
        self._admin = AdminClient(
            {
                "bootstrap.servers": environment.kafka_bootstrap_servers,
                "socket.timeout.ms": int(timeout_seconds * 1000),
            }
        )

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        """Every partition of these topics (short names). Raises LookupError for a topic the broker does not have."""
        found = []
        for topic in topics:
            name = self._environment.topic(topic)
            metadata = self._admin.list_topics(name, timeout=self._timeout).topics[name]
            if metadata.error is not None:
                raise LookupError(f"topic {name}: {metadata.error}")
            found += [Partition(topic, number) for number in sorted(metadata.partitions)]
        return found

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset that the next record of each partition gets."""
        return self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def beginnings(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset of the first record each partition still has."""
        return self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def since(self, partitions: Sequence[Partition], millis: int) -> dict[Partition, int]:
        """The offset of the first record of each partition that was appended at that time (milliseconds since 1970) or
        later; its end where there is none."""
        found = self._offsets(partitions, OffsetSpec.for_timestamp(millis))
        ends = self.ends([partition for partition, offset in found.items() if offset < 0])
        return found | ends

    def _offsets(self, partitions: Iterable[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        wanted = {TopicPartition(self._environment.topic(p.topic), p.number): p for p in partitions}
        found = listed_offsets(self._admin, wanted, spec, self._timeout)
        return {wanted[place]: each.offset for place, each in found.items()}
