"""The guard table of read marks."""

from django.db import models


class ReadMarkGuard(models.Model):
    """Up to which event a person has read everything; written only under their account lock."""

    user_id = models.UUIDField(primary_key=True)
    up_to = models.UUIDField()
    last_event = models.UUIDField()

    class Meta:
        db_table = "read_mark"
