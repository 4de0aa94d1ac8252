"""An access token is believed only if the command API signed it (EdDSA, RFC 8037) and it has not expired."""

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from shared.environment import environment
from shared.errors import Unauthenticated

ISSUER = "rookery"
VERIFIED_MAX = 20_000  # tokens remembered; 600 bytes each


@dataclass(frozen=True)
class Bearer:
    """Who a token was given to."""

    user_id: UUID
    roles: tuple[str, ...]


class TokenReader:
    """Verifies access tokens under one public key."""

    def __init__(self, public_key: Ed25519PublicKey) -> None:
        self._key = public_key
        # A token says the same until it expires, and verifying one takes as long as reading all that a page shows.
        self._verified: dict[str, tuple[Bearer, float]] = {}
        self._key_id = hashlib.sha256(public_key.public_bytes_raw()).hexdigest()[:16]

    def read(self, token: str) -> Bearer:
        """Raises Unauthenticated for a token that is malformed, expired, or not signed under this key."""
        bearer, expires = self._verified.get(token, (None, 0.0))
        if bearer is not None and time.time() < expires:
            return bearer
        bearer, expires = self._verify(token)
        if len(self._verified) >= VERIFIED_MAX:
            self._verified = {}
        self._verified[token] = bearer, expires
        return bearer

    def _verify(self, token: str) -> tuple[Bearer, float]:
        try:
            if jwt.get_unverified_header(token).get("kid") != self._key_id:
                raise Unauthenticated("The access token was signed under an unknown key")
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["EdDSA"],
                issuer=ISSUER,
                options={"require": ["sub", "exp", "iat", "jti"]},
            )
            return Bearer(UUID(claims["sub"]), tuple(claims.get("roles", ()))), float(claims["exp"])
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The access token has expired") from None
        except (jwt.InvalidTokenError, ValueError):
            raise Unauthenticated("The access token is not valid") from None


@lru_cache(maxsize=1)
def token_reader() -> TokenReader:
    return load_token_reader(environment().verifying_key_path)


def load_token_reader(path: Path) -> TokenReader:
    """Raises FileNotFoundError until `rookery up` has made the key pair."""
    return TokenReader(cast(Ed25519PublicKey, load_pem_public_key(path.read_bytes())))


def bearer_of(authorization: str | None) -> Bearer | None:
    """The bearer of an Authorization header; None without one. Raises Unauthenticated for any but a valid token."""
    if not authorization:
        return None
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header must be `Bearer <access token>`")
    return token_reader().read(token.strip())
