"""Claim: a worker begins where its store says and nowhere else; what the log or the group do to it is right or loud.

Oracle: a plain recount of the events appended, the positions in the store, what the process did. Real workers and a
real broker: records are deleted before and behind positions, group commits set outside the log, partitions added,
workers join and leave in a storm. Cannot catch: retention that overtakes what a worker has fetched already, which it
then applies.
"""

import asyncio
import os
import struct
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from projectors.counters.fold import PROJECTION
from projectors.runtime.lag import wait_until_caught_up
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.stores.port import Partition
from schemas.types import Event
from shared.environment import Environment, load
from shared.kafka import PRODUCER_SETTINGS
from tests.chaos.system import System
from tests.runtime.engine import PARTITIONS, Engine, Ids, Log, own_engine
from tests.runtime.history import Town, counted, recounted
from tests.runtime.workers import Worker, Workers, wait_until

LASTING_SECONDS = 6.0
LOUD_SECONDS_MAX = 30.0
WORKERS = 5
LZ4 = 3  # in the three lowest bits of a record batch's attributes
ATTRIBUTES_AT = 21


@pytest.fixture
def engine(system: System) -> Iterator[Engine]:
    with own_engine(PROJECTION, variables=system.variables) as made:
        yield made


def planted(workers: Workers, hang: str, flag: Path, *without: str, **environ: str) -> Worker:
    return workers.start("-m", "tests.runtime.hanging", hang, str(flag), *without, **environ)


def admin(environment: Environment) -> AdminClient:
    return _admin(environment.kafka_bootstrap_servers)


@cache
def _admin(address: str) -> AdminClient:
    """Kept: what is under way ends with its client."""
    return AdminClient({"bootstrap.servers": address})


def positions(engine: Engine) -> list[tuple[str, int, int]]:
    found = engine.rows("select topic, partition, next_offset from counters.position order by 1, 2")
    return [(topic, partition, offset) for topic, partition, offset in found]


def assert_whole(engine: Engine, workers: Workers, produced: list[Event]) -> None:
    caught_up = asyncio.run(wait_until_caught_up(engine.environment, 90, projections=[PROJECTION]))
    assert caught_up, "\n".join(worker.text() for worker in workers.all)
    left = " union all ".join(f"select 1 from counters.{name} where done_at is null" for name in ("erased", "gone"))
    wait_until(30, lambda: not engine.rows(left))
    assert counted(engine) == recounted(produced)


def delete_records(engine: Engine, before_end: int) -> None:
    """The log of every partition begins this many records before its end."""
    ends = LogEnds(engine.environment).ends([Partition(topic, number) for topic, number, _ in positions(engine)])
    wanted = [
        TopicPartition(engine.environment.topic(partition.topic), partition.number, max(0, end - before_end))
        for partition, end in ends.items()
    ]
    for future in admin(engine.environment).delete_records(wanted).values():
        future.result(20)


def listening(process: int) -> set[str]:
    """The addresses on which a process accepts connections, as the kernel writes them."""
    sockets = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            sockets.add(os.readlink(descriptor))
        except FileNotFoundError:
            continue
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def compressions(system: System, engine: Engine) -> set[int]:
    """How the first batch of each partition's file is compressed."""
    found = set()
    for topic, number, _ in positions(engine):
        folder = system.installation.var / "kafka" / "data" / f"{engine.environment.topic(topic)}-{number}"
        for file in folder.glob("*.log"):
            header = file.read_bytes()[: ATTRIBUTES_AT + 2]
            if len(header) == ATTRIBUTES_AT + 2:
                found.add(struct.unpack_from(">h", header, ATTRIBUTES_AT)[0] & 0b111)
    return found


def test_a_worker_reads_lz4_and_listens_nowhere(
    system: System, engine: Engine, workers: Workers, tmp_path: Path
) -> None:
    produced: list[Event] = list(Town(Ids(31), people=20).events(2_000))
    Log(engine.environment).append(produced)
    worker = workers.start()
    assert_whole(engine, workers, produced)
    assert PRODUCER_SETTINGS["compression.type"] == "lz4"
    assert LZ4 in compressions(system, engine)
    assert listening(worker.process.pid) == set()
    worker.end()
    with_web = planted(workers, "none", tmp_path / "hang", "web-off")
    wait_until(60, lambda: listening(with_web.process.pid))
    assert {address.partition(":")[0].strip("0") for address in listening(with_web.process.pid)} == {""}  # everywhere


