"""Claim: whatever is done to live workers, the counters end up as a plain recount of the log says, nothing lost,
nothing doubled.

Oracle: `recounted`, sets over the events produced, in memory. Real Kafka, registry and PostgreSQL, real worker
processes, killed with -9, frozen and thawed, blocked. Cannot catch: what needs several brokers, or longer than a minute
to go wrong.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from projectors.counters.fold import PROJECTION
from projectors.runtime.lag import wait_until_caught_up
from projectors.runtime.last_records import LastRecords
from projectors.runtime.stores.port import Fence, Partition
from schemas.types import Event, PostLiked, UserErased
from shared.environment import Environment
from shared.ids import time_of
from shared.kafka import partition_of, record_key
from tests.runtime.engine import Engine, Ids, Log, own_engine
from tests.runtime.history import Town, counted, recounted
from tests.runtime.workers import Workers, wait_until

FAST = {"ROOKERY_WORKER_BATCH_RECORDS_MAX": "150"}  # small batches, so that much is under way when a worker is killed

# A worker whose fold never returns.
BLOCKED = """
import os, time
from dataclasses import replace
from projectors.counters.fold import PROJECTION
from projectors.runtime import live
from projectors.runtime.settings import worker_settings
from shared.environment import environment
live.run(replace(PROJECTION, fold=lambda events: time.sleep(3600)), environment(), worker_settings(os.environ))
"""


@pytest.fixture
def engine(servers: Environment) -> Iterator[Engine]:
    with own_engine(PROJECTION) as made:
        yield made


def assert_caught_up(engine: Engine, workers: Workers, seconds: float = 30) -> None:
    caught_up = asyncio.run(wait_until_caught_up(engine.environment, seconds, projections=[PROJECTION]))
    assert caught_up, "\n".join(worker.text() for worker in workers.all)


def assert_swept(engine: Engine) -> None:
    """Everything that hung on erased people and deleted posts is gone, so that the counts are final."""
    left = " union all ".join(f"select 1 from counters.{name} where done_at is null" for name in ("erased", "gone"))
    wait_until(10, lambda: not engine.rows(left))


def applied(engine: Engine) -> int:
    """The records applied so far, all partitions together."""
    [(number,)] = engine.rows("select coalesce(sum(next_offset), 0)::int from counters.position")
    return int(number)


def test_a_partition_that_had_to_wait_is_read_on_at_once(
    engine: Engine, workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    """What waits too long for its turn is left out of the next fetch, which with nothing new elsewhere lasts."""
    town, log = Town(Ids(8), people=20), Log(engine.environment)
    log.append(town.events(100))
    workers.start()
    assert_caught_up(engine, workers)
    like = likes_of_one_post(town)
    with psycopg.connect(engine.environment.read_database_url) as holding:
        holding.execute("lock table counters.position in access exclusive mode")
        held_since = time.monotonic()
        while time.monotonic() - held_since < 0.5:  # more batches than the worker takes while it waits
            log.append([like()])
    released_at = time.monotonic()
    last = like()
    log.append([last])
    wait_until(10, lambda: engine.rows("select 1 from counters.reaction where actor_id = %s", last.subject_id), 0.01)
    seconds = time.monotonic() - released_at
    with capsys.disabled():
        print(f"\n  read on {seconds * 1000:.0f} ms after it could", end="")
    assert seconds <= 1.0


def likes_of_one_post(town: Town) -> Callable[[], PostLiked]:
    """Likes of a post that the town knows nothing of, by somebody else each time."""
    author, post = town.ids.many(2)

    def like() -> PostLiked:
        actor, event_id = town.ids.many(2)
        return PostLiked(
            event_id=event_id, occurred_at=time_of(event_id), subject_id=actor, post_id=post, post_author_id=author,
            reaction="like",
        )  # fmt: skip

    return like


def _applied_beyond(engine: Engine, number: int) -> Callable[[], bool]:
    return lambda: applied(engine) > number


def test_workers_killed_in_mid_stream_lose_and_double_nothing(engine: Engine, workers: Workers) -> None:
    town = Town(Ids(3), people=40)
    log = Log(engine.environment)
    produced: list[Event] = []
    enough = threading.Event()

    def keep_producing() -> None:
        while not enough.is_set():
            some = list(town.events(400))
            produced.extend(some)
            log.append(some)
            enough.wait(0.1)

    producing = threading.Thread(target=keep_producing)
    producing.start()
    try:
        pair = [workers.start(**FAST), workers.start(**FAST)]
        wait_until(20, _applied_beyond(engine, 1000))
        for kill in range(3):
            before = applied(engine)
            pair[kill % 2].kill()
            pair[kill % 2] = workers.start(**FAST)
            wait_until(20, _applied_beyond(engine, before + 1500))
    finally:
        enough.set()
        producing.join()
    assert_caught_up(engine, workers)
    assert_swept(engine)
    assert counted(engine) == recounted(produced)
    assert engine.rows("select max(epoch) > 2 from counters.position") == [(True,)]

    # A deleted record advances the position, and an erased person is gone with all that counted.
    erased = town.people[0]
    first_key = record_key(produced[0].subject_id, produced[0].event_id)
    log.delete("posts", 0, first_key)
    event_id = town.ids()
    produced.append(UserErased(event_id=event_id, occurred_at=time_of(event_id), subject_id=erased))
    # What they still had under way comes behind it in another partition.
    produced.extend(town.events(300))
    log.append(produced[-301:])
    assert_caught_up(engine, workers)
    assert_swept(engine)
    assert engine.rows("select 1 from counters.erased where done_at is not null")
    assert counted(engine) == recounted(produced)

    # The whole log once more.
    for worker in workers.all:
        worker.kill()
    rows = "select * from counters.reaction order by 1, 2"
    as_they_were = engine.rows(rows)
    engine.execute("update counters.position set next_offset = 0")
    workers.start()
    assert_caught_up(engine, workers)
    assert engine.rows(rows) == as_they_were
    assert counted(engine) == recounted(produced)


def test_a_zombie_is_refused(engine: Engine, workers: Workers) -> None:
    town = Town(Ids(4), people=30)
    log = Log(engine.environment)
    produced = list(town.events(20_000))
    log.append(produced)
    zombie = workers.start(ROOKERY_WORKER_BATCH_RECORDS_MAX="40")
    wait_until(20, lambda: applied(engine) > 2000, every=0.01)
    zombie.freeze()
    fresh = workers.start()
    wait_until(20, lambda: fresh.logged("fenced") and applied(engine) > 10_000)
    assert_caught_up(engine, workers)
    before = engine.rows("select topic, partition, next_offset, epoch from counters.position order by 1, 2")
    zombie.thaw()
    wait_until(10, lambda: zombie.logged("refused"))
    # Its write changed nothing; what it does afterwards, end or join again, changes nothing either.
    refused_at = engine.rows("select topic, partition, next_offset from counters.position order by 1, 2")
    assert refused_at == [row[:3] for row in before]
    more = list(town.events(500))
    log.append(more)
    assert_caught_up(engine, workers)
    assert_swept(engine)
    assert counted(engine) == recounted(produced + more)


def test_a_worker_that_hangs_ends_itself(engine: Engine, workers: Workers) -> None:
    """In three ways: not even the fence comes through, nothing can be applied, the event loop is blocked."""
    Log(engine.environment).append(Town(Ids(5), people=5).events(50))
    with psycopg.connect(engine.environment.read_database_url) as holding:
        # Faust alone would keep its partitions and never read them.
        holding.execute("lock table counters.position")
        unfenced = workers.start(ROOKERY_WORKER_REQUEST_SECONDS="6")
        assert unfenced.process.wait(20) not in (0, 75)
        assert not unfenced.logged("fenced")

    with psycopg.connect(engine.environment.read_database_url) as holding:
        # Every statement waits for its locks and is retried.
        holding.execute("lock table counters.reaction")
        stalled = workers.start(ROOKERY_WORKER_STALLED_SECONDS="2")
        wait_until(20, lambda: stalled.logged("fenced"))
        assert stalled.process.wait(15) == 75
        assert "stands at" in stalled.logged("watchdog")[0]["reason"]

    blocked = workers.start("-c", BLOCKED, ROOKERY_WORKER_BLOCKED_SECONDS="2")
    assert blocked.process.wait(20) == 75
    assert "event loop is blocked" in blocked.logged("watchdog")[0]["reason"]


def test_a_position_beyond_the_log_stops_the_worker(engine: Engine, workers: Workers) -> None:
    """A log that lost its tail must be noticed; jumping back to its beginning or its end would be silent."""
    town = Town(Ids(6), people=5)
    Log(engine.environment).append(town.events(50))
    first = workers.start()
    assert_caught_up(engine, workers)
    first.process.terminate()
    began = time.monotonic()
    assert first.process.wait(10) == 0
    assert time.monotonic() - began < 5
    number = partition_of(town.people[0], engine.environment.topic_partitions)
    there = f"topic = 'engagement' and partition = {number}"
    engine.execute(f"update counters.position set next_offset = 1000 where {there}")
    second = workers.start()
    assert second.process.wait(25) != 0
    assert engine.rows(f"select next_offset from counters.position where {there}") == [(1000,)]


def test_another_record_where_the_last_one_was_stops_the_worker(engine: Engine, workers: Workers) -> None:
    """A log that lost its tail and has grown anew is as long as ever; nothing of it may be applied."""
    town = Town(Ids(7), people=5)
    log = Log(engine.environment)
    log.append(town.events(50))
    first = workers.start()
    assert_caught_up(engine, workers)
    first.kill()
    number = partition_of(town.people[0], engine.environment.topic_partitions)
    there = f"topic = 'engagement' and partition = {number}"
    engine.execute(f"update counters.position set last_event = '{town.ids()}' where {there}")
    [(offset,)] = engine.rows(f"select next_offset from counters.position where {there}")
    log.append(town.events(200))
    second = workers.start()
    assert second.process.wait(25) != 0
    assert f"engagement:{number} has" in second.text()
    assert engine.rows(f"select next_offset from counters.position where {there}") == [(offset,)]


def test_the_record_before_a_position_is_compared(engine: Engine) -> None:
    """Only a record that is there and is another one, or a log that ends too early, is a difference."""
    log, ids = Log(engine.environment), Ids(8)
    ann = ids()
    events = [UserErased(event_id=event, occurred_at=time_of(event), subject_id=ann) for event in ids.many(3)]
    log.append(events)
    here = Partition("accounts", partition_of(ann, engine.environment.topic_partitions))
    last = LastRecords(engine.environment)
    second, third = events[1].event_id, events[2].event_id
    for offset, event, difference in (
        (3, third, None),
        (2, second, None),
        (3, second, f"has {third} at 2, where {second} was applied"),
        (4, third, "ends at 3, before the position 4"),
        (0, third, None),
        (3, None, None),
        (1000, third, None),  # the consumer itself refuses to begin there
    ):
        found = last.differences({here: Fence(offset, 1, event)})
        assert found == ([f"{engine.environment.topic('accounts')}:{here.number} {difference}"] if difference else [])
    log.delete("accounts", here.number, record_key(ann, third))
    assert last.differences({here: Fence(4, 1, third)}) == []
    with pytest.raises(TimeoutError):
        away = replace(engine.environment, kafka_bootstrap_servers="127.0.0.1:1")
        LastRecords(away, timeout_seconds=0.5).differences({here: Fence(3, 1, third)})
