"""Keeps who opened sealed text on the command line, and why; rookery_keys may add to it and do nothing else with it."""

from django.db import migrations, models
from django.db.models.functions import Now

GRANT = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rookery_keys') THEN
        GRANT INSERT ON disclosure TO rookery_keys;
    END IF;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("vault", "0002_bio"),
    ]

    operations = [
        migrations.CreateModel(
            name="Disclosure",
            fields=[
                ("row_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("disclosure_id", models.UUIDField()),
                ("phase", models.TextField()),
                ("at", models.DateTimeField(db_default=Now())),
                ("os_user", models.TextField()),
                ("host", models.TextField()),
                ("reason", models.TextField()),
                ("asked", models.JSONField()),
                ("texts", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "disclosure",
            },
        ),
        migrations.RunSQL(GRANT, migrations.RunSQL.noop),
    ]
