"""Makes the topics of schemas/topics.yaml: endless, stamped by the log, and with the partitions they keep for life."""

from typing import Any

import yaml
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.local.failures import StepError
from shared.environment import REPOSITORY, Environment

TOPICS_FILE = REPOSITORY / "schemas" / "topics.yaml"
CONFIGURATION = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
    "compression.type": "producer",
}
ANSWER_SECONDS_MAX = 30


def declared() -> dict[str, dict[str, Any]]:
    """What the file says, by name without prefix."""
    found = yaml.safe_load(TOPICS_FILE.read_text())
    topics: dict[str, dict[str, Any] | None] = found["topics"]
    dead_letters = {name: {"partitions": found["dead_letters"]["partitions"]} for name in dead_letters_of(found)}
    return {name: entry or {} for name, entry in topics.items()} | dead_letters


def dead_letters_of(found: dict[str, Any]) -> list[str]:
    """The topics that hold copies of parked records, by name without prefix."""
    return list(found["dead_letters"]["topics"])


def create(environment: Environment) -> list[str]:
    """Makes the missing ones and answers their names.

    Raises StepError where one exists with another number of partitions: keys would then move between partitions, so
    that number can be changed only by a migration to a new topic.
    """
    client = AdminClient({"bootstrap.servers": environment.kafka_bootstrap_servers, "log_level": 0})
    metadata = client.list_topics(timeout=ANSWER_SECONDS_MAX)
    wanted = {
        environment.topic(name): int(entry.get("partitions") or environment.topic_partitions)
        for name, entry in declared().items()
    }
    for name, partitions in wanted.items():
        if name in metadata.topics and len(metadata.topics[name].partitions) != partitions:
            raise StepError(
                f"topic {name} has {len(metadata.topics[name].partitions)} partitions and not {partitions}: set"
                " ROOKERY_TOPIC_PARTITIONS to what it has, or start with empty data (rookery down --data)"
            )
    replication = min(3, len(metadata.brokers))
    missing = [
        NewTopic(name, num_partitions=partitions, replication_factor=replication, config=CONFIGURATION)
        for name, partitions in wanted.items()
        if name not in metadata.topics
    ]
    if missing:
        for name, future in client.create_topics(missing, request_timeout=ANSWER_SECONDS_MAX).items():
            try:
                future.result()
            except Exception as error:
                raise StepError(f"topic {name} could not be made: {error}") from error
    return [topic.topic for topic in missing]
