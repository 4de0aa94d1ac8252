"""Small signed values that clients carry: consistency tokens and cursors, opaque and proof against forgery.

A value is msgpack, prefixed by an HMAC-SHA256 (cut to 16 bytes) of its purpose and bytes, in base64url without padding.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from shared.position import Position

SIGNATURE_BYTES = 16
CONSISTENCY = "consistency"
PENDING = "pending"


class InvalidToken(ValueError):
    """Not a value that was signed here for this purpose."""


def sign(secret: bytes, purpose: str, value: Any) -> str:
    body = msgspec.msgpack.encode(value)
    return base64.urlsafe_b64encode(_signature(secret, purpose, body) + body).rstrip(b"=").decode()


def verify(secret: bytes, purpose: str, token: str) -> Any:
    """The value that was signed. Raises InvalidToken."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise InvalidToken("not base64url") from None
    signature, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(secret, purpose, body)):
        raise InvalidToken("not signed here, or for another purpose")
    return msgspec.msgpack.decode(body)


def consistency_token(secret: bytes, position: Position | None) -> str:
    """What a write answers: its position in the log, or None while the log has not acknowledged it."""
    return sign(secret, CONSISTENCY, None if position is None else list(position))


def read_consistency_token(secret: bytes, token: str) -> Position | None:
    """The position a token demands; None for a write that was still pending. Raises InvalidToken."""
    value = verify(secret, CONSISTENCY, token)
    return None if value is None else Position(*value)


def _signature(secret: bytes, purpose: str, body: bytes) -> bytes:
    return hmac.digest(secret, purpose.encode() + b"\0" + body, hashlib.sha256)[:SIGNATURE_BYTES]
