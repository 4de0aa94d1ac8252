"""The guard tables of posts and comments."""

from django.db import models


class PostGuard(models.Model):
    """Who wrote a post, who may see it, whether it stands."""

    post_id = models.UUIDField(primary_key=True)
    author_id = models.UUIDField()
    visibility = models.TextField()
    deleted = models.BooleanField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "post"


class CommentGuard(models.Model):
    """Who wrote a comment and under which post."""

    comment_id = models.UUIDField(primary_key=True)
    post_id = models.UUIDField()
    author_id = models.UUIDField()
    deleted = models.BooleanField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "comment"
