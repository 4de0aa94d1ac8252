"""What Kafka knows of a projection's workers: who is in its consumer group, what each holds, what they committed.

The group says whether anybody works; how far the work is, only the projection's store says. Blocks: from an event loop
call it in a thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from projectors.runtime.projection import Projection
from projectors.runtime.stores.port import Partition
from shared.environment import Environment

REBALANCING = (ConsumerGroupState.PREPARING_REBALANCING, ConsumerGroupState.COMPLETING_REBALANCING)


def group_of(projection: Projection, environment: Environment) -> str:
    """The consumer group whose members share the projection's partitions."""
    return environment.topic(projection.name)


@dataclass(frozen=True)
class Group:
    """`held`: partitions that some member was given. `committed`: the next offset, where any was ever committed."""

    members: int = 0
    rebalancing: bool = False
    held: frozenset[Partition] = frozenset()
    committed: dict[Partition, int] = field(default_factory=dict)


class Groups:
    """Asks about several projections' groups at once.

    Raises confluent_kafka.KafkaException when the broker does not answer in `timeout_seconds`.
    """

    def __init__(self, environment: Environment, timeout_seconds: float = 3.0) -> None:
        self._environment = environment
        self._timeout = timeout_seconds
        self._admin = AdminClient(
            {
                "bootstrap.servers": environment.kafka_bootstrap_servers,
                "socket.timeout.ms": int(timeout_seconds * 1000),
                "log_level": 0,
            }
        )

    def of(self, projections: Sequence[Projection]) -> dict[str, Group]:
        """Each projection's group, by the projection's name; one that nobody ever joined has no members."""
        names = {group_of(each, self._environment): each.name for each in projections}
        if not names:
            return {}
        described = self._admin.describe_consumer_groups(list(names), request_timeout=self._timeout)
        commits = {
            group: self._admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], request_timeout=self._timeout
            )[group]
            for group in names
        }
        return {name: self._group(described[group], commits[group]) for group, name in names.items()}

    def _group(self, description: Any, commits: Any) -> Group:
        found = self._answer(description)
        offsets = self._answer(commits)
        committed = {
            place: each.offset
            for each in (offsets.topic_partitions if offsets is not None else ())
            if each.offset >= 0 and (place := self._partition(each)) is not None
        }
        if found is None:
            return Group(committed=committed)
        held = [self._partition(each) for member in found.members for each in member.assignment.topic_partitions]
        return Group(
            members=len(found.members),
            rebalancing=found.state in REBALANCING,
            held=frozenset(each for each in held if each is not None),
            committed=committed,
        )

    def _answer(self, future: Any) -> Any:
        try:
            return future.result(self._timeout + 1)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return None
            raise

    def _partition(self, place: Any) -> Partition | None:
        prefix = self._environment.topic_prefix
        return Partition(place.topic.removeprefix(prefix), place.partition) if place.topic.startswith(prefix) else None
