"""Warm home feeds made anew from PostgreSQL: all readers' at once, or one reader's. No read fails meanwhile.

Each shard gets a new name of its incarnation (projectors/feed/functions.lua says why that is enough): from that call on
every feed of the shard is cold, whatever it held, and nothing of it is shown again. Whoever reads has their feed filled
from PostgreSQL, as after a flush, or is answered from there; the projector goes on where it was, and is not restarted.
Afterwards pages of some readers are compared with what PostgreSQL answers alone. Nobody is told anything by it.
"""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from projectors.runtime.phases import timed
from projectors.runtime.projection import RedisProjection
from projectors.runtime.rebuild import alone
from query_api.feed.home import HIT, MISS, Behind, HomeSkeleton, fill
from query_api.feed.queries import home_recent_ids
from shared.environment import Environment
from shared.feed_redis import load_functions
from shared.feed_store import FeedStore

CLEARED_AT_ONCE = 500
FILLED_AT_ONCE = 4
FILL_SECONDS_MAX = 20.0  # for one reader, while PostgreSQL is behind or they follow and unfollow
SETTLING_SECONDS_MAX = 10.0  # while somebody writes, two answers are of two moments
FILLING_SECONDS_MAX = 3.0  # for all readers, while PostgreSQL answers alone
PAUSE_SECONDS = 0.1

Progress = Callable[[str, int, int], None]


@dataclass
class FeedReport:
    """What was done. `active` readers had a warm feed; of `compared` pages those of the readers `differing` did. Of
    `not_compared` readers PostgreSQL answered alone, as their feeds could not be filled by then."""

    projection: str
    incarnations: list[str] = field(default_factory=list)
    active: int = 0
    warmed: int = 0
    not_warmed: int = 0  # their next read does it
    cleared: int = 0
    compared: int = 0
    not_compared: int = 0
    differing: list[UUID] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        seconds = {phase: round(each, 3) for phase, each in self.seconds.items()}
        return {**asdict(self), "seconds": seconds, "verified": self.verified}

    @property
    def verified(self) -> bool | None:
        """None where no reader's feed could be compared although there are readers."""
        if self.compared == 0 and self.not_compared:
            return None
        return not self.differing


def rebuild_feeds(
    projection: RedisProjection, environment: Environment, progress: Progress, warm: bool, compare: int
) -> FeedReport:
    """Raises projectors.runtime.rebuild.Refused while another runs, and shared.feed_store.FeedUnavailable."""
    report = FeedReport(projection.name)
    with alone(environment, projection.name):
        _load_functions(projection, environment)
        store = FeedStore.open(environment)
        before = store.readers()
        active = [reader for reader in before if store.page(reader, None, 0) is not None]
        report.active = len(active)
        with timed(report.seconds, "switching"):
            report.incarnations = store.renew()
        if warm:
            with timed(report.seconds, "warming"):
                _warm(store, active, report, progress)
        with timed(report.seconds, "clearing"):
            for first in range(0, len(before), CLEARED_AT_ONCE):
                report.cleared += store.clear(before[first : first + CLEARED_AT_ONCE])
                progress("clearing", first, len(before))
        with timed(report.seconds, "verifying"):
            readers = random.sample(active, min(compare, len(active))) or _somebody(environment, compare)
            filled_by = time.monotonic() + FILLING_SECONDS_MAX
            for number, reader in enumerate(readers, start=1):
                same = shows_what_postgres_says(reader, environment.ranked_items_max, filled_by)
                report.compared += same is not None
                report.not_compared += same is None
                if same is False:
                    report.differing.append(reader)
                progress("verifying", number, len(readers))
    return report


def cool(projection: RedisProjection, environment: Environment, reader: UUID) -> str:
    """Has one reader's feed filled anew; answers what it was. Raises LookupError for nobody."""
    with psycopg.connect(environment.read_database_url, autocommit=True, connect_timeout=3) as connection:
        known = connection.execute("select 1 from profiles.person where user_id = %s", (reader,)).fetchone()
    _load_functions(projection, environment)
    state = FeedStore.open(environment).cool(reader)
    if known is None and state == "cold":
        raise LookupError(f"the log of {projection.name} knows nothing of {reader}")
    return state


def shows_what_postgres_says(reader: UUID, limit: int, filled_by: float) -> bool | None:
    """Whether the reader's newest items in Redis are PostgreSQL's, once no write comes between the two questions.

    None where the feed was not filled by then, of time.monotonic(): PostgreSQL would be compared with itself.
    """
    deadline = time.monotonic() + SETTLING_SECONDS_MAX
    while True:
        expected, skeleton = home_recent_ids(reader, limit, from_redis=False), HomeSkeleton(reader)
        found = home_recent_ids(reader, limit, skeleton=skeleton)
        if skeleton.cache not in (HIT, MISS):
            if time.monotonic() > filled_by:
                return None
        elif found in (expected, home_recent_ids(reader, limit, from_redis=False)):
            return True
        elif time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)


def _warm(store: FeedStore, readers: Sequence[UUID], report: FeedReport, progress: Progress) -> None:
    with ThreadPoolExecutor(FILLED_AT_ONCE) as pool:
        for number, filled in enumerate(pool.map(lambda reader: _filled(store, reader), readers), start=1):
            report.warmed += filled
            report.not_warmed += not filled
            progress("warming", number, len(readers))


def _filled(store: FeedStore, reader: UUID) -> bool:
    deadline = time.monotonic() + FILL_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            if fill(store, reader):
                return True
        except Behind:
            time.sleep(PAUSE_SECONDS)
    return False


def _somebody(environment: Environment, number: int) -> list[UUID]:
    """Some people, where nobody was active."""
    with psycopg.connect(environment.read_database_url, autocommit=True, connect_timeout=3) as connection:
        rows = connection.execute(
            "select user_id from profiles.person where created_event is not null order by user_id desc limit %s",
            (number,),
        ).fetchall()
    return [user_id for (user_id,) in rows]


def _load_functions(projection: RedisProjection, environment: Environment) -> None:
    """What this module calls may be newer than what the server has."""
    load_functions(environment, projection.functions_lua.read_text())
