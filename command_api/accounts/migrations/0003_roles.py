"""Gives the guards of people the roles that their access tokens carry."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_private"),
    ]

    operations = [
        migrations.AddField(
            model_name="accountguard",
            name="roles",
            field=models.TextField(db_default=""),
        ),
    ]
