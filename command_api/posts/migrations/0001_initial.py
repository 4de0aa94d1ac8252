"""Makes the guard tables of posts and comments."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="CommentGuard",
            fields=[
                ("comment_id", models.UUIDField(primary_key=True, serialize=False)),
                ("post_id", models.UUIDField()),
                ("author_id", models.UUIDField()),
                ("deleted", models.BooleanField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "comment",
            },
        ),
        migrations.CreateModel(
            name="PostGuard",
            fields=[
                ("post_id", models.UUIDField(primary_key=True, serialize=False)),
                ("author_id", models.UUIDField()),
                ("visibility", models.TextField()),
                ("deleted", models.BooleanField()),
                ("last_event", models.UUIDField()),
            ],
            options={
                "db_table": "post",
            },
        ),
    ]
