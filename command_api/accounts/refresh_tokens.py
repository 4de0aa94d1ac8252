"""Refresh tokens: single use, in families; whoever shows a spent one ends its family (RFC 9700, 4.14).

A family's row is locked while a token of it is exchanged, so that of two exchanges at once one is the second, and a
revocation cannot miss a token that is just being made.
"""

import hashlib
import secrets
import uuid
from uuid import UUID

from django.db import connections, transaction

from command_api.vault.router import VAULT
from shared.errors import Unauthenticated
from shared.ids import datetime_of

LIFETIME_MICROS = 7 * 24 * 3600 * 1_000_000
TOKEN_BYTES = 32
REFUSAL = "the refresh token is not valid; sign in again"


def begin_family(user_id: UUID, now: int) -> str:
    """The first token after signing in."""
    family_id = uuid.uuid4()
    with transaction.atomic(VAULT), connections[VAULT].cursor() as cursor:
        cursor.execute(
            "INSERT INTO refresh_family (family_id, user_id, created_at) VALUES (%s, %s, %s)",
            [family_id, user_id, datetime_of(now)],
        )
        return _add(family_id, now)


def exchange(token: str, now: int) -> tuple[UUID, str]:
    """Whose token it is, and the next one. Raises Unauthenticated."""
    with transaction.atomic(VAULT):
        found = _exchange(token, now)
    if found is None:
        # Raised only here, after the commit: the revocation of a family must not be rolled back.
        raise Unauthenticated(REFUSAL)
    return found


def revoke(token: str, now: int) -> None:
    """Ends the token's family; a token that nobody knows is ended already."""
    with transaction.atomic(VAULT), connections[VAULT].cursor() as cursor:
        cursor.execute(
            "UPDATE refresh_family SET revoked_at = coalesce(revoked_at, %s)"
            " WHERE family_id = (SELECT family_id FROM refresh_token WHERE token_hash = %s)",
            [datetime_of(now), _hash(token)],
        )


def _exchange(token: str, now: int) -> tuple[UUID, str] | None:
    moment = datetime_of(now)
    with connections[VAULT].cursor() as cursor:
        cursor.execute(
            "SELECT family_id, user_id, revoked_at FROM refresh_family"
            " WHERE family_id = (SELECT family_id FROM refresh_token WHERE token_hash = %s) FOR UPDATE",
            [_hash(token)],
        )
        family = cursor.fetchone()
        if family is None or family[2] is not None:
            return None
        cursor.execute("SELECT spent_at, expires_at FROM refresh_token WHERE token_hash = %s", [_hash(token)])
        spent_at, expires_at = cursor.fetchone()
        if spent_at is not None:
            cursor.execute("UPDATE refresh_family SET revoked_at = %s WHERE family_id = %s", [moment, family[0]])
            return None
        if expires_at <= moment:
            return None
        cursor.execute("UPDATE refresh_token SET spent_at = %s WHERE token_hash = %s", [moment, _hash(token)])
        return family[1], _add(family[0], now)


def _add(family_id: UUID, now: int) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with connections[VAULT].cursor() as cursor:
        cursor.execute(
            "INSERT INTO refresh_token (token_hash, family_id, expires_at) VALUES (%s, %s, %s)",
            [_hash(token), family_id, datetime_of(now + LIFETIME_MICROS)],
        )
    return token


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
