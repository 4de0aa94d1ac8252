"""Claim: after a flush, and by `rookery rebuild trends`, a live worker reads the last hours again from Kafka, says so
meanwhile, and then has what the log says; nothing of what was there before is mixed in.

Oracle: the reference model; hashtags that the test itself put there. Real Kafka, PostgreSQL and Redis, and the command.
Cannot catch: records older than the hours that are read again, as the broker stamps them when they are appended.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from projectors.runtime.rebuild import alone
from schemas.types import Event
from shared.environment import REPOSITORY, Environment
from shared.trend_store import Trends, TrendStore, TrendsUnavailable
from tests.model.installation import Installation
from tests.model.reference import Model
from tests.model.test_verify import random_script
from tests.properties.histories import PEOPLE, society
from tests.runtime.engine import Engine
from tests.runtime.workers import Worker, wait_until

MANY = 1_000


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return society([True] * PEOPLE, random_script(random.Random(12)))


@pytest.fixture(scope="module")
def installation(servers: Environment, scratch_database: str, events: list[Event]) -> Iterator[Installation]:
    made = Installation(servers, scratch_database)
    made.make()
    made.append(events)
    asyncio.run(made.project())
    yield made
    made.drop()


@pytest.fixture
def live(installation: Installation, tmp_path: Path) -> Iterator[Worker]:
    engine = Engine(installation.environment, installation.variables)
    worker = Worker(engine, tmp_path / "trends.log", ("-m", "projectors.runtime.live", "trends"), {})
    wait_until(60, lambda: worker.logged("fenced"))
    yield worker
    worker.kill()


def found(installation: Installation, at: int) -> Trends | None:
    """The hashtags that trend; None while Redis has none of it, or not all."""
    try:
        trends = TrendStore.open(installation.environment).top("tags", at, 0, MANY, anew=True)
    except TrendsUnavailable:
        return None
    return trends if trends.whole else None


def check(installation: Installation, events: list[Event]) -> None:
    at = max(event.occurred_at for event in events)
    model = Model(events)
    trends = wait_until(60, lambda: found(installation, at))
    scores = sorted(((each.name, each.score) for each in trends.found), key=lambda each: (-each[1], each[0]))
    assert scores == model.discovery.trending_hashtags(at) != []
    posts = TrendStore.open(installation.environment).top("posts", at, 0, MANY, anew=True)
    by_id = {each.name: each.score for each in posts.found}
    expected = model.discovery.scored_posts(at)
    assert {post_id.hex: score for post_id, score in expected.items()}.items() <= by_id.items()


def rookery(installation: Installation, *arguments: str, expect: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", *arguments, "--json"],
        cwd=REPOSITORY, env=installation.variables, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == expect, done.stderr[-3000:] + done.stdout[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"refused": done.stderr}
    return answer


def test_it_is_right_again_after_a_flush(installation: Installation, live: Worker, events: list[Event]) -> None:
    check(installation, events)
    installation.redis.flushdb()
    check(installation, events)


def test_it_is_counted_anew_on_demand(installation: Installation, live: Worker, events: list[Event]) -> None:
    check(installation, events)
    redis: Any = installation.redis
    at = max(event.occurred_at for event in events)
    (bucket,) = [key for key in redis.scan_iter() if re.search(rf"}}:[0-9a-f]{{8}}:posts:{at // 3_600_000_000}$", key)]
    tags = bucket.replace(":posts:", ":tags:")
    redis.zadd(tags, {"nobody_said_so": 1_000})
    assert "nobody_said_so" in {each.name for each in TrendStore.open(installation.environment).top(
        "tags", at, 0, MANY, anew=True).found}  # fmt: skip
    report = rookery(installation, "rebuild", "trends")
    assert report["records"] > 100 and report["freed"] > 10
    check(installation, events)
    assert not [key for key in redis.scan_iter() if key.startswith(tags.partition(":tags:")[0] + ":")]


def test_a_second_one_and_what_has_no_sense_are_refused(installation: Installation) -> None:
    with alone(installation.environment, "trends"):
        assert "another rebuild" in rookery(installation, "rebuild", "trends", expect=2)["refused"]
    assert "--json alone" in rookery(installation, "rebuild", "trends", "--swap", expect=2)["refused"]
    assert "rebuild trends" in rookery(installation, "repair", "trends", "--key", "x", expect=2)["refused"]
