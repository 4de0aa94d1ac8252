"""Makes the guard table of read marks."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ReadMarkGuard",
            fields=[
                ("user_id", models.UUIDField(primary_key=True, serialize=False)),
                ("up_to", models.UUIDField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "read_mark",
            },
        ),
    ]
