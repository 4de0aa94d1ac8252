"""Makes the guard table of follows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="FollowGuard",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "follower_id", "followee_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("follower_id", models.UUIDField()),
                ("followee_id", models.UUIDField()),
                ("active", models.BooleanField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "follow",
            },
        ),
    ]
