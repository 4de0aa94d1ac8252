"""People for tests, each with names of their own, and what the log holds of them."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
from confluent_kafka import Consumer, TopicPartition

from shared import clock
from shared.environment import environment
from shared.ids import mint

PASSWORD = "a long enough one"
READ_SECONDS = 10


def username() -> str:
    return f"t_{uuid4().hex[:16]}"


def people(number: int = 1) -> list[UUID]:
    """Registered people whose password nobody knows: making a hash for each would take most of the tests' time."""
    from command_api.accounts.registration import register_batch

    now = clock.now()
    rows = [(mint(now), name, f"{name}@example.org", name, "!", now) for name in (username() for _ in range(number))]
    outcomes = register_batch(rows)
    assert all(outcome.changed and outcome.position for outcome in outcomes)
    return [row[0] for row in rows]


def log_of(topic: str, partition: int) -> list[tuple[bytes, bytes]]:
    """Every record of a partition, key and value, in order."""
    env = environment()
    consumer = Consumer({"bootstrap.servers": env.kafka_bootstrap_servers, "group.id": f"test-{uuid4()}"})
    place = TopicPartition(env.topic(topic), partition, 0)
    try:
        _, end = consumer.get_watermark_offsets(place, timeout=READ_SECONDS)
        consumer.assign([place])
        found: list[tuple[bytes, bytes]] = []
        while len(found) < end:
            messages = consumer.consume(end - len(found), timeout=READ_SECONDS)
            assert messages, f"only {len(found)} of {end} records came"
            found += [(_bytes(message.key()), _bytes(message.value())) for message in messages]
        return found
    finally:
        consumer.close()


def copies_in_log(event_id: UUID, row: tuple[Any, ...]) -> list[bytes]:
    """The values of the records of this event; `row` begins with topic and partition."""
    return [value for key, value in log_of(row[0], row[1]) if key[16:] == event_id.bytes]


def outbox_row(connection: psycopg.Connection[Any], event_id: UUID) -> tuple[Any, ...]:
    """Topic, partition, value, acked_offset of an event, once this process has marked what was acknowledged."""
    from command_api.event_log.late import late_marker

    assert late_marker().settle(READ_SECONDS)
    found = connection.execute(
        "select topic, partition, value, acked_offset from outbox where event_id = %s", (event_id,)
    ).fetchone()
    assert found is not None
    return found


def _bytes(value: bytes | str | None) -> bytes:
    assert isinstance(value, bytes)
    return value
