"""Makes the guard table of reactions."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ReactionGuard",
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
                ("reaction", models.TextField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "reaction",
            },
        ),
    ]
