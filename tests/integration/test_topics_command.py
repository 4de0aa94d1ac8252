"""Claim: `rookery topics` says what each topic holds and names everything that is not set up as it must be.

Oracle: what the test made and appended. Real Kafka, one broker. Cannot catch: replicas that are not in sync.
"""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from infra.event_log.texts import time_text
from infra.local.topics import declared
from schemas.catalogue import topics
from schemas.types import Event
from shared import clock
from shared.environment import Environment
from tests.integration.event_logs import World, append, empty_topics, own_name, read_plainly
from tests.runtime.engine import PARTITIONS, Ids, Log, read_database
from tests.runtime.history import Town

EVENTS = 30


class Now(Ids):
    """Ids of this hour."""

    def __init__(self) -> None:
        super().__init__(5)
        self._micros = clock.now() - 600_000_000


@pytest.fixture(scope="module")
def world(servers: Environment) -> Iterator[World]:
    with read_database(own_name()) as engine, empty_topics(engine):
        town, log = Town(Now(), people=4), Log(engine.environment)
        events: list[Event] = list(town.events(EVENTS))
        for event in events:
            append(engine, log, event)
        append(engine, log, events[0], late_ms=-7_200_000)
        yield World(engine, town, read_plainly(engine, log), {}, town.people[0], log)


def test_every_topic_is_described(world: World) -> None:
    done = world.run("topics", "--json")
    held = {each["topic"]: each for each in world.document(done)["topics"]}
    assert list(held) == list(declared())
    others = {name: (held[name]["partitions"], held[name]["records"]) for name in held if name not in topics()}
    assert others and set(others.values()) == {(1, 0)}
    for name in topics():
        found = [each for each in world.found if each.topic == name]
        times = sorted(each.time_ms for each in found)
        first = min((each.time_ms for each in found if each.offset == 0), default=None)
        assert held[name]["kafka_name"] == world.engine.environment.topic(name)
        assert (held[name]["partitions"], held[name]["replicas"]) == (PARTITIONS, 1)
        assert held[name]["records"] == len(found)
        assert held[name]["first_recorded_at"] == (time_text(first * 1_000) if first is not None else None)
        assert held[name]["last_recorded_at"] == (time_text(times[-1] * 1_000) if times else None)
        assert held[name]["readers"] == topics()[name]["readers"]
        # The one of two hours ago stands behind newer ones of its partition, by which Kafka's time index finds it.
        assert held[name]["records_per_second_last_hour"] == round(len(found) / 3_600, 3)


def test_one_topic_shows_its_partitions(world: World) -> None:
    [posts] = world.document(world.run("topics", "posts", "--json"))["topics"]
    for each in posts["per_partition"]:
        found = [one for one in world.found if (one.topic, one.partition) == ("posts", each["partition"])]
        assert (each["start"], each["end"], each["records"]) == (0, len(found), len(found))
    assert len(posts["per_partition"]) == PARTITIONS
    assert b"by the root post" in world.run("topics", "posts").stdout


def test_what_is_not_as_it_should_be_is_named(world: World) -> None:
    environment = world.engine.environment
    admin = AdminClient({"bootstrap.servers": environment.kafka_bootstrap_servers})

    def set_up(topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, environment.topic(topic), incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(20)

    for topic in topics():
        set_up(topic, "message.timestamp.type", "LogAppendTime")
    assert world.run("topics").returncode == 0
    set_up("graph", "retention.ms", "604800000")
    done = world.run("topics", "--json")
    assert done.returncode == 1
    differing = {each["topic"]: each["differs"] for each in world.document(done)["topics"] if each["differs"]}
    assert differing == {"graph": ["retention.ms is 604800000, not -1"]}
    assert b"retention.ms is 604800000, not -1" in world.run("topics").stdout

    done = world.run("topics", ROOKERY_TOPIC_PARTITIONS="12")
    assert f"{PARTITIONS} partitions, not 12".encode() in done.stdout
    done = world.run("topics", "posts", "--json", ROOKERY_TOPIC_PREFIX="nobody.")
    assert done.returncode == 1
    assert world.document(done)["topics"][0]["differs"] == ["it does not exist"]


def test_an_unknown_topic_is_one_line(world: World) -> None:
    done = world.run("topics", "nowhere")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, b"", 1)
