"""The guard table of people."""

from django.db import models


class AccountGuard(models.Model):
    """Whether a person may act and approves their followers; the row is also the lock of everything they do.

    `private` changes under a lock that everybody waits for who looks at it (FOR UPDATE).
    """

    user_id = models.UUIDField(primary_key=True)
    state = models.TextField()
    last_event = models.UUIDField()
    private = models.BooleanField(db_default=False)
    # Words with spaces between them. The database's own default: the row that is made to be locked names no roles.
    roles = models.TextField(db_default="")

    class Meta:
        db_table = "account"
