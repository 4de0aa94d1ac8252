"""A ranked paging session: its order is frozen in Redis for ten minutes, so its pages hold while scores move.

Without Redis nothing can be frozen: the first page is answered all the same, and its cursor finds no session (410).
"""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
import redis

from query_api.feed.ranking import Ranked
from shared.environment import environment
from shared.errors import Gone

log = logging.getLogger(__name__)
SESSION_SECONDS = 600
# Another name for another shape of the value: what an older version kept is not found, and so begun again.
SESSION_KEY = "ranked-2"


@dataclass(frozen=True)
class Frozen:
    """The order of a session, best first; `beyond` is whether older items follow it."""

    order: list[Ranked]
    beyond: bool
    pushed: frozenset[UUID]

    @property
    def oldest(self) -> UUID | None:
        """What is older than the session's last item by time follows by recency."""
        return min((each.item_id for each in self.order), default=None)

    @property
    def posts(self) -> frozenset[UUID]:
        return frozenset(each.post_id for each in self.order)

    @property
    def newest(self) -> UUID | None:
        """Shares that are newer came after the session began."""
        return max((each.item_id for each in self.order), default=None)


def freeze(frozen: Frozen) -> str:
    """Keeps the session; answers its id."""
    session_id = secrets.token_hex(12)
    factors = [(each.age_hours, each.engagement, each.affinity, each.moderation, each.score) for each in frozen.order]
    value = msgspec.msgpack.encode(
        {
            "items": b"".join(each.item_id.bytes for each in frozen.order),
            "posts": b"".join(each.post_id.bytes for each in frozen.order),
            "factors": factors,
            "beyond": frozen.beyond,
            "pushed": [index for index, each in enumerate(frozen.order) if each.item_id in frozen.pushed],
        }
    )
    try:
        _client().set(f"{SESSION_KEY}:{session_id}", value, ex=SESSION_SECONDS)
    except (redis.RedisError, OSError) as trouble:
        log.warning("a ranked session could not be kept: %s", trouble)
    return session_id


def thaw(session_id: str) -> Frozen:
    """The session's order, good for ten more minutes. Raises Gone when it is over, or Redis is away."""
    try:
        value: Any = _client().getex(f"{SESSION_KEY}:{session_id}", ex=SESSION_SECONDS)
    except (redis.RedisError, OSError) as trouble:
        log.warning("a ranked session could not be read: %s", trouble)
        value = None
    if value is None:
        raise Gone()
    found = msgspec.msgpack.decode(value)
    items = _ids(found["items"])
    order = [
        Ranked(item_id, post_id, *factors)
        for item_id, post_id, factors in zip(items, _ids(found["posts"]), found["factors"], strict=True)
    ]
    return Frozen(order, found["beyond"], frozenset(items[index] for index in found["pushed"]))


def _ids(raw: bytes) -> Sequence[UUID]:
    return [UUID(bytes=raw[start : start + 16]) for start in range(0, len(raw), 16)]


@lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis.Redis.from_url(environment().redis_url, socket_connect_timeout=0.5, socket_timeout=2.0)
