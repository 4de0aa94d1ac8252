"""Who is who: names, e-mail and credentials as the vault has them, for as long as the person is not erased."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError, connections, transaction

from command_api.guards import array
from command_api.vault.keys import make_keys
from command_api.vault.router import VAULT
from shared.errors import Conflict, FieldError
from shared.ids import datetime_of

COLUMNS = "user_id, username, email, display_name, password, created_at"  # what registering gives
PROFILE_COLUMNS = f"{COLUMNS}, bio"


class Person(NamedTuple):
    """One account of the vault; `password` is the encoded hash."""

    user_id: UUID
    username: str
    email: str
    display_name: str
    password: str
    created_at: datetime
    bio: str = ""


class Credentials(NamedTuple):
    """A person to be; `now` is microseconds since 1970."""

    user_id: UUID
    username: str
    email: str
    display_name: str
    password_hash: str
    now: int


def by_username(username: str) -> Person | None:
    return _one("username = %s", username.casefold())


def by_email(email: str) -> Person | None:
    return _one("lower(email) = lower(%s)", email)


def by_id(user_id: UUID) -> Person | None:
    return _one("user_id = %s", user_id)


def ids_of(usernames: Sequence[str]) -> dict[str, UUID]:
    """The ids behind folded usernames; a name that nobody has is left out."""
    if not usernames:
        return {}
    with connections[VAULT].cursor() as cursor:
        cursor.execute("SELECT username, user_id FROM account WHERE username = ANY(%s)", [list(usernames)])
        return dict(cursor.fetchall())


def add(credentials: Credentials) -> None:
    """Reserves the names and makes the data key, in one transaction.

    Raises Conflict, pointing at the field that is taken.
    """
    try:
        with transaction.atomic(VAULT), connections[VAULT].cursor() as cursor:
            cursor.execute(
                f"INSERT INTO account ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)",
                [*credentials[:5], datetime_of(credentials.now)],
            )
            make_keys([credentials.user_id])
    except IntegrityError as error:
        raise taken("username" if "account_username_unique" in str(error) else "email") from error


def taken(field: str) -> Conflict:
    detail = "this username is taken" if field == "username" else "this e-mail address has an account"
    return Conflict(detail, [FieldError(f"/{field}", detail)])


def add_many(people: Iterable[Credentials]) -> None:
    """Adds these people, in one transaction; those who are there already stay as they are."""
    rows = [(*person[:5], datetime_of(person.now)) for person in people]
    with transaction.atomic(VAULT), connections[VAULT].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO account ({COLUMNS}) SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[],"
            " %s::text[], %s::timestamptz[]) ON CONFLICT DO NOTHING",
            [array(row[0] for row in rows), *(list(column) for column in list(zip(*rows, strict=True))[1:])],
        )
        make_keys([row[0] for row in rows])


def change_profile(user_id: UUID, display_name: str | None, bio: str | None) -> None:
    """Keeps in step what answers say of a person; None leaves a field as it is."""
    with connections[VAULT].cursor() as cursor:
        cursor.execute(
            "UPDATE account SET display_name = coalesce(%s, display_name), bio = coalesce(%s, bio) WHERE user_id = %s",
            [display_name, bio, user_id],
        )


def note_sign_in(user_id: UUID, address: str | None, now: int) -> None:
    with connections[VAULT].cursor() as cursor:
        cursor.execute(
            "INSERT INTO sign_in (user_id, address, at) VALUES (%s, %s, %s)", [user_id, address, datetime_of(now)]
        )


def destroy(user_id: UUID) -> None:
    """Deletes everything that the vault has about a person but the key."""
    with transaction.atomic(VAULT), connections[VAULT].cursor() as cursor:
        cursor.execute(
            "DELETE FROM refresh_token USING refresh_family"
            " WHERE refresh_token.family_id = refresh_family.family_id AND refresh_family.user_id = %s",
            [user_id],
        )
        for table in ("refresh_family", "sign_in", "account"):
            cursor.execute(f"DELETE FROM {table} WHERE user_id = %s", [user_id])


def _one(condition: str, value: Any) -> Person | None:
    with connections[VAULT].cursor() as cursor:
        cursor.execute(f"SELECT {PROFILE_COLUMNS} FROM account WHERE {condition}", [value])
        row = cursor.fetchone()
    return Person(*row) if row else None
