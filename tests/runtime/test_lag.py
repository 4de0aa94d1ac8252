"""Claim: what is told of a projection is what the log, its store and its consumer group say, on real servers.

Oracle: the first unapplied record's own time, read by another consumer; positions and commits written by hand; workers
that run, are frozen, and end. Cannot catch: clocks of broker and reader that differ, since here they are one.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from projectors.counters.fold import PROJECTION
from projectors.feed.fold import PROJECTION as FEED
from projectors.runtime.groups import group_of
from projectors.runtime.lag_figures import PartitionFigures, ProjectionFigures, Report, State
from projectors.runtime.lag_observer import LagObserver
from projectors.runtime.prepare import prepare
from shared.environment import REPOSITORY, Environment
from tests.runtime.engine import PARTITIONS, Engine, Ids, Log, own_engine
from tests.runtime.history import Town
from tests.runtime.workers import Workers, wait_until

STALLED_SECONDS = 1.5
# A frozen worker stays a member of its group for longer than the test needs.
LONG_SESSION = {"ROOKERY_WORKER_SESSION_SECONDS": "40", "ROOKERY_WORKER_REQUEST_SECONDS": "40"}
PARKED = "create table counters.parked (topic text, partition int, record_offset bigint)"


@pytest.fixture
def engine(servers: Environment) -> Iterator[Engine]:
    with own_engine(PROJECTION) as made:
        yield made


async def known(observer: LagObserver) -> Report:
    """A look that everybody answered; on a busy machine the first may not be one."""
    deadline = time.monotonic() + 20
    while True:
        report = await observer.look()
        if not report.troubles and all(each.lag_seconds is not None for each in report.partitions):
            return report
        assert time.monotonic() < deadline, report


def looked(environment: Environment) -> Report:
    async def look() -> Report:
        async with LagObserver(environment, [PROJECTION]) as observer:
            return await known(observer)

    return asyncio.run(look())


def counters(environment: Environment) -> ProjectionFigures:
    (found,) = looked(environment).projections
    return found


def filled(engine: Engine, number: int, seed: int = 3) -> None:
    Log(engine.environment).append(Town(Ids(seed), people=20).events(number))


def place(engine: Engine, topic: str, partition: int, offset: int, seconds_ago: float = 0) -> None:
    """The store's position, as a worker would have left it."""
    engine.execute(
        "insert into counters.position (topic, partition, next_offset, epoch, owner, advanced_at) values"
        f" ('{topic}', {partition}, {offset}, 3, 'host:1', clock_timestamp() - interval '{seconds_ago} s')"
        " on conflict (topic, partition) do update set next_offset = excluded.next_offset"
    )


def record_time(engine: Engine, topic: str, partition: int, offset: int) -> float:
    """The time the log gave a record, in unix seconds."""
    consumer = Consumer(
        {"bootstrap.servers": engine.environment.kafka_bootstrap_servers, "group.id": "oracle", "enable.auto.commit": 0}
    )
    try:
        consumer.assign([TopicPartition(engine.environment.topic(topic), partition, offset)])
        message = wait_until(10, lambda: consumer.poll(0.5))
        assert (message.error(), message.offset()) == (None, offset)
        return float(message.timestamp()[1]) / 1000
    finally:
        consumer.close()


def one(found: ProjectionFigures, topic: str, partition: int) -> PartitionFigures:
    (each,) = [each for each in found.partitions if (each.topic, each.partition) == (topic, partition)]
    return each


