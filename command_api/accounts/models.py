"""The guard table of people."""

from django.db import models


class AccountGuard(models.Model):
    """Whether a person may act; the row is also the lock of everything they do."""

    user_id = models.UUIDField(primary_key=True)
    state = models.TextField()
    last_event = models.UUIDField()
    # Words with spaces between them. The database's own default: the row that is made to be locked names no roles.
    roles = models.TextField(db_default="")

    class Meta:
        db_table = "account"