def test_workers_that_come_and_go_in_a_storm_apply_everything_once(engine: Engine, workers: Workers) -> None:
    """More of them than partitions of a topic, ended both ways while events come."""
    town, log = Town(Ids(32), people=40), Log(engine.environment)
    produced: list[Event] = []

    def more(number: int) -> None:
        some = list(town.events(number))
        produced.extend(some)
        log.append(some)

    more(2_000)
    small = {"ROOKERY_WORKER_BATCH_RECORDS_MAX": "50"}
    working = [workers.start(**small) for _ in range(WORKERS)]
    wait_until(60, lambda: any(offset for _, _, offset in positions(engine)))
    for turn in range(2 * WORKERS):
        more(400)
        leaving = working.pop(0)
        if turn % 2:
            leaving.kill()
        else:
            leaving.process.terminate()
        working.append(workers.start(**small))
        time.sleep(0.5)
    assert_whole(engine, workers, produced)
    assert sum(len(worker.logged("fenced")) for worker in workers.all) > WORKERS


def test_a_log_that_begins_behind_the_position_stops_the_worker(
    engine: Engine, workers: Workers, tmp_path: Path
) -> None:
    """Retention went by: what is missing can be had nowhere, and going on with the rest would be silent."""
    town, log = Town(Ids(33), people=20), Log(engine.environment)
    log.append(town.events(400))
    first = workers.start()
    assert asyncio.run(wait_until_caught_up(engine.environment, 60, projections=[PROJECTION]))
    first.end()
    log.append(town.events(400))
    before = positions(engine)
    delete_records(engine, before_end=5)
    began = time.monotonic()
    second = workers.start()
    assert second.process.wait(2 * LOUD_SECONDS_MAX) == 1
    print(f"\n  ended after {time.monotonic() - began:.1f} s")
    assert "OffsetOutOfRange" in second.text()
    stopped_at = positions(engine)
    behind = [each for each in before if each in stopped_at]
    assert behind, "every partition moved"
    # With a reset policy the same worker goes on with what is left.
    planted(workers, "none", tmp_path / "hang", "no-reset")
    assert asyncio.run(wait_until_caught_up(engine.environment, 60, projections=[PROJECTION]))


@pytest.mark.parametrize("commits", [0, 1_000_000])
def test_commits_outside_the_log_mean_nothing(engine: Engine, workers: Workers, commits: int) -> None:
    """aiokafka begins to fetch there, and is told that it is outside, before the worker seeks."""
    town, log = Town(Ids(34), people=20), Log(engine.environment)
    produced: list[Event] = list(town.events(400))
    log.append(produced)
    first = workers.start()
    assert_whole(engine, workers, produced)
    first.end()
    delete_records(engine, before_end=2)
    group = engine.environment.topic("counters")
    places = [
        TopicPartition(engine.environment.topic(topic), number, commits) for topic, number, _ in positions(engine)
    ]
    for future in (
        admin(engine.environment).alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values()
    ):
        future.result(20)
    second = workers.start()
    more = list(town.events(400))
    produced += more
    log.append(more)
    assert_whole(engine, workers, produced)
    assert second.process.poll() is None


def test_partitions_added_to_a_topic_are_read(engine: Engine, workers: Workers) -> None:
    """From their first record, by the workers that run; keys that now go to another partition count once."""
    town, log = Town(Ids(35), people=20), Log(engine.environment)
    produced: list[Event] = list(town.events(1_000))
    log.append(produced)
    worker = workers.start(ROOKERY_WORKER_METADATA_SECONDS="2")
    assert_whole(engine, workers, produced)
    added = PARTITIONS + 2
    wanted = [NewPartitions(engine.environment.topic(topic), added) for topic in PROJECTION.topics]
    for future in admin(engine.environment).create_partitions(wanted).values():
        future.result(20)
    more = list(town.events(1_000))
    produced += more
    Log(load({**engine.environ, "ROOKERY_TOPIC_PARTITIONS": str(added)})).append(more)
    wait_until(60, lambda: len(positions(engine)) == added * len(PROJECTION.topics))
    assert_whole(engine, workers, produced)
    assert any(number >= PARTITIONS and offset for _, number, offset in positions(engine))
    assert worker.process.poll() is None


def test_a_position_set_back_while_the_log_is_idle_is_noticed(engine: Engine, workers: Workers) -> None:
    """No record comes whose batch the store would refuse: only the comparison with the store tells."""
    produced: list[Event] = list(Town(Ids(36), people=20).events(400))
    Log(engine.environment).append(produced)
    blind = workers.start(ROOKERY_WORKER_CHECK_SECONDS="3600")
    assert_whole(engine, workers, produced)
    whole = positions(engine)
    back = "update counters.position set next_offset = 0, last_event = null"
    engine.execute(back)
    time.sleep(LASTING_SECONDS)
    assert positions(engine) != whole
    assert blind.process.poll() is None
    blind.end()
    seeing = workers.start()
    assert_whole(engine, workers, produced)
    engine.execute(back)
    wait_until(30, lambda: positions(engine) == whole)
    assert seeing.process.poll() is None
    assert counted(engine) == recounted(produced)
