"""Makes the guard table of people."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="AccountGuard",
            fields=[
                ("user_id", models.UUIDField(primary_key=True, serialize=False)),
                ("state", models.TextField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "account",
            },
        ),
    ]
