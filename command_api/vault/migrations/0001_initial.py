"""Makes the vault; projectors and readers, as rookery_keys, may read the subject keys and nothing else."""

import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

GRANT = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rookery_keys') THEN
        GRANT SELECT ON subject_key TO rookery_keys;
    END IF;
END
$$
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="RefreshFamily",
            fields=[
                ("family_id", models.UUIDField(primary_key=True, serialize=False)),
                ("user_id", models.UUIDField(db_index=True)),
                ("created_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "refresh_family",
            },
        ),
        migrations.CreateModel(
            name="SignIn",
            fields=[
                ("sign_in_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("user_id", models.UUIDField(db_index=True)),
                ("address", models.GenericIPAddressField(null=True)),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={
                "db_table": "sign_in",
            },
        ),
        migrations.CreateModel(
            name="SubjectKey",
            fields=[
                ("subject_id", models.UUIDField(primary_key=True, serialize=False)),
                ("wrapped", models.BinaryField()),
            ],
            options={
                "db_table": "subject_key",
            },
        ),
        migrations.CreateModel(
            name="Account",
            fields=[
                ("user_id", models.UUIDField(primary_key=True, serialize=False)),
                ("username", models.TextField()),
                ("email", models.TextField()),
                ("display_name", models.TextField()),
                ("password", models.TextField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "account",
                "constraints": [
                    models.UniqueConstraint(fields=("username",), name="account_username_unique"),
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"), name="account_email_unique"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RefreshToken",
            fields=[
                ("token_hash", models.BinaryField(primary_key=True, serialize=False)),
                ("spent_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField()),
                ("family", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="vault.refreshfamily")),
            ],
            options={
                "db_table": "refresh_token",
            },
        ),
        migrations.RunSQL(GRANT, migrations.RunSQL.noop),
    ]
