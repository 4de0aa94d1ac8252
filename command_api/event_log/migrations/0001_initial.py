"""Makes the outbox; its acked rows are cleaned up early, since every row is updated once."""

from django.db import migrations, models

import command_api.event_log.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("event_id", models.UUIDField(primary_key=True, serialize=False)),
                ("topic", models.TextField()),
                ("partition", models.IntegerField()),
                ("key", models.BinaryField(null=True)),
                ("value", models.BinaryField(null=True)),
                ("actor_id", models.UUIDField()),
                ("idempotency_key", models.TextField(null=True)),
                ("fingerprint", models.BinaryField(null=True)),
                ("status", models.SmallIntegerField(null=True)),
                ("response", models.BinaryField(null=True)),
                ("same_as", models.UUIDField(null=True)),
                ("acked_offset", models.BigIntegerField(null=True)),
                ("acked_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(db_default=command_api.event_log.models.ClockTimestamp())),
            ],
            options={
                "db_table": "outbox",
                "indexes": [
                    models.Index(
                        condition=models.Q(("acked_at__isnull", True)),
                        fields=["topic", "partition", "event_id"],
                        name="outbox_unacked",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("idempotency_key__isnull", False)),
                        fields=("actor_id", "idempotency_key"),
                        name="outbox_idempotency",
                    )
                ],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,"
            " autovacuum_vacuum_cost_delay = 0)",
            migrations.RunSQL.noop,
        ),
    ]
