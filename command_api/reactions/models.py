"""The guard tables of reactions, bookmarks and shares."""

from django.db import models


class ReactionGuard(models.Model):
    """How a person reacted to a post; written only under the actor's account lock."""

    pk = models.CompositePrimaryKey("actor_id", "post_id")
    actor_id = models.UUIDField()
    post_id = models.UUIDField()
    active = models.BooleanField()
    reaction = models.TextField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "reaction"


class BookmarkGuard(models.Model):
    """Whether a person keeps a post; written only under their account lock."""

    pk = models.CompositePrimaryKey("actor_id", "post_id")
    actor_id = models.UUIDField()
    post_id = models.UUIDField()
    active = models.BooleanField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "bookmark"


class ShareGuard(models.Model):
    """Whether a person shares a post, and under which id; written only under their account lock."""

    pk = models.CompositePrimaryKey("actor_id", "post_id")
    actor_id = models.UUIDField()
    post_id = models.UUIDField()
    active = models.BooleanField()
    share_id = models.UUIDField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "share"
