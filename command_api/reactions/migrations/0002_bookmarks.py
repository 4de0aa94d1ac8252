"""Makes the guard table of bookmarks."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reactions", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="BookmarkGuard",
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
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "bookmark",
            },
        ),
    ]
