"""The guard table of follows."""

from django.db import models


class FollowGuard(models.Model):
    """Whether one person follows another; written only under the follower's account lock."""

    pk = models.CompositePrimaryKey("follower_id", "followee_id")
    follower_id = models.UUIDField()
    followee_id = models.UUIDField()
    active = models.BooleanField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "follow"
