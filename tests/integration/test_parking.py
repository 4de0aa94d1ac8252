"""Claim: what a projection cannot apply is set aside by the smallest key, in its schema and among the dead letters, and
all else goes on; what may not be set aside halts its partition alone; when parking rises the projection stops; a
database that is away is waited for. Whatever was done, the counters end up as a plain recount of the log says.

Oracle: `recounted`, sets over the events produced, and the table of parked records. Real Kafka, registry and
PostgreSQL, real worker processes with faults planted into their folds, and the `rookery` command. Cannot catch: faults
of a kind nobody thought of, which end a worker (tests/integration/test_engine.py).
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from projectors.catalogue import PROJECTIONS
from projectors.counters.fold import PROJECTION
from projectors.runtime.lag import wait_until_caught_up
from schemas.types import Event, PostBookmarked, PostLiked, PostPublished, PostUnliked, UserErased
from shared.environment import Environment
from shared.ids import time_of
from shared.kafka import partition_of, record_key
from tests.integration.event_logs import rookery
from tests.integration.relay_of_bytes import Relay
from tests.runtime.engine import Engine, Ids, Log, own_engine
from tests.runtime.history import counted, recounted
from tests.runtime.workers import Worker, Workers, wait_until

# A worker whose fold fails on what the people named in FAULTS do, saying words that nobody may find again.
FAULTY = """
import os
from dataclasses import replace
from projectors.counters.fold import PROJECTION, fold
from projectors.runtime import dead_letters, live, parking
from projectors.runtime.settings import worker_settings
from shared.environment import environment

faults = set(filter(None, os.environ.get("FAULTS", "").split(",")))

def faulty(events):
    for event in events:
        if str(event.subject_id) in faults and type(event).__name__ in os.environ.get("FAULTY", "PostLiked"):
            raise KeyError("secret words")
    return fold(events)

class Dies(dead_letters.DeadLetters):
    async def copy(self, held):
        if await self._lot.uncopied(held, 1):
            os.kill(os.getpid(), 9)

if os.environ.get("SAID_AGAIN"):
    parking.SAID_AGAIN_SECONDS = float(os.environ["SAID_AGAIN"])
if os.environ.get("DIES"):
    live.DeadLetters = Dies
