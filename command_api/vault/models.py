"""The vault's tables: what is known of a person and must be destroyed with them; nothing else stores an e-mail."""

from django.db import models
from django.db.models.functions import Lower, Now


class Account(models.Model):
    """Who a person is: `username` is folded; `password` is Django's encoded hash; `bio` as their profile has it."""

    user_id = models.UUIDField(primary_key=True)
    username = models.TextField()
    email = models.TextField()
    display_name = models.TextField()
    password = models.TextField()
    created_at = models.DateTimeField()
    bio = models.TextField(db_default="")

    class Meta:
        db_table = "account"
        constraints = [
            models.UniqueConstraint(fields=["username"], name="account_username_unique"),
            models.UniqueConstraint(Lower("email"), name="account_email_unique"),
        ]


class SubjectKey(models.Model):
    """A person's data key, wrapped by the master key; the only table that projectors and readers may see."""

    subject_id = models.UUIDField(primary_key=True)
    wrapped = models.BinaryField()

    class Meta:
        db_table = "subject_key"


class RefreshFamily(models.Model):
    """One signing-in and all tokens that came of it; its row is the lock under which they are exchanged."""

    family_id = models.UUIDField(primary_key=True)
    user_id = models.UUIDField(db_index=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "refresh_family"


class RefreshToken(models.Model):
    """A refresh token by its SHA-256; used once."""

    token_hash = models.BinaryField(primary_key=True)
    family = models.ForeignKey(RefreshFamily, on_delete=models.CASCADE)
    spent_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "refresh_token"


class SignIn(models.Model):
    """From which address a person signed in, kept for 90 days."""

    sign_in_id = models.BigAutoField(primary_key=True)
    user_id = models.UUIDField(db_index=True)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "sign_in"


class Disclosure(models.Model):
    """Sealed text was opened on the command line: a row when it began, and one with the number of texts when it ended.

    `rookery_keys` may only add rows; infra/event_log/sealed.py does.
    """

    row_id = models.BigAutoField(primary_key=True)
    disclosure_id = models.UUIDField()
    phase = models.TextField()  # begun, ended
    at = models.DateTimeField(db_default=Now())
    os_user = models.TextField()
    host = models.TextField()
    reason = models.TextField()
    asked = models.JSONField()  # the command, its filters, where the text went
    texts = models.BigIntegerField(null=True)

    class Meta:
        db_table = "disclosure"
