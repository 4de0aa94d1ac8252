"""The outbox, which is the idempotency ledger too: written in the transaction of the guards, published after it."""

from django.db import models
from django.db.models import Func, Q


class ClockTimestamp(Func):
    """The time now, not that of the transaction's begin."""

    function = "clock_timestamp"
    output_field = models.DateTimeField()


class OutboxRow(models.Model):
    """One event on its way to the log, or the remembered answer to an idempotency key, or both.

    `acked_offset` is the offset that the broker gave the record. A row without `value` is an answer that appended
    nothing; `same_as` is then the event whose position answers for it. `response` is the answer's body, byte for byte.
    """

    event_id = models.UUIDField(primary_key=True)
    topic = models.TextField()
    partition = models.IntegerField()
    key = models.BinaryField(null=True)
    value = models.BinaryField(null=True)
    actor_id = models.UUIDField()
    idempotency_key = models.TextField(null=True)
    fingerprint = models.BinaryField(null=True)
    status = models.SmallIntegerField(null=True)
    response = models.BinaryField(null=True)
    same_as = models.UUIDField(null=True)
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
        constraints = [
            models.UniqueConstraint(
                fields=["actor_id", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="outbox_idempotency",
            ),
        ]
