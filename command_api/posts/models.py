"""The guard tables of posts and comments."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class PostGuard(models.Model):
    """Who wrote a post, who may see it, whether it stands, and by what an edit is told from a repetition."""

    post_id = models.UUIDField(primary_key=True)
    author_id = models.UUIDField()
    visibility = models.TextField()
    deleted = models.BooleanField()
    last_event = models.UUIDField()
    digest = models.TextField(default="")
    mentioned_ids = ArrayField(models.UUIDField(), default=list)

    class Meta:
        db_table = "post"
        # An erasure takes digests and mentions along.
        indexes = [models.Index(fields=["author_id"], name="post_author")]


class CommentGuard(models.Model):
    """Who wrote a comment, under which post, in answer to which other."""

    comment_id = models.UUIDField(primary_key=True)
    post_id = models.UUIDField()
    author_id = models.UUIDField()
    deleted = models.BooleanField()
    last_event = models.UUIDField()
    parent_id = models.UUIDField(null=True)
    parent_author_id = models.UUIDField(null=True)
    digest = models.TextField(default="")
    mentioned_ids = ArrayField(models.UUIDField(), default=list)

    class Meta:
        db_table = "comment"
        indexes = [models.Index(fields=["author_id"], name="comment_author")]
