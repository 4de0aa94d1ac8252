"""A ranked paging session: its order is frozen in Redis from its second page on, so its pages hold while scores move.

Most readers never ask for a second page, and an order takes some 25 kB for ten minutes; so it is made again for the
second page, without what the first one showed, and kept from then on. Without Redis nothing can be kept, and a page
that might repeat or skip something is not given (410).
"""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import redis

from query_api.feed.ranking import Ranked
from shared.environment import environment
from shared.errors import Gone
from shared.feed_item import ID_DIGITS

log = logging.getLogger(__name__)
SESSION_SECONDS = 600
# Another name for another shape of the value: what an older version kept is not found, and so begun again.
SESSION_KEY = "ranked-3"


@dataclass(frozen=True)
class Frozen:
    """What follows a session's first page, best first; posts in `shown` were on it.

    What is older than `lowest` follows by recency, if `beyond`. `pushed` are the items that came from the warm feed.
    """

    order: list[Ranked]
    shown: frozenset[str]
    lowest: str
    beyond: bool
    pushed: frozenset[str]

    @property
    def posts(self) -> frozenset[str]:
        return self.shown.union(each.post_id for each in self.order)


def new_session() -> str:
    """Another session's id."""
    return secrets.token_hex(12)


def freeze(session_id: str, frozen: Frozen) -> Frozen:
    """Keeps the order, unless another request of the session has kept one; answers what is kept. Raises Gone without
    Redis."""
    # Without diversity the last factor is left out: it would be 1 for each.
    factors = [
        (each.age_hours, each.engagement, each.affinity, each.moderation, each.score)
        if each.diversity == 1
        else (each.age_hours, each.engagement, each.affinity, each.moderation, each.score, each.diversity)
        for each in frozen.order
    ]
    value = msgspec.msgpack.encode(
        {
            "items": _bytes([each.item_id for each in frozen.order]),
            "posts": _bytes([each.post_id for each in frozen.order]),
            "factors": factors,
            "shown": _bytes(sorted(frozen.shown)),
            "lowest": frozen.lowest,
            "beyond": frozen.beyond,
            "pushed": [index for index, each in enumerate(frozen.order) if each.item_id in frozen.pushed],
        }
    )
    try:
        kept = _client().set(_key(session_id), value, ex=SESSION_SECONDS, nx=True)
    except (redis.RedisError, OSError) as trouble:
        log.warning("a ranked session could not be kept: %s", trouble)
        raise Gone() from trouble
    return frozen if kept else thaw(session_id)


def thaw(session_id: str) -> Frozen:
    """What is kept, good for ten more minutes. Raises Gone when it is over, or Redis is away."""
    found = thawed(session_id)
    if found is None:
        raise Gone()
    return found


def thawed(session_id: str) -> Frozen | None:
    """The same; None when nothing is kept."""
    try:
        value: Any = _client().getex(_key(session_id), ex=SESSION_SECONDS)
    except (redis.RedisError, OSError) as trouble:
        log.warning("a ranked session could not be read: %s", trouble)
        return None
    if value is None:
        return None
    found = msgspec.msgpack.decode(value)
    items = _ids(found["items"])
    order = [
        Ranked(item_id, post_id, *factors)
        for item_id, post_id, factors in zip(items, _ids(found["posts"]), found["factors"], strict=True)
    ]
    pushed = frozenset(items[index] for index in found["pushed"])
    return Frozen(order, frozenset(_ids(found["shown"])), found["lowest"], found["beyond"], pushed)


def _key(session_id: str) -> str:
    return f"{SESSION_KEY}:{session_id}"


def _bytes(ids: Sequence[str]) -> bytes:
    return bytes.fromhex("".join(ids))


def _ids(raw: bytes) -> list[str]:
    digits = raw.hex()
    return [digits[start : start + ID_DIGITS] for start in range(0, len(digits), ID_DIGITS)]


@lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis.Redis.from_url(environment().redis_url, socket_connect_timeout=0.5, socket_timeout=2.0)
