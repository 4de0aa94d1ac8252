"""One-time tickets for a WebSocket: 256 bits, 30 seconds, taken by the realtime process with GETDEL."""

import hashlib
import secrets
from functools import lru_cache
from uuid import UUID

import redis

from shared.environment import environment

LIFETIME_SECONDS = 30
TICKET_BYTES = 32


@lru_cache(maxsize=1)
def _redis() -> redis.Redis:
    return redis.Redis.from_url(environment().redis_url, socket_timeout=2, socket_connect_timeout=2)


def issue(user_id: UUID) -> str:
    """A ticket for this person; only its hash is stored."""
    ticket = secrets.token_urlsafe(TICKET_BYTES)
    _redis().set(f"ticket:{hashlib.sha256(ticket.encode()).hexdigest()}", user_id.hex, ex=LIFETIME_SECONDS)
    return ticket
