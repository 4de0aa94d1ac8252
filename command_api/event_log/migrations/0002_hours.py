"""Splits the outbox into hours, and gives the answers to idempotency keys a table of their own; nothing is lost.

Rows that are neither unpublished nor younger than a day are not taken along: nobody may ask for them any more.
"""

from typing import Any

from django.db import migrations, models

import command_api.event_log.models
from command_api.event_log import partitions
from shared import clock

ASIDE = (
    """
ALTER TABLE outbox RENAME TO outbox_before;
ALTER INDEX outbox_pkey RENAME TO outbox_before_pkey;
ALTER INDEX outbox_unacked RENAME TO outbox_before_unacked;
CREATE TABLE outbox (
    event_id uuid PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    key bytea,
    value bytea,
    actor_id uuid NOT NULL,
    acked_offset bigint,
    acked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (event_id);
CREATE INDEX outbox_unacked ON outbox (topic, partition, event_id) WHERE acked_at IS NULL;
"""
    + f"CREATE TABLE {partitions.REST} PARTITION OF outbox DEFAULT WITH ({partitions.STORAGE});"
)

BACK = """
INSERT INTO outbox (event_id, topic, partition, key, value, actor_id, acked_offset, acked_at, created_at)
SELECT event_id, topic, partition, key, value, actor_id, acked_offset, acked_at, created_at FROM outbox_before
 WHERE value IS NOT NULL AND (acked_at IS NULL OR created_at > now() - interval '24 hours');
INSERT INTO idempotency_answer (actor_id, idempotency_key, fingerprint, status, response, event_id, created_at)
SELECT actor_id, idempotency_key, fingerprint, status, response, coalesce(same_as, event_id), created_at
  FROM outbox_before
 WHERE idempotency_key IS NOT NULL AND created_at > now() - interval '24 hours';
DROP TABLE outbox_before;
"""


def create_hours(apps: Any, schema_editor: Any) -> None:
    partitions.create_ahead(schema_editor.connection.connection, clock.now())


class Migration(migrations.Migration):
    dependencies = [("event_log", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="IdempotencyAnswer",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "actor_id", "idempotency_key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("actor_id", models.UUIDField()),
                ("idempotency_key", models.TextField()),
                ("fingerprint", models.BinaryField()),
                ("status", models.SmallIntegerField()),
                ("response", models.BinaryField()),
                ("event_id", models.UUIDField()),
                ("created_at", models.DateTimeField(db_default=command_api.event_log.models.ClockTimestamp())),
            ],
            options={
                "db_table": "idempotency_answer",
                "indexes": [models.Index(fields=["created_at"], name="idempotency_answer_age")],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(ASIDE),
                migrations.RunPython(create_hours),
                migrations.RunSQL(BACK),
            ],
            state_operations=[
                migrations.RemoveConstraint(model_name="outboxrow", name="outbox_idempotency"),
                *(
                    migrations.RemoveField(model_name="outboxrow", name=name)
                    for name in ("idempotency_key", "fingerprint", "status", "response", "same_as")
                ),
            ],
        ),
    ]
