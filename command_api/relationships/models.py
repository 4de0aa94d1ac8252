"""The guard tables of follows, blocks and mutes."""

from django.db import models


class FollowGuard(models.Model):
    """Whether one person follows another, or asks to; written only under the follower's account lock.

    What the followee decides of it (an approval, a refusal, a block) takes that lock beside their own.
    """

    pk = models.CompositePrimaryKey("follower_id", "followee_id")
    follower_id = models.UUIDField()
    followee_id = models.UUIDField()
    active = models.BooleanField()
    last_event = models.UUIDField()
    requested = models.BooleanField(db_default=False)

    class Meta:
        db_table = "follow"


class BlockGuard(models.Model):
    """Whether one person blocks another; written only under both their account locks: either of them holds it still."""

    pk = models.CompositePrimaryKey("from_id", "to_id")
    from_id = models.UUIDField()
    to_id = models.UUIDField()
    active = models.BooleanField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "block"


class MuteGuard(models.Model):
    """Whether one person mutes another; written only under the muter's account lock."""

    pk = models.CompositePrimaryKey("from_id", "to_id")
    from_id = models.UUIDField()
    to_id = models.UUIDField()
    active = models.BooleanField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "mute"
