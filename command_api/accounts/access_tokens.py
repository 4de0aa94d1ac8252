"""Access tokens: EdDSA-signed, 15 minutes, verifiable with the public key alone (RFC 7519, RFC 8037)."""

import base64
import hashlib
import uuid
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from shared.environment import environment
from shared.errors import Unauthenticated

ALGORITHM = "EdDSA"
ISSUER = "rookery"
LIFETIME_SECONDS = 900


class Bearer(NamedTuple):
    """Whom a valid token speaks for."""

    user_id: UUID
    roles: tuple[str, ...]


class _Keys(NamedTuple):
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    key_id: str


@lru_cache(maxsize=1)
def _keys() -> _Keys:
    private = load_pem_private_key(environment().signing_key_path.read_bytes(), None)
    if not isinstance(private, Ed25519PrivateKey):
        raise TypeError(f"{environment().signing_key_path} is not an Ed25519 key")
    public = private.public_key()
    return _Keys(private, public, hashlib.sha256(_raw(public)).hexdigest()[:16])


def issue(user_id: UUID, roles: tuple[str, ...], now: int) -> str:
    """A token from `now` (microseconds since 1970) on."""
    keys = _keys()
    issued = now // 1_000_000
    claims = {
        "iss": ISSUER,
        "sub": str(user_id),
        "roles": list(roles),
        "iat": issued,
        "exp": issued + LIFETIME_SECONDS,
        "jti": uuid.uuid4().hex,
    }
    return jwt.encode(claims, keys.private, ALGORITHM, headers={"kid": keys.key_id})


def verify(token: str) -> Bearer:
    """Raises Unauthenticated, saying whether the token is over or was never valid."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            _keys().public,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            options={"require": ["iss", "sub", "exp", "iat", "jti"]},
        )
        return Bearer(UUID(claims["sub"]), tuple(str(role) for role in claims.get("roles", ())))
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("the access token is over; refresh it") from None
    except (jwt.InvalidTokenError, ValueError, TypeError):
        raise Unauthenticated("the access token is not valid") from None


def key_set() -> dict[str, list[dict[str, str]]]:
    """The public keys as a JWKS (RFC 7517)."""
    keys = _keys()
    x = base64.urlsafe_b64encode(_raw(keys.public)).rstrip(b"=").decode()
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": keys.key_id, "use": "sig", "alg": ALGORITHM}]}


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
