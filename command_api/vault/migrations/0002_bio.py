"""Gives accounts a bio."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("vault", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="bio",
            field=models.TextField(db_default=""),
        ),
    ]
