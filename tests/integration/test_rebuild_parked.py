"""Claim: a rebuild leaves out what the live projection has parked and what was dropped, so that the two are equal; what
it cannot apply itself stops it as little; by a swap, what this version's fold accepts is there and parked no more, and
what it does not is parked still, to be retried.

Oracle: `recounted` over the events that can be applied, and the table of parked records. Real Kafka, registry and
PostgreSQL, a live worker whose fold refuses what some people do, and the commands with a fold that refuses nothing.
Cannot catch: a value that PostgreSQL copies and refuses only when the tables are made of it.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from projectors.catalogue import PROJECTIONS
from projectors.counters.fold import PROJECTION
from projectors.runtime.lag import wait_until_caught_up
from schemas.types import Event, PostBookmarked, PostUnliked
from shared.environment import REPOSITORY, Environment
from shared.kafka import record_key
from tests.integration.test_parking import FAULTY, PARKED, SOON, Viral, append_bytes, parked_command
from tests.runtime.engine import Engine, Log, own_engine
from tests.runtime.history import counted, recounted
from tests.runtime.workers import Workers, wait_until

NO_TIME = -(1 << 60)  # microseconds: before PostgreSQL's first timestamp


@pytest.fixture
def engine(servers: Environment) -> Iterator[Engine]:
    with own_engine(*PROJECTIONS, dead_letters_of=["counters"]) as made:
        yield made


def rookery(engine: Engine, *arguments: str, expect: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", *arguments, "--json"],
        cwd=REPOSITORY, env=dict(engine.environ), capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == expect, done.stderr[-3000:] + done.stdout[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def caught_up(engine: Engine, workers: Workers) -> None:
    done = asyncio.run(wait_until_caught_up(engine.environment, 60, projections=[PROJECTION]))
    assert done, "\n".join(worker.text() for worker in workers.all)


def test_what_is_parked_or_dropped_is_left_out_and_released_by_the_swap(engine: Engine, workers: Workers) -> None:
    viral, log = Viral(41), Log(engine.environment)
    refused, retried, unstorable, dropped = viral.people[:4]
    good: list[Event] = [viral.post, *(viral.like(person) for person in viral.people[4:])]
    like, taken_back = viral.like(refused), viral.by(PostUnliked, refused)
    later = viral.like(retried)
    never, gone = viral.by(PostBookmarked, unstorable, occurred_at=NO_TIME), viral.like(dropped)
    log.append([*good[:20], like, later, never, gone, *good[20:], taken_back])
    append_bytes(
        engine, "engagement", viral.partition(engine), record_key(refused, viral.ids()), log.encode(good[-1])[:12]
    )
    faulty = workers.start("-c", FAULTY, FAULTS=f"{refused},{retried},{dropped}", **SOON)
    caught_up(engine, workers)
    states = [(row[3], row[4]) for row in engine.rows(PARKED)]
    assert states == [
        ("poison", "PostLiked"), ("poison", "PostLiked"), ("poison", "PostBookmarked"), ("poison", "PostLiked"),
        ("behind", "PostUnliked"), ("poison", "PostLiked"),
    ]  # fmt: skip
    listed = parked_command(engine, "list", "counters")["parked"]
    parked_command(engine, "drop", listed[3]["id"], "--reason", "an order that nobody may undo")

    report = rookery(engine, "rebuild", "counters", "--verify")
    assert report["verified"] is True and report["comparison"]["parked"] == {"live": 5, "rebuilt": 5}
    assert (report["parked"], report["released"]) == (5, 0)
    assert engine.rows(PARKED) == engine.rows(PARKED.replace("counters.", "counters_next."))

    # A live worker that was mended takes one back meanwhile: so does the rebuilt schema, and the two are equal again.
    faulty.kill()
    workers.start("-c", FAULTY, FAULTS=f"{refused},{dropped}", **SOON)
    assert parked_command(engine, "retry", listed[1]["id"])["applied"] == [listed[1]["id"]]
    log.append([more := viral.by(PostUnliked, viral.people[-1])])
    caught_up(engine, workers)
    report = rookery(engine, "rebuild", "counters", "--verify")
    assert report["verified"] is True and report["comparison"]["parked"] == {"live": 4, "rebuilt": 4}
    assert report["resumed"] is True

    # The swap brings what this version accepts: the refused like and what waited behind it. The others stay parked.
    report = rookery(engine, "rebuild", "counters", "--swap")
    assert report["verified"] is True and (report["parked"], report["released"]) == (2, 2)
    assert [(row[3], row[4]) for row in engine.rows(PARKED)] == [("poison", "PostBookmarked"), ("poison", "PostLiked")]
    assert counted(engine) == recounted([*good, like, later, more, taken_back])
    assert parked_command(engine, "list", "counters", "--dropped")["dropped"][0]["id"] == listed[3]["id"]
    assert engine.rows("select 1 from counters.reaction where actor_id = %s", dropped) == []

    # What is parked can be retried where it lies now, by the worker that went on.
    tried = parked_command(engine, "retry", "counters", "--all", "--timeout", "60", status=3)
    assert len(tried["failed_again"]) == 2 and tried["waiting"] == []
    log.append([last := viral.like(refused)])
    caught_up(engine, workers)
    # Refused by the worker's fold, as ever.
    poison = ("poison", type(last).__name__)
    wait_until(30, lambda: [row[3:5] for row in engine.rows(PARKED)].count(poison) == 2)
    assert len(engine.rows(PARKED)) == 3


def test_what_a_rebuild_itself_cannot_apply_is_parked_in_what_it_makes(engine: Engine, workers: Workers) -> None:
    viral, log = Viral(42), Log(engine.environment)
    good: list[Event] = [viral.post, *(viral.like(person) for person in viral.people[2:])]
    never = viral.by(PostBookmarked, viral.people[0], occurred_at=NO_TIME)
    beyond = viral.by(PostBookmarked, viral.people[1], occurred_at=-(1 << 63))  # no eight bytes hold it
    log.append([*good[:30], never, beyond])
    append_bytes(engine, "engagement", viral.partition(engine), None, b"these are no event's bytes")
    log.append(good[30:])
    # No worker has ever run, so that nothing is parked anywhere.
    report = rookery(engine, "rebuild", "counters", "--chunk-records", "20")
    assert report["parked"] == 3 and engine.rows(PARKED) == []
    rebuilt = engine.rows(PARKED.replace("counters.", "counters_next."))
    assert [row[4] for row in rebuilt] == ["PostBookmarked", "PostBookmarked", None]
    past = rookery(engine, "rebuild", "counters", "--until", "1000", "--chunk-records", "20")
    assert past["parked"] == 3 and engine.rows(f"select count(*) from {past['schema']}.parked") == [(3,)]

    workers.start(**SOON)
    caught_up(engine, workers)
    assert [row[:3] for row in engine.rows(PARKED)] == [row[:3] for row in rebuilt]
    # What comes while it catches up is parked too, and by both.
    log.append([viral.by(PostBookmarked, viral.people[2], occurred_at=NO_TIME), viral.by(PostUnliked, viral.people[3])])
    caught_up(engine, workers)
    report = rookery(engine, "rebuild", "counters", "--swap")
    assert report["verified"] is True and report["comparison"]["parked"] == {"live": 4, "rebuilt": 4}
    assert (report["parked"], report["released"]) == (4, 0)
    assert len(engine.rows(PARKED)) == 4
    assert counted(engine).likes == recounted([*good, viral.by(PostUnliked, viral.people[3])]).likes
