"""`rookery verify feed` finds nothing where pages are what the log says, and names whose feed differs where not.

Claim: over HTTP, on random events brought through every fold and store, it reports no difference, repeat or gap for
anybody; of a post that vanished and of an order that changed behind the projectors' back it names reader and place; of
a log that grows meanwhile it says so. Its readers are the same each time, and the remarkable ones are among them.
Oracle: what this test itself changed.
Cannot catch: a difference that model and product share (a misreading of docs/semantics.md); the gateway, which tests of
its own have (tests/integration/test_gateway.py).
"""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from schemas.types import Event, PostPublished
from shared.environment import REPOSITORY, Environment, load
from shared.ids import mint, time_of
from tests.model import verify_feed
from tests.model.home import RANKED_ITEMS_MAX
from tests.model.installation import Installation, answered
from tests.model.reference import Model
from tests.model.test_verify import random_script
from tests.model.verify import CannotCompare
from tests.model.verify_feed import Place, Report, Walk, chosen, compare
from tests.properties.histories import PEOPLE, society
from tests.query_api.serving import free_port, stop, wait_until_ready

LIMIT = 7


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return society([True] * PEOPLE, random_script(random.Random(20261122)))


@pytest.fixture(scope="module")
def installation(
    servers: Environment, scratch_database: str, events: list[Event], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """With the query API's web process where the gateway would be."""
    made = Installation(servers, scratch_database)
    port = free_port()
    made.variables["ROOKERY_GATEWAY_PORT"] = str(port)
    made.variables["ROOKERY_RANKING_CACHE_SECONDS"] = "0.2"
    made.make()
    made.append(events)
    asyncio.run(made.project())
    command = f"gunicorn --worker-class gthread --threads 4 --bind 127.0.0.1:{port} query_api.wsgi:application"
    log = (tmp_path_factory.mktemp("web") / "web.log").open("wb")
    web = subprocess.Popen(
        [sys.executable, "-m", *command.split()], cwd=REPOSITORY, env=made.variables, stdout=log, stderr=log
    )
    try:
        wait_until_ready(port, web, Path(log.name))
        yield made
    finally:
        stop(web)
        made.drop()


def verify(installation: Installation, *more: str) -> tuple[int, dict[str, Any], str]:
    return answered(installation, "infra.cli.main", "verify", "feed", "--json", "--limit", str(LIMIT), *more)


def readers(events: list[Event]) -> int:
    model = Model(events)
    return len(model.persons.keys() - model.away)


def test_no_page_differs(installation: Installation, events: list[Event]) -> None:
    status, report, errors = verify(installation)
    assert status == 0, json.dumps(report, indent=1) + errors
    assert [report[name] for name in ("differences", "repeats", "gaps")] == [0, 0, 0]
    assert report["readers"] == readers(events) > 2 and not report["log_moved"]
    assert report["pages"] > 2 * report["readers"] and sum(report["served"].values()) == report["pages"]
    model = Model(events)
    assert report["items"] == 2 * sum(len(model.feeds.home(who)) for who in model.persons.keys() - model.away)


def test_what_vanished_or_moved_is_named(installation: Installation, events: list[Event]) -> None:
    model = Model(events)
    reader_id = next(who for who in chosen(model, PEOPLE, 1) if len(model.feeds.home(who)) > 3)
    newest = [item.post_id for item in model.feeds.home(reader_id)[:RANKED_ITEMS_MAX]]
    posts = [post_id for post_id in newest if model.moderation_score(post_id) == 0]
    with psycopg.connect(installation.environment.read_database_url, autocommit=True) as connection:
        likes = "update counters.post_count set likes = likes + %s where post_id = %s"
        insert = "insert into counters.post_count (post_id) values (%s) on conflict do nothing"
        connection.execute(insert, [posts[-1]])
        connection.execute(likes, [1_000_000, posts[-1]])
        status, report, errors = verify(installation)
        assert status == 3, errors
        assert report["differences"] > 0 and (report["repeats"], report["gaps"]) == (0, 0)
        assert (report["first"]["sort"], report["first"]["place"]) == ("ranked", 0)
        assert report["first"]["found"].startswith(str(posts[-1]))
        connection.execute(likes, [-1_000_000, posts[-1]])
        connection.execute("update posts.post set moderation = 'held' where post_id = %s", [posts[1]])
        status, report, errors = verify(installation)
        connection.execute("update posts.post set moderation = null where post_id = %s", [posts[1]])
    assert status == 3, errors
    assert report["gaps"] >= 2 and report["repeats"] == 0
    assert report["first"]["reader_id"] in {str(who) for who in model.persons}
    status, _, errors = verify(installation)
    assert status == 0, errors


def test_a_log_that_grows_meanwhile_is_told(
    installation: Installation, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = verify_feed.Asking.ask
    last = max(event.event_id for event in events)
    author = mint(time_of(last), random=b"stranger")

    async def interrupted(self: verify_feed.Asking, *arguments: Any) -> None:
        post_id = mint(time_of(last) + 1_000_000, random=bytes(8))
        late = PostPublished(
            event_id=post_id, occurred_at=time_of(post_id), subject_id=author, post_id=post_id, content="late",
            hashtags="", visibility="public", mentioned_ids=(),
        )  # fmt: skip
        installation.append([late])
        await ask(self, *arguments)

    monkeypatch.setattr(verify_feed.Asking, "ask", interrupted)
    where = load(installation.variables)
    report = verify_feed.verify_feed(where, PEOPLE, 1, LIMIT, 2, 20)
    assert report.log_moved and report.differences == 0
    # From here on the projections are behind.
    with pytest.raises(CannotCompare, match="not caught up"):
        verify_feed.verify_feed(where, PEOPLE, 1, LIMIT, 2, 0.5)


def test_readers_are_the_same_and_the_remarkable_ones_first(events: list[Event]) -> None:
    model = Model(events)
    every = chosen(model, 100, 1)
    there = model.persons.keys() - model.away
    assert set(every) == there and len(every) == len(there)
    assert chosen(model, 2, 5) == chosen(model, 2, 5) == chosen(model, 100, 5)[:2]
    assert every[0] == max(there, key=lambda who: (model.follower_counts[who], who))
    assert model.following_counts[chosen(model, 3, 1)[1]] == max(model.following_counts[who] for who in there)
    nobody = [who for who in there if not model.following_counts[who]]
    assert not nobody or set(nobody) & set(chosen(model, 3, 1))
    assert len({tuple(chosen(model, 100, seed)) for seed in range(8)}) > 1


def test_repeats_and_gaps_are_told_apart() -> None:
    post, other, third = (mint(1_790_000_000_000_000 + n, random=bytes(8)) for n in range(3))
    wanted = [Place(each, None, "then") for each in (third, other, post)]
    report = Report()
    compare(report, post, "ana", "recent", wanted, Walk([wanted[0], wanted[1], wanted[1]], 0, 2, ""))
    assert (report.differences, report.repeats, report.gaps, report.pages) == (1, 1, 1, 2)
    assert report.first is not None and (report.first.place, report.first.username) == (2, "ana")
    compare(report, other, "ben", "ranked", wanted, Walk(wanted, 0, 1, "HTTP 503"))
    assert report.differences == 2 and report.first.username == "ana"
