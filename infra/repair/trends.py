"""Trends counted anew from the log: the projector begins a new incarnation, as after a flush, and fills it.

What is asked meanwhile is answered from what is filled so far and says `X-Consistency: stale`. What was there under the
old incarnation is shown no more and freed in the end; nothing of it is mixed into the new one.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from projectors.runtime.projection import RedisProjection
from projectors.runtime.rebuild import alone
from projectors.runtime.stores.redis_window import position_keys
from shared import feed_redis
from shared.environment import Environment

BEGIN_SECONDS_MAX = 60.0  # until a projector has noticed; one that is not running never does
STILL_SECONDS_MAX = 60.0  # without any progress
PAUSE_SECONDS = 0.1
FREED_AT_ONCE = 500

Progress = Callable[[str, int, int], None]


@dataclass
class TrendReport:
    """`records` were read again; `freed` keys were of an earlier incarnation."""

    projection: str
    incarnation: str = ""
    records: int = 0
    freed: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def rebuild_trends(projection: RedisProjection, environment: Environment, progress: Progress) -> TrendReport:
    """Raises projectors.runtime.rebuild.Refused while another runs, and TimeoutError when no projector does it."""
    began, report = time.monotonic(), TrendReport(projection.name)
    position = position_keys(projection, environment)[0]
    root = position.removesuffix("position")
    with alone(environment, projection.name), feed_redis.connect(environment) as client:
        client.delete(position, root + "incarnation", root + "filling")
        report.incarnation = _begun(client, root)
        report.records = _filled(client, root, progress)
        report.freed = _freed(client, root, report.incarnation)
    report.seconds = time.monotonic() - began
    return report


def _begun(client: Any, root: str) -> str:
    deadline = time.monotonic() + BEGIN_SECONDS_MAX
    while time.monotonic() < deadline:
        incarnation = client.get(root + "incarnation")
        if incarnation:
            return str(incarnation)
        time.sleep(PAUSE_SECONDS)
    raise TimeoutError("no projector of trends began anew: is it running (`rookery status`)?")


def _filled(client: Any, root: str, progress: Progress) -> int:
    """Waits until the incarnation has read what it has to; answers how many records that were."""
    first = _left(client, root)
    left, moved = first, time.monotonic()
    while left:
        if time.monotonic() - moved > STILL_SECONDS_MAX:
            raise TimeoutError("the projector of trends does not advance (`rookery lag trends`)")
        progress("reading again", first - left, first)
        time.sleep(PAUSE_SECONDS)
        before, left = left, _left(client, root)
        moved = time.monotonic() if left < before else moved
    return first


def _left(client: Any, root: str) -> int:
    until, positions = client.hgetall(root + "filling"), client.hgetall(root + "position")
    at = {name: int(value.partition(":")[0]) for name, value in positions.items()}
    return sum(max(0, int(offset) - at.get(name, 0)) for name, offset in until.items())


def _freed(client: Any, root: str, incarnation: str) -> int:
    own = (root + "position", root + "incarnation", root + "filling")
    current = f"{root}{incarnation[:8]}:"
    freed, batch = 0, []
    for key in client.scan_iter(match=root.replace("{", "\\{") + "*", count=1_000):
        if key not in own and not key.startswith(current):
            batch.append(key)
        if len(batch) == FREED_AT_ONCE:
            freed += int(client.unlink(*batch))
            batch = []
    return freed + (int(client.unlink(*batch)) if batch else 0)
