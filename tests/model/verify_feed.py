"""Every page of people's home feeds, asked over HTTP as they ask it, is what the log says, by recency and ranked.

    python -m tests.model.verify_feed [--readers N] [--seed S] [--limit L] [--connections C] [--json]
                                                                  (`rookery verify feed` runs this)

It reads the log, waits until every projection has applied it, makes the reference model, and walks all pages of both
sorts through the gateway, bearing tokens that are signed as the command API signs them. The readers are the same for
the same log, number and seed; whom most follow, who follows most and somebody who follows nobody are always among them.
It writes nothing, but reading a feed warms it. Exit status: 0 no difference, 3 some, 1 when it could not compare.
"""

import argparse
import asyncio
import gc
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import zip_longest
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
import orjson
import psycopg

from command_api.accounts import access_tokens
from shared import clock, feed_redis
from shared.environment import Environment, environment
from shared.feed_store import FeedStore
from shared.ids import datetime_of, micros_of, time_of
from tests.model.home import Item
from tests.model.log import LogReader
from tests.model.reference import Model
from tests.model.verify import (
    CANNOT_COMPARE,
    DIFFERENT,
    SAME,
    SAYING_WHY,
    TROUBLE,
    CannotCompare,
    errors,
    forgotten_before,
    progress_bar,
    read_log,
    say,
    screen,
    wait_for,
)

READERS, SEED, LIMIT, CONNECTIONS = 500, 1, 100, 8
SORTS = ("recent", "ranked")
TIMEOUT_SECONDS = 120.0
ANSWER_SECONDS_MAX = 30.0
PAGES_MAX = 10_000
OK = 200


class Place(NamedTuple):
    """What stands at one place of a feed; the sharer and their share's time where the item is a share."""

    post_id: UUID
    via: UUID | None
    at: str


class Expected(NamedTuple):
    """A reader's whole feed; the newest items of it are ranked, and what is older follows."""

    recent: list[Place]
    ranked: Callable[[int], list[Place]]  # for a session that began then, in microseconds since 1970


class Walk(NamedTuple):
    """All pages of one feed. `trouble` is an answer that was no page."""

    places: list[Place]
    ranked_at: int
    pages: int
    trouble: str


@dataclass
class First:
    """Where the first of the differing feeds differs first."""

    reader_id: str
    username: str
    sort: str
    place: int
    expected: str
    found: str


@dataclass
class Report:
    """`differences` counts places of feeds at which another item stands, or none; `repeats` posts that came again,
    `gaps` posts that did not come, over all pages."""

    readers: int = 0
    pages: int = 0
    differences: int = 0
    repeats: int = 0
    gaps: int = 0
    items: int = 0
    events: int = 0
    pulled_authors: int = 0  # whose items are merged into pages instead of being pushed
    served: dict[str, int] = field(default_factory=dict)  # pages by X-Cache-Status
    log_moved: bool = False
    first: First | None = None
    seconds: float = 0.0

    @property
    def status(self) -> int:
        return DIFFERENT if self.differences or self.repeats or self.gaps else SAME


def chosen(model: Model, count: int, seed: int) -> list[UUID]:
    """Who reads: `count` of those who are there and not away, the three remarkable ones first."""
    there = sorted(model.persons.keys() - model.away)
    if not there:
        raise CannotCompare("nobody is there to read")
    remarkable = [
        max(there, key=lambda person: (model.follower_counts[person], person)),
        max(there, key=lambda person: (model.following_counts[person], person)),
        *[person for person in there if not model.following_counts[person]][:1],
    ]
    others = Random(seed).sample(there, len(there))
    return list(dict.fromkeys([*remarkable, *others]))[: max(count, 1)]


def expected(model: Model, reader_id: UUID, ranked_max: int) -> Expected:
    feeds = model.feeds
    items = feeds.home(reader_id)

    def ranked(at: int) -> list[Place]:
        order = [each.item for each in feeds.in_order(reader_id, items[:ranked_max], at)]
        return [_place(model, item) for item in order + items[ranked_max:]]

    return Expected([_place(model, item) for item in items], ranked)


def _place(model: Model, item: Item) -> Place:
    sharer = None if item.item_id == item.post_id else model.sharers[item.item_id]
    at = datetime_of(time_of(item.item_id)).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    return Place(item.post_id, sharer, at)


def compare(report: Report, reader_id: UUID, username: str, sort: str, wanted: list[Place], walk: Walk) -> None:
    """Adds one feed to the report."""
    found = walk.places
    report.pages += walk.pages
    report.items += len(found)
    differing = [nth for nth, (one, other) in enumerate(zip_longest(wanted, found)) if one != other]
    seen = Counter(each.post_id for each in found)
    report.repeats += sum(count - 1 for count in seen.values())
    report.gaps += sum(each.post_id not in seen for each in wanted)
    report.differences += len(differing) + bool(walk.trouble)
    if report.first is None and (differing or walk.trouble):
        place = differing[0] if differing else len(found)
        given = walk.trouble if place >= len(found) and walk.trouble else _told(found, place)
        report.first = First(str(reader_id), username, sort, place, _told(wanted, place), given)


def _told(places: Sequence[Place], nth: int) -> str:
    if nth >= len(places):
        return "nothing"
    post_id, via, at = places[nth]
    return f"{post_id} at {at}" + (f" shared by {via}" if via else "")


