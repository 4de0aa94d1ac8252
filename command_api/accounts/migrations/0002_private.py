"""Gives the guards of people whether their follows wait for approval."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="accountguard",
            name="private",
            field=models.BooleanField(db_default=False),
        ),
    ]
