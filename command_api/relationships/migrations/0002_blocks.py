"""Makes the guard tables of blocks and mutes, and gives follows the requests for them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("relationships", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="followguard",
            name="requested",
            field=models.BooleanField(db_default=False),
        ),
        migrations.CreateModel(
            name="BlockGuard",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "from_id", "to_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("from_id", models.UUIDField()),
                ("to_id", models.UUIDField()),
                ("active", models.BooleanField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "block",
            },
        ),
        migrations.CreateModel(
            name="MuteGuard",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "from_id", "to_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("from_id", models.UUIDField()),
                ("to_id", models.UUIDField()),
                ("active", models.BooleanField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "mute",
            },
        ),
    ]
