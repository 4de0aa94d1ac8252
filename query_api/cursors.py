"""A cursor is opaque, signed, and good only for the list, the filter and the reader it was given for."""

from typing import Any
from uuid import UUID

from shared.errors import FieldError, ValidationFailed
from shared.tokens import InvalidToken, sign, verify

LIMIT_DEFAULT = 20
LIMIT_MAX = 100


def limit_of(given: str | None) -> int:
    """1 to 100; 20 when not given. Raises ValidationFailed."""
    if given is None or given == "":
        return LIMIT_DEFAULT
    if given.isascii() and given.isdecimal() and len(given) <= 3 and 1 <= int(given) <= LIMIT_MAX:
        return int(given)
    raise invalid_parameter("limit", f"must be a whole number from 1 to {LIMIT_MAX}")


def write_cursor(secret: bytes, purpose: str, value: Any) -> str:
    return sign(secret, f"cursor:{purpose}", value)


def read_cursor(secret: bytes, purpose: str, cursor: str | None) -> Any:
    """The value of a cursor given for this purpose; None without one. Raises ValidationFailed for any other text."""
    if not cursor:
        return None
    try:
        return verify(secret, f"cursor:{purpose}", cursor)
    except InvalidToken:
        raise invalid_parameter("cursor", "is not a cursor of this list") from None


def write_id_cursor(secret: bytes, purpose: str, key: UUID | None) -> str | None:
    return None if key is None else write_cursor(secret, purpose, key.bytes)


def read_id_cursor(secret: bytes, purpose: str, cursor: str | None) -> UUID | None:
    value = read_cursor(secret, purpose, cursor)
    return None if value is None else UUID(bytes=value)


def flag_of(name: str, given: str | None) -> bool:
    """A query parameter that is on or off. Raises ValidationFailed."""
    if given in (None, "", "0", "false"):
        return False
    if given in ("1", "true"):
        return True
    raise invalid_parameter(name, "must be 1 or 0")


def invalid_parameter(name: str, detail: str) -> ValidationFailed:
    return ValidationFailed(f"`{name}` {detail}", [FieldError(f"/{name}", detail)])