def test_seconds_are_the_age_of_the_first_record_not_applied(engine: Engine) -> None:
    filled(engine, 600)
    ends = {(each.topic, each.partition): each.end for each in counters(engine.environment).partitions}
    busy = max(range(PARTITIONS), key=lambda number: ends["engagement", number])
    end = ends["engagement", busy]
    filled(engine, 60, seed=4)
    found = one(counters(engine.environment), "engagement", busy)
    newest = record_time(engine, "engagement", busy, found.end - 1)
    assert record_time(engine, "engagement", busy, 0) < newest, "else any record's time would do"
    for offset in (0, end // 2, end - 1):
        place(engine, "engagement", busy, offset)
        report = looked(engine.environment)
        found = one(report.projections[0], "engagement", busy)
        assert found.lag_seconds == pytest.approx(report.at - record_time(engine, "engagement", busy, offset), abs=1e-6)
        assert found.lag_records == found.end - offset > 0
    place(engine, "engagement", busy, found.end)
    at_end = one(counters(engine.environment), "engagement", busy)
    assert (at_end.lag_records, at_end.lag_seconds, at_end.position) == (0, 0.0, found.end)


def test_a_look_reads_a_record_once_and_again_when_the_position_moves(engine: Engine) -> None:
    filled(engine, 200)

    async def look() -> list[tuple[float, float | None]]:
        async with LagObserver(engine.environment, [PROJECTION]) as observer:
            seen = []
            for offset in (0, 0, 5):
                place(engine, "posts", 0, offset)
                report = await known(observer)
                found = one(report.projections[0], "posts", 0)
                seen.append((report.at, found.lag_seconds))
            return seen

    for (at, seconds), offset in zip(asyncio.run(look()), (0, 0, 5), strict=True):
        assert seconds == pytest.approx(at - record_time(engine, "posts", 0, offset), abs=1e-6)


def test_records_that_the_log_has_no_more_are_passed_over(engine: Engine) -> None:
    filled(engine, 400)
    end = one(counters(engine.environment), "engagement", 1).end
    admin = AdminClient({"bootstrap.servers": engine.environment.kafka_bootstrap_servers})

    def delete_before(offset: int) -> None:
        topic = engine.environment.topic("engagement")
        for future in admin.delete_records([TopicPartition(topic, 1, offset)]).values():
            future.result(20)

    place(engine, "engagement", 1, 2)
    delete_before(end // 2)
    report = looked(engine.environment)
    found = one(report.projections[0], "engagement", 1)
    oldest = record_time(engine, "engagement", 1, end // 2)
    assert found.lag_seconds == pytest.approx(report.at - oldest, abs=1e-6)
    delete_before(end)
    found = one(counters(engine.environment), "engagement", 1)
    assert (found.lag_seconds, found.lag_records) == (0.0, end - 2)


def test_drift_and_what_is_parked(engine: Engine) -> None:
    place(engine, "posts", 2, 40)
    place(engine, "posts", 3, 7)
    place(engine, "engagement", 0, 2)
    admin = AdminClient({"bootstrap.servers": engine.environment.kafka_bootstrap_servers})
    commits = ConsumerGroupTopicPartitions(
        group_of(PROJECTION, engine.environment), [TopicPartition(engine.environment.topic("posts"), 2, 33)]
    )
    for future in admin.alter_consumer_group_offsets([commits]).values():
        future.result(20)
    engine.execute("drop table if exists counters.parked cascade")
    assert counters(engine.environment).parked == 0, "nothing is parked where there is no table for it"
    engine.execute(PARKED)
    engine.execute("insert into counters.parked values ('posts', 2, 5), ('posts', 2, 6), ('engagement', 0, 1)")
    found = counters(engine.environment)
    assert (one(found, "posts", 2).committed, one(found, "posts", 2).commit_drift) == (33, 7)
    assert (one(found, "posts", 3).committed, one(found, "posts", 3).commit_drift) == (None, None)
    assert (one(found, "posts", 2).parked, one(found, "posts", 3).parked, found.parked) == (2, 0, 3)
    assert (one(found, "posts", 2).rebalances, one(found, "posts", 2).owner) == (3, "host:1")
    assert one(found, "posts", 2).state is State.AHEAD, "the log is empty"


def test_what_a_projection_in_redis_has_parked_is_told_too(engine: Engine) -> None:
    environment = replace(engine.environment, redis_url=f"{engine.environment.redis_url.rpartition('/')[0]}/9")
    asyncio.run(prepare(environment, [FEED]))
    engine.execute(
        """insert into feed.parked (topic, partition, record_offset, keys, state, value, cause, reason)
           values ('posts', 2, 5, '{post:1}', 'poison', '', 'KeyError', 'fold: KeyError')"""
    )

    name = urlsplit(environment.read_database_url).path.lstrip("/")

    async def look() -> tuple[Report, Report]:
        async with LagObserver(environment, [FEED]) as observer:
            first = await known(observer)
            with psycopg.connect(environment.admin_database_url, autocommit=True) as admin:
                admin.execute(f'alter database "{name}" connection limit 0'.encode())
                admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            return first, await observer.look()

    first, second = asyncio.run(look())
    (found,) = first.projections
    assert (one(found, "posts", 2).parked, one(found, "posts", 3).parked, found.parked) == (1, 0, 1)
    # Where they lie does not answer any more; what Redis tells is told as before.
    (found,) = second.projections
    assert [trouble.partition(":")[0] for trouble in second.troubles] == ["PostgreSQL"]
    assert (one(found, "posts", 2).parked, found.parked) == (None, None)
    assert found.state is not State.UNKNOWN


def test_a_stalled_worker_is_told_from_an_idle_one_and_from_none(engine: Engine, workers: Workers) -> None:
    environment = replace(engine.environment, lag_stalled_seconds=STALLED_SECONDS)

    def state() -> State:
        return counters(environment).state

    assert state() is State.NEVER_STARTED
    worker = workers.start(**LONG_SESSION)
    wait_until(40, lambda: state() is State.IDLE)
    filled(engine, 300)
    wait_until(20, lambda: state() is State.IDLE and counters(environment).lag_records == 0)
    before = counters(environment)
    assert before.workers == 1

    worker.freeze()
    filled(engine, 300, seed=5)
    wait_until(20, lambda: state() is State.STALLED)
    stalled = counters(environment)
    assert stalled.workers == 1 and stalled.lag_records > 0 and stalled.drain_seconds is None
    assert (stalled.lag_seconds or 0) > STALLED_SECONDS
    worker.thaw()
    wait_until(30, lambda: state() is State.IDLE)
    after = counters(environment)
    applied = sum(each.position for each in after.partitions) - sum(each.position for each in before.partitions)
    assert applied == sum(each.end for each in after.partitions) - sum(each.end for each in before.partitions) >= 300

    worker.process.terminate()
    worker.process.wait(15)
    wait_until(20, lambda: state() is State.STOPPED)
    assert (counters(environment).workers, counters(environment).lag_seconds) == (0, 0.0)


def test_rates_are_what_was_applied_between_two_looks(engine: Engine) -> None:
    filled(engine, 400)

    async def look() -> tuple[Report, Report]:
        async with LagObserver(engine.environment, [PROJECTION]) as observer:
            place(engine, "engagement", 0, 10)
            first = await known(observer)
            place(engine, "engagement", 0, 40)
            return first, await known(observer)

    first, second = asyncio.run(look())
    found = one(second.projections[0], "engagement", 0)
    rate = 30 / (second.at - first.at)
    assert found.rate == pytest.approx(rate) and found.append_rate == 0.0
    assert found.drain_seconds == pytest.approx(found.lag_records / rate)


def test_a_server_that_is_away_is_a_trouble_and_no_figure(engine: Engine) -> None:
    away = type(engine.environment)(
        **{**engine.environment.__dict__, "query_database_url": "postgresql://127.0.0.1:9/x"}
    )

    async def look() -> Report:
        async with LagObserver(away, [PROJECTION]) as observer:
            return await observer.look()

    report = asyncio.run(look())
    assert "PostgreSQL" in [each.partition(":")[0] for each in report.troubles]
    assert [each.state for each in report.projections] == [State.UNKNOWN]


def rookery_lag(engine: Engine, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "infra.cli.main", "lag", *arguments],
        cwd=REPOSITORY, env={**engine.environ, "COLUMNS": "160"}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_the_command_tells_it_to_people_and_to_scripts(engine: Engine) -> None:
    filled(engine, 200)
    place(engine, "posts", 0, 1)
    told: dict[str, Any] = json.loads(rookery_lag(engine, "counters", "--json").stdout)
    (found,) = told["projections"]
    (posts,) = [each for each in found["partitions"] if (each["topic"], each["partition"]) == ("posts", 0)]
    assert set(posts) == set(PartitionFigures.__dataclass_fields__)
    assert (posts["position"], posts["state"], posts["rebalances"], posts["rate"]) == (1, "stopped", 3, 0.0)
    assert posts["lag_records"] == posts["end"] - 1
    age = record_time(engine, "posts", 0, 1)
    assert posts["lag_seconds"] <= time.time() - age and posts["drain_seconds"] is None

    table = rookery_lag(engine, "counters", "--partitions")
    assert table.returncode == 0
    assert "no worker" in table.stdout and "posts 0" in table.stdout and "never" in table.stdout
    assert rookery_lag(engine, "counters", "--fail-above", "0").returncode == 3
    assert rookery_lag(engine, "counters", "--fail-above", "9999").returncode == 0
    unknown = rookery_lag(engine, "nothing")
    assert unknown.returncode == 1 and "no projection 'nothing'" in unknown.stderr

    watched = rookery_lag(engine, "counters", "--watch", "--json", "--every", "0.2", "--fail-above", "0")
    assert watched.returncode == 3
    assert json.loads(watched.stdout.splitlines()[-1])["projections"][0]["projection"] == "counters"
