"""Makes the guard table of shares."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reactions", "0002_bookmarks"),
    ]

    operations = [
        migrations.CreateModel(
            name="ShareGuard",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "actor_id", "post_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("actor_id", models.UUIDField()),
                ("post_id", models.UUIDField()),
                ("active", models.BooleanField()),
                ("share_id", models.UUIDField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "share",
            },
        ),
    ]
