"""Passwords: Argon2id at 64 MiB, at most two at a time in a process, and as slow for people who do not exist."""

import threading
from functools import lru_cache
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from shared.errors import FieldError, ValidationFailed

CHARACTERS_MAX = 200
HASHES_AT_ONCE_MAX = 2
_turn = threading.BoundedSemaphore(HASHES_AT_ONCE_MAX)


class Argon2id(Argon2PasswordHasher):
    """RFC 9106's second recommended option: 64 MiB, three passes, here one lane."""

    time_cost = 3
    memory_cost = 65_536
    parallelism = 1

    def encode(self, *args: Any, **kwargs: Any) -> str:
        with _turn:
            return str(super().encode(*args, **kwargs))

    def verify(self, *args: Any, **kwargs: Any) -> bool:
        with _turn:
            return bool(super().verify(*args, **kwargs))


def hash_password(password: str) -> str:
    return str(make_password(password))


def is_password(password: str, encoded: str | None) -> bool:
    """Whether this is the password; without a hash to compare with it takes as long and is not."""
    return bool(check_password(password, encoded or _nobodys_hash())) and encoded is not None


def weaknesses(password: str) -> list[str]:
    """Why a password is not accepted, in sentences."""
    try:
        validate_password(password)
    except ValidationError as error:
        return [str(message) for message in error.messages]
    return [] if len(password) <= CHARACTERS_MAX else [f"at most {CHARACTERS_MAX} characters"]


def require_acceptable(password: str, repeated: str) -> None:
    """Raises ValidationFailed, pointing at /password or /password_confirm."""
    errors = [FieldError("/password", sentence) for sentence in weaknesses(password)]
    if repeated != password:
        errors.append(FieldError("/password_confirm", "is not the same as the password"))
    if errors:
        raise ValidationFailed(errors[0].detail, errors)


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return hash_password("nobody has this password")