class Asking:
    """Walks feeds through a few connections, and compares each as soon as it is known."""

    def __init__(self, where: Environment, model: Model, report: Report, limit: int) -> None:
        self._url = f"{where.gateway_url}/api/v1/feed/home/"
        self._ranked_max = where.ranked_items_max
        self._model = model
        self._report = report
        self._limit = limit
        self._served: Counter[str] = Counter()

    async def ask(self, readers: Sequence[UUID], connections: int, advance: Callable[[], None]) -> None:
        """Raises aiohttp.ClientError where nobody answers."""
        waiting = iter(readers)
        connector = aiohttp.TCPConnector(limit=connections)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def visitor() -> None:
                for reader_id in waiting:
                    await self._one(session, reader_id)
                    advance()

            await asyncio.gather(*(visitor() for _ in range(connections)))
        self._report.served = dict(sorted(self._served.items()))

    async def _one(self, session: aiohttp.ClientSession, reader_id: UUID) -> None:
        wanted = expected(self._model, reader_id, self._ranked_max)
        person = self._model.persons[reader_id]
        for sort in SORTS:
            walk = await self._walk(session, reader_id, sort)
            places = wanted.recent if sort == "recent" else wanted.ranked(walk.ranked_at)
            compare(self._report, reader_id, person.registered.username or "", sort, places, walk)
        self._report.readers += 1

    async def _walk(self, session: aiohttp.ClientSession, reader_id: UUID, sort: str) -> Walk:
        places: list[Place] = []
        ranked_at, cursor = 0, None
        for page in range(1, PAGES_MAX + 1):
            query = {"sort": sort, "limit": str(self._limit)} | ({"cursor": cursor} if cursor else {})
            # Signed anew for each page: a token lives for 15 minutes, and a walk may begin late.
            headers = {"Authorization": f"Bearer {access_tokens.issue(reader_id, (), clock.now())}"}
            async with session.get(self._url, params=query, headers=headers) as answer:
                raw = await answer.read()
                if answer.status != OK:
                    return Walk(places, ranked_at, page, f"HTTP {answer.status}")
                self._served[answer.headers.get("X-Cache-Status", "none")] += 1
            body = orjson.loads(raw)
            places += [_found(item) for item in body["items"]]
            if ranked_at == 0 and body.get("ranked_at"):
                ranked_at = micros_of(datetime.fromisoformat(body["ranked_at"]))
            cursor = body["next"]
            if cursor is None:
                return Walk(places, ranked_at, page, "")
        return Walk(places, ranked_at, PAGES_MAX, f"still more after {PAGES_MAX:,} pages")


def _found(item: dict[str, Any]) -> Place:
    via = item["via"]
    return Place(UUID(item["post"]["id"]), None if via is None else UUID(via["id"]), item["at"])


def verify_feed(where: Environment, readers: int, seed: int, limit: int, connections: int, timeout: float) -> Report:
    """Raises CannotCompare, also where there are differences and the log has moved."""
    began, report = time.monotonic(), Report()
    with closing(LogReader(where)) as log, psycopg.connect(where.read_database_url, autocommit=True) as connection:
        ends = log.ends()
        read_log(log, ends)
        wait_for(where, connection, feed_redis.connect(where), ends, began + timeout)
        say(f"making the reference model of {len(log.events):,} events")
        model = Model(log.events, forgotten_before(where))
        report.events = len(log.events)
        # Ranking may go by what posts were liked some seconds ago.
        time.sleep(where.ranking_cache_seconds)
        people = chosen(model, readers, seed)
        asking = Asking(where, model, report, limit)
        with progress_bar() as bar:
            task = bar.add_task("readers", total=len(people))
            asyncio.run(asking.ask(people, connections, lambda: bar.advance(task)))
        report.pulled_authors = len(FeedStore.open(where).pulled())
        report.log_moved = log.ends() != ends
    if report.log_moved and report.status != SAME:
        raise CannotCompare("records were appended while feeds were read: stop the writers and try again")
    report.seconds = round(time.monotonic() - began, 3)
    return report


def show(report: Report) -> None:
    """For people, on standard output."""
    served = ", ".join(f"{count:,} {name}" for name, count in report.served.items())
    screen.print(
        f"{report.readers:,} readers, {report.pages:,} pages ({served}), {report.items:,} items,"
        f" {report.events:,} events, {report.pulled_authors:,} authors pulled",
        soft_wrap=True,
    )
    if report.first is not None:
        first = report.first
        at = f"by {first.sort}, place {first.place}"
        screen.print(f"first difference: {first.username} ({first.reader_id}), {at}", soft_wrap=True)
        screen.print(f"  expected {first.expected}\n  found    {first.found}", soft_wrap=True)
    if report.log_moved:
        screen.print("[yellow]records were appended meanwhile[/]: what they changed was not compared")
    colour = "green" if report.status == SAME else "red"
    found = f"{report.differences:,} differences, {report.repeats:,} repeats, {report.gaps:,} gaps"
    screen.print(f"[{colour}]{found}[/] in {report.seconds:.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="rookery verify feed")
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--limit", type=int, default=LIMIT, help="items a page")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="seconds to wait for the projections")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    # Millions of small tuples, none of them in a cycle: looking for cycles would take a third of the time.
    gc.disable()
    try:
        report = verify_feed(
            environment(), asked.readers, asked.seed, asked.limit, asked.connections, asked.timeout
        )  # fmt: skip
    except (CannotCompare, *SAYING_WHY) as error:
        errors.print(f"[bold red]could not compare:[/] {error}")
        return CANNOT_COMPARE
    except (*TROUBLE, aiohttp.ClientError) as error:
        errors.print(f"[bold red]could not compare:[/] {type(error).__name__}: {error}. Is everything up?")
        return CANNOT_COMPARE
    if asked.json:
        json.dump(asdict(report), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(report)
    return report.status


if __name__ == "__main__":
    sys.exit(main())
