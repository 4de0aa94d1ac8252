"""Gives the guards of posts and comments what an edit and a deletion ask for."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("posts", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="commentguard",
            name="digest",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="commentguard",
            name="mentioned_ids",
            field=django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None),
        ),
        migrations.AddField(
            model_name="commentguard",
            name="parent_author_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="commentguard",
            name="parent_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="postguard",
            name="digest",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="postguard",
            name="mentioned_ids",
            field=django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None),
        ),
        migrations.AddIndex(
            model_name="commentguard",
            index=models.Index(fields=["author_id"], name="comment_author"),
        ),
        migrations.AddIndex(
            model_name="postguard",
            index=models.Index(fields=["author_id"], name="post_author"),
        ),
    ]
