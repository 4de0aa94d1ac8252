"""What trends, as readers see it: one call to the function in Redis, and equal scores for equal sizes.

It lies where the home feeds do (shared/feed_redis.py), on one node where that is a cluster.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, TypeVar

from shared import feed_redis
from shared.environment import Environment
from shared.position import Position

POSITION_KEY = "{trends}:position"
HALVED_AFTER_HOURS = 6
MICROS_PER_HOUR = 3_600_000_000
CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 2.0

P = ParamSpec("P")
T = TypeVar("T")


class TrendsUnavailable(Exception):
    """Redis is away, or was flushed and no projector has begun again. What trends is nowhere else."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A hashtag, or a post's id in hex digits, with its sizes by how many hours before (0 to 47), none of them zero."""

    name: str
    sizes: Mapping[int, int]

    @property
    def score(self) -> float:
        """Σ size · 2^(−hours/6); fsum makes it independent of the order of the hours."""
        return math.fsum(size * 2.0 ** (-hours / HALVED_AFTER_HOURS) for hours, size in self.sizes.items())


@dataclass(frozen=True, slots=True)
class Trends:
    """A stretch of the order. `whole` is False while the projector makes good what a flush took."""

    found: list[Trend]
    whole: bool


def _available(method: Callable[P, T]) -> Callable[P, T]:
    """Every trouble with Redis as TrendsUnavailable: for the caller there is no difference."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except feed_redis.TROUBLE as error:
            raise TrendsUnavailable(f"{type(error).__name__}: {error}") from error

    return call


class TrendStore:
    """One per process; threads may share it. The client is made when first needed; it must decode responses."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._connect = client

    @classmethod
    def open(cls, environment: Environment) -> "TrendStore":
        """Connects when first needed."""
        client = functools.partial(
            feed_redis.connect,
            environment,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
        )
        return cls(client)

    @functools.cached_property
    def _client(self) -> Any:
        return self._connect()

    @_available
    def top(self, kind: Literal["tags", "posts"], at: int, first: int, count: int, anew: bool = False) -> Trends:
        """`count` of what trends at `at` (microseconds since 1970), highest first, after the `first` ones.

        Equal ones: hashtags in alphabetical order, posts newest first. The order may be two seconds old, unless `anew`.
        """
        last = first + count - 1
        hour = at // MICROS_PER_HOUR
        asked = (kind, hour, first, last, "1" if anew else "0")
        there = feed_redis.on_shard(self._client, POSITION_KEY)
        state, *flat = self._client.execute_command("FCALL", "trends_top", 1, POSITION_KEY, *asked, **there)
        if state == "absent":
            raise TrendsUnavailable("the trends have no incarnation yet")
        found = [Trend(name, _sizes(sizes)) for name, sizes in zip(flat[::2], flat[1::2], strict=True)]
        return Trends(found, state == "whole")

    @_available
    def reached(self, position: Position) -> bool:
        """Whether the projector has applied what lies before the position."""
        found = self._client.hget(POSITION_KEY, f"{position.topic}:{position.partition}")
        return found is not None and int(found.partition(":")[0]) >= position.offset


def _sizes(text: str) -> dict[int, int]:
    pairs = (each.split(":") for each in text.split())
    return {int(hours): int(float(size)) for hours, size in pairs}