live.run(replace(PROJECTION, fold=faulty), environment(), worker_settings(os.environ))
"""
# Beyond all that the watchdog has patience with, but a partition that starves (runtime/settings.py).
PATIENCE_SECONDS = 17.0
SOON = {"ROOKERY_WORKER_CHECK_SECONDS": "0.2"}
PARKED = """select topic, partition, record_offset, state, event_type, reason from counters.parked
             order by topic, partition, record_offset"""


@pytest.fixture
def engine(servers: Environment) -> Iterator[Engine]:
    with own_engine(*PROJECTIONS, dead_letters_of=["counters"]) as made:
        yield made


class Viral:
    """One post that many like, and what they do besides."""

    def __init__(self, seed: int, people: int = 60) -> None:
        self.ids = Ids(seed)
        self.author, *self.people = self.ids.many(people + 1)
        post_id = self.ids()
        self.post = PostPublished(
            event_id=post_id, occurred_at=time_of(post_id), subject_id=self.author, post_id=post_id, content="text",
            hashtags="", visibility="public",
        )  # fmt: skip

    def by(self, kind: Any, actor: UUID, occurred_at: int | None = None, **more: Any) -> Any:
        event_id = self.ids()
        return kind(
            event_id=event_id, occurred_at=occurred_at or time_of(event_id), subject_id=actor,
            post_id=self.post.post_id, post_author_id=self.author, **more,
        )  # fmt: skip

    def like(self, actor: UUID) -> Any:
        return self.by(PostLiked, actor, reaction="like")

    def erasure(self, person: UUID) -> UserErased:
        event_id = self.ids()
        return UserErased(event_id=event_id, occurred_at=time_of(event_id), subject_id=person)

    def partition(self, engine: Engine) -> int:
        return partition_of(self.post.post_id, engine.environment.topic_partitions)


def append_bytes(engine: Engine, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": engine.environment.kafka_bootstrap_servers})
    producer.produce(engine.environment.topic(topic), value=value, key=key, partition=partition)
    assert producer.flush(20) == 0


def assert_caught_up(engine: Engine, workers: Workers, seconds: float = 60) -> None:
    caught_up = asyncio.run(wait_until_caught_up(engine.environment, seconds, projections=[PROJECTION]))
    assert caught_up, "\n".join(worker.text() for worker in workers.all)


def parked_command(engine: Engine, *arguments: str, status: int = 0) -> dict[str, Any]:
    """What `rookery parked ... --json` answers."""
    done = rookery(engine, "parked", *arguments, "--json")
    assert done.returncode == status, (done.stderr + done.stdout).decode()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def dead_letters(engine: Engine, number: int) -> dict[tuple[str, str, str], tuple[dict[str, str], Any]]:
    """The copies by place in the log: headers, and the message; waits until there are so many."""
    consumer = Consumer({"bootstrap.servers": engine.environment.kafka_bootstrap_servers, "group.id": "nobody"})
    consumer.assign([TopicPartition(engine.environment.topic("counters.dlq"), 0, 0)])
    found: dict[tuple[str, str, str], tuple[dict[str, str], Any]] = {}

    def enough() -> bool:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            pairs: Any = message.headers() or []
            headers = {name.removeprefix("rookery."): value.decode() for name, value in pairs}
            found[headers["topic"], headers["partition"], headers["offset"]] = headers, message
        return len(found) >= number

    wait_until(60, enough)
    consumer.close()
    return found


def test_a_poison_like_on_a_viral_post_parks_nothing_but_itself(engine: Engine, workers: Workers) -> None:
    viral, log = Viral(1), Log(engine.environment)
    poison, unstorable, refused = viral.people[:3]
    faults: list[Event] = [
        viral.like(poison),
        viral.by(PostBookmarked, unstorable, occurred_at=-(1 << 63)),  # beyond eight bytes, from PostgreSQL's epoch
        viral.by(PostBookmarked, refused, occurred_at=-(1 << 60)),  # no timestamp of PostgreSQL's
    ]
    behind = viral.by(PostUnliked, poison)
    good: list[Event] = [viral.post, *(viral.like(person) for person in viral.people[3:])]
    log.append([*good[:30], *faults, *good[30:45], behind, *good[45:]])
    partition = viral.partition(engine)
    broken_key = record_key(refused, viral.ids())
    append_bytes(engine, "engagement", partition, broken_key, log.encode(good[-1])[:12])
    append_bytes(engine, "engagement", partition, None, b"these are no event's bytes")
    log.append([last := viral.like(refused)])

    workers.start("-c", FAULTY, FAULTS=str(poison), **SOON)
    assert_caught_up(engine, workers)
    assert counted(engine) == recounted([*good, last])
    rows = engine.rows(PARKED)
    assert [row[3:5] for row in rows] == [
        ("poison", "PostLiked"),
        ("poison", "PostBookmarked"),
        ("poison", "PostBookmarked"),
        ("behind", "PostUnliked"),
        ("poison", "PostLiked"),
        ("poison", None),
    ]
    reasons = [row[5] for row in rows]
    assert reasons[0].startswith("fold: KeyError at ")
    assert reasons[1].startswith("apply: error at projectors/runtime/stores/arrays.py")
    assert "DatetimeFieldOverflow (SQLSTATE 22008)" in reasons[2]
    assert reasons[4].startswith("decode: MalformedRecord")
    assert "secret" not in str(reasons)

    copies = dead_letters(engine, 6)
    headers, message = copies["engagement", str(partition), str(rows[0][2])]
    assert (message.key(), message.value()) == (
        record_key(poison, faults[0].event_id), log.encode(faults[0])
    )  # fmt: skip
    assert headers["projection"] == "counters" and headers["event_type"] == "PostLiked"
    assert headers["reason"] == reasons[0] and headers["attempts"] == "1" and headers["parked_at"]
    assert copies["engagement", str(partition), str(rows[5][2])][1].value() == b"these are no event's bytes"
    assert "secret" not in str([pair[0] for pair in copies.values()])

    listed = parked_command(engine, "list", "counters")["parked"]
    assert [each["offset"] for each in listed] == [row[2] for row in rows]
    shown = parked_command(engine, "show", listed[0]["id"])
    assert shown["event"]["post_id"] == str(viral.post.post_id)
    assert [each["id"] for each in shown["same_key"]] == [listed[3]["id"]]

    # A mended worker follows: the like, and behind it its end; what can never be stored fails again.
    workers.all[0].kill()
    workers.start(**SOON)
    tried = parked_command(engine, "retry", "counters", "--all", "--timeout", "60", status=3)
    assert set(tried["applied"]) >= {listed[0]["id"]}
    assert len(tried["failed_again"]) == 4
    wait_until(30, lambda: len(engine.rows(PARKED)) == 4)
    assert counted(engine) == recounted([*good, last, faults[0], behind])

    parked_command(engine, "drop", listed[4]["id"], "--reason", "cut short by a test")
    dropped = parked_command(engine, "list", "counters", "--dropped")["dropped"]
    assert [(each["id"], each["why"]) for each in dropped] == [(listed[4]["id"], "cut short by a test")]
    assert len(engine.rows(PARKED)) == 3


def test_what_waits_follows_by_itself_once_what_stands_before_it_is_dropped(engine: Engine, workers: Workers) -> None:
    viral, log = Viral(2, people=2), Log(engine.environment)
    one, other = viral.people
    # One after the other: in one batch the newer would take the place of what cannot be stored before anything is.
    log.append([viral.post, viral.by(PostBookmarked, one, occurred_at=-(1 << 60))])
    workers.start(**SOON)
    wait_until(60, lambda: len(engine.rows(PARKED)) == 1)
    log.append([viral.by(PostBookmarked, one), viral.like(other)])
    assert_caught_up(engine, workers)
    [first, second] = parked_command(engine, "list", "counters")["parked"]
    assert (first["state"], second["state"]) == ("poison", "behind")
    parked_command(engine, "drop", first["id"], "--reason", "its time is none")
    wait_until(30, lambda: not engine.rows(PARKED))
    assert engine.rows("select active from counters.bookmark") == [(True,)]
    assert engine.rows("select likes from counters.post_count where likes > 0") == [(1,)]
    assert parked_command(engine, "list", "counters")["parked"] == []


def test_an_erasure_ends_what_is_parked_and_is_never_parked(engine: Engine, workers: Workers) -> None:
    viral, log = Viral(3, people=3), Log(engine.environment)
    poison, stays, _ = viral.people
    events: list[Event] = [viral.post, viral.like(poison), viral.by(PostBookmarked, stays, occurred_at=-(1 << 60))]
    log.append(events)
    worker = workers.start("-c", FAULTY, FAULTS=str(poison), **SOON)
    assert_caught_up(engine, workers)
    assert len(engine.rows(PARKED)) == 2
    log.append([viral.erasure(poison)])
    wait_until(60, lambda: engine.rows("select 1 from counters.erased where done_at is not null"))
    assert engine.rows("select rows_deleted ->> 'parked' from counters.erased") == [("1",)]
    assert engine.rows("select subject_id from counters.parked") == [(stays,)]

    # Where even that cannot be folded, its partition halts, and no other.
    worker.kill()
    erasure = viral.erasure(stays)
    log.append([erasure])
    halting = workers.start("-c", FAULTY, FAULTS=str(stays), FAULTY="UserErased", **SOON)
    wait_until(60, lambda: halting.logged("halted"))
    log.append([viral.like(viral.people[2])])
    wait_until(60, lambda: engine.rows("select 1 from counters.post_count where likes = 1"))
    assert halting.process.poll() is None
    assert len(engine.rows(PARKED)) == 1
    halting.kill()
    workers.start(**SOON)
    assert_caught_up(engine, workers)
    wait_until(60, lambda: not engine.rows(PARKED))


def test_an_unknown_type_halts_its_partition_alone(engine: Engine, workers: Workers) -> None:
    viral, log = Viral(4, people=20), Log(engine.environment)
    log.append([viral.post, *(viral.like(person) for person in viral.people[:10])])
    partition = viral.partition(engine)
    unknown = b"\x00" + (2_000_000_000).to_bytes(4, "big") + bytes(40)
    append_bytes(engine, "engagement", partition, record_key(viral.author, viral.ids()), unknown)
    log.append([viral.like(person) for person in viral.people[10:]])
    quiet = Viral(5, people=1)
    worker = workers.start("-c", FAULTY, SAID_AGAIN="8", ROOKERY_WORKER_STALLED_SECONDS="3", **SOON)
    wait_until(60, lambda: worker.logged("halted"))
    log.append([quiet.post])
    wait_until(60, lambda: engine.rows("select 1 from counters.post where post_id = %s", quiet.post.post_id))
    place = f"select next_offset from counters.position where topic = 'engagement' and partition = {partition}"
    wait_until(60, lambda: engine.rows(place) == [(10,)])
    assert engine.rows("select likes from counters.post_count where likes > 0") == [(10,)]
    # It is said again and again; the watchdog would have ended the worker long before, had it seen a stall.
    wait_until(90, lambda: len(worker.logged("still_halted")) > 1)
    assert worker.process.poll() is None and not engine.rows(PARKED)


def test_the_breaker_stops_the_projection_until_a_person_has_looked(engine: Engine, workers: Workers) -> None:
    viral, log = Viral(6), Log(engine.environment)
    log.append([viral.post, *(viral.like(person) for person in viral.people)])
    faulty = {"FAULTS": ",".join(map(str, viral.people)), "ROOKERY_WORKER_PARKED_RECORDS_MAX": "7", **SOON}
    first = workers.start("-c", FAULTY, ROOKERY_WORKER_STALLED_SECONDS="2", **faulty)
    wait_until(60, lambda: first.logged("stopped_by_breaker"))
    assert len(engine.rows(PARKED)) == 7
    stopped = parked_command(engine, "list", "counters")["stopped"]
    assert "more than 7 records would be parked" in stopped["counters"]["why"]
    # Not even a new worker goes on, and nothing else of the projection does.
    first.kill()
    second = workers.start("-c", FAULTY, **faulty)
    wait_until(60, lambda: second.logged("stopped_by_breaker"))
    other = Viral(7, people=1)
    log.append([other.post])
    assert len(engine.rows(PARKED)) == 7
    assert parked_command(engine, "resume", "counters")["resumed"]
    wait_until(60, lambda: len(engine.rows(PARKED)) == 14)
    second.kill()
    parked_command(engine, "resume", "counters")
    workers.start(**SOON)
    assert_caught_up(engine, workers)
    tried = parked_command(engine, "retry", "--all", "--timeout", "60")
    assert len(tried["applied"]) == 14
    assert counted(engine) == recounted([viral.post, other.post, *likes_of(engine, viral)])


def likes_of(engine: Engine, viral: Viral) -> list[Event]:
    """One like by each, as far as counts tell."""
    return [viral.like(person) for person in viral.people]


def test_a_worker_killed_between_parking_and_copying_leaves_the_copy_to_the_next(
    engine: Engine, workers: Workers
) -> None:
    viral, log = Viral(8, people=3), Log(engine.environment)
    poison = viral.people[0]
    log.append([viral.post, *(viral.like(person) for person in viral.people)])
    dying = workers.start("-c", FAULTY, FAULTS=str(poison), DIES="1", **SOON)
    assert dying.process.wait(60) == -9
    assert engine.rows("select state, copied_at from counters.parked") == [("poison", None)]
    workers.start("-c", FAULTY, FAULTS=str(poison), **SOON)
    assert len(dead_letters(engine, 1)) == 1
    wait_until(30, lambda: engine.rows("select 1 from counters.parked where copied_at is not null"))
    assert_caught_up(engine, workers)
    assert engine.rows("select likes from counters.post_count") == [(2,)]


def test_a_database_that_is_away_is_waited_for(engine: Engine, workers: Workers) -> None:
    """Longer than a stall may last: the same process goes on where it stood, with nothing skipped and nothing
    parked."""
    viral, log = Viral(9, people=400), Log(engine.environment)
    good: list[Event] = [viral.post, *(viral.like(person) for person in viral.people)]
    url = urlsplit(engine.environment.read_database_url)
    with Relay(str(url.hostname), int(url.port or 5432)) as relay:
        through = url._replace(netloc=f"{url.netloc.rpartition('@')[0]}@127.0.0.1:{relay.port}")
        worker: Worker = workers.start(
            READ_DATABASE_URL=urlunsplit(through), ROOKERY_WORKER_STALLED_SECONDS="5",
            ROOKERY_WORKER_BATCH_RECORDS_MAX="50",
        )  # fmt: skip
        log.append(good[:200])
        wait_until(60, lambda: engine.rows("select 1 from counters.post_count where likes > 0"))
        relay.cut()
        log.append(good[200:])
        wait_until(60, lambda: any(entry["seconds"] > PATIENCE_SECONDS for entry in worker.logged("retrying")))
        assert worker.process.poll() is None, worker.text()
        relay.mend()
        assert_caught_up(engine, workers)
        assert worker.process.poll() is None and not engine.rows(PARKED)
    assert counted(engine) == recounted(good)
