"""The outbox and the answers to idempotency keys: written in the transaction of the guards, published after it."""

from django.db import models
from django.db.models import Func, Q


class ClockTimestamp(Func):
    """The time now, not that of the transaction's begin."""

    function = "clock_timestamp"
    output_field = models.DateTimeField()


class OutboxRow(models.Model):
    """One event on its way to the log; partitioned by ranges of ids of an hour each (partitions.py).

    `acked_offset` is the offset that the broker gave the record. `key` and `value`, the record's bytes, are cleared
    some hours after that.
    """

    event_id = models.UUIDField(primary_key=True)
    topic = models.TextField()
    partition = models.IntegerField()
    key = models.BinaryField(null=True)
    value = models.BinaryField(null=True)
    actor_id = models.UUIDField()
    acked_offset = models.BigIntegerField(null=True)
    acked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "outbox"
        indexes = [
            models.Index(
                fields=["topic", "partition", "event_id"], condition=Q(acked_at__isnull=True), name="outbox_unacked"
            ),
        ]


class IdempotencyAnswer(models.Model):
    """What an actor's key was answered: `response` is the body, byte for byte; `event_id` the event it told of.

    A table of its own, and not partitioned: only so can PostgreSQL itself see to it that a key has one answer.
    """

    pk = models.CompositePrimaryKey("actor_id", "idempotency_key")
    actor_id = models.UUIDField()
    idempotency_key = models.TextField()
    fingerprint = models.BinaryField()
    status = models.SmallIntegerField()
    response = models.BinaryField()
    event_id = models.UUIDField()
    created_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "idempotency_answer"
        indexes = [models.Index(fields=["created_at"], name="idempotency_answer_age")]
