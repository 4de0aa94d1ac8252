"""Claim: what Rookery asks of its servers is so on every ground that tests may stand on (tests/grounds).

Oracle: the servers' own answers, through the clients that the system uses. Each ground is one of its own, beside the
one that other tests use, since here servers are stopped. Cannot catch: what a power failure does to either; and on
a machine without a Docker engine, which the skip's reason tells, anything about the containers.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.common.schema_registry_client import ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError

from infra.local import databases, readiness, topics
from schemas.catalogue import event_schemas
from schemas.registration import COMPATIBILITY, register, schema_ids
from shared.environment import PORT_OFFSETS, Environment, environment
from tests.grounds.choice import VARIABLE, without_engine
from tests.grounds.containers import ContainerGround
from tests.grounds.native import NativeGround
from tests.grounds.port import SERVERS, Ground, Server, environment_of

ANSWER_SECONDS = 20
NO_ENGINE = without_engine(os.environ)
GROUNDS = [os.environ[VARIABLE]] if os.environ.get(VARIABLE) else ["native"] if NO_ENGINE else ["native", "containers"]
LEAST_VERSIONS = {"postgres": 15, "redis": 7}


@dataclass(frozen=True)
class Standing:
    """A ground that is up, and how a process sees it."""

    ground: Ground
    environment: Environment


def free_ports() -> int:
    """The first of as many ports in a row as an installation has, beside those of the tests' own."""
    first = environment().ports["gateway"]
    for base in range(first + 20, first + 100, 20):
        if not any(readiness.is_listening(base + offset) for offset in PORT_OFFSETS.values()):
            return base
    pytest.fail(f"no 15 free ports from {first + 20} on")


@pytest.fixture(scope="module", params=GROUNDS)
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    kind = NativeGround if request.param == "native" else ContainerGround
    ground: Ground = kind(tmp_path_factory.mktemp(request.param), free_ports())
    try:
        ground.start()
        yield Standing(ground, environment_of(ground))
    finally:
        ground.stop()
    ground.stop()
    assert not [server for server in SERVERS if readiness.ask(server, environment_of(ground)).ok]


@pytest.mark.parametrize("ground", ["native", "containers"])
def test_this_ground_is_tried_here(ground: str) -> None:
    """The one place that tells which is not, and why."""
    if ground not in GROUNDS:
        pytest.skip(
            f"not tried: {NO_ENGINE if ground == 'containers' and NO_ENGINE else f'{VARIABLE} is {GROUNDS[0]}'}"
        )


@pytest.fixture
def env(standing: Standing) -> Environment:
    return standing.environment


def append(env: Environment, partition: int, values: list[bytes]) -> list[int]:
    """The offsets of records acknowledged by all replicas; their own timestamps are long past."""
    producer = Producer({"bootstrap.servers": env.kafka_bootstrap_servers, "acks": "all", "enable.idempotence": True})
    offsets: list[int] = []

    def acknowledged(error: KafkaError | None, message: Any) -> None:
        assert error is None, error
        offsets.append(message.offset())

    for value in values:
        producer.produce(
            env.topic("posts"), value, uuid4().bytes, partition=partition, timestamp=1, on_delivery=acknowledged
        )
    assert producer.flush(ANSWER_SECONDS) == 0
    return offsets


def records(env: Environment, partition: int, first: int, number: int) -> list[Any]:
    consumer = Consumer({"bootstrap.servers": env.kafka_bootstrap_servers, "group.id": uuid4().hex})
    try:
        consumer.assign([TopicPartition(env.topic("posts"), partition, first)])
        found: list[Any] = []
        while len(found) < number:
            came = consumer.consume(number - len(found), timeout=ANSWER_SECONDS)
            assert came, f"only {len(found)} of {number} records came"
            found += came
        return found
    finally:
        consumer.close()


def schema(kind: str | None, default: object = None) -> Schema:
    """A record without fields, or with a field `x` of this kind and default."""
    fields = [] if kind is None else [{"name": "x", "type": kind, "default": default}]
    return Schema(json.dumps({"type": "record", "name": "Probe", "fields": fields}), "AVRO")


def registry(env: Environment) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": env.schema_registry_url, "timeout": ANSWER_SECONDS})


# Kafka


def test_records_lie_in_the_partition_that_was_chosen_in_the_order_of_their_acknowledgements(env: Environment) -> None:
    values = [str(number).encode() for number in range(50)]
    offsets = append(env, 5, values)
    assert offsets == list(range(offsets[0], offsets[0] + 50))
    found = records(env, 5, offsets[0], 50)
    assert [(message.partition(), message.offset(), message.value()) for message in found] == [
        (5, offset, value) for offset, value in zip(offsets, values, strict=True)
    ]


def test_the_log_stamps_the_time_whatever_the_producer_says(env: Environment) -> None:
    first, second = append(env, 6, [b"a", b"b"])
    stamps = [message.timestamp() for message in records(env, 6, first, 2)]
    assert {kind for kind, _ in stamps} == {TIMESTAMP_LOG_APPEND_TIME}
    assert 1 < stamps[0][1] <= stamps[1][1] and second == first + 1


def test_topics_are_those_that_up_has_made_and_asking_for_another_makes_none(env: Environment) -> None:
    client = AdminClient({"bootstrap.servers": env.kafka_bootstrap_servers})
    stray = f"stray-{uuid4().hex}"
    client.list_topics(stray, timeout=ANSWER_SECONDS)
    found = client.list_topics(timeout=ANSWER_SECONDS).topics
    assert stray not in found
    declared = {name: entry.get("partitions") or env.topic_partitions for name, entry in topics.declared().items()}
    assert {env.topic(name): partitions for name, partitions in declared.items()} == {
        name: len(topic.partitions) for name, topic in found.items() if not name.startswith("__")
    }


def test_who_writes_to_no_such_partition_is_told(env: Environment) -> None:
    producer = Producer({"bootstrap.servers": env.kafka_bootstrap_servers, "acks": "all", "message.timeout.ms": 5_000})
    failed: list[KafkaError | None] = []
    try:
        producer.produce(env.topic("posts"), b"x", partition=99, on_delivery=lambda error, _: failed.append(error))
        producer.flush(ANSWER_SECONDS)
    except KafkaException as error:
        failed.append(error.args[0])
    assert failed and failed[0] is not None


# The registry


def test_a_schema_has_one_id_by_which_it_is_found(env: Environment) -> None:
    client, subject = registry(env), f"probe-{uuid4().hex}"
    first = client.register_schema(subject, schema("int", 0))
    assert client.register_schema(subject, schema("int", 0)) == first
    assert client.lookup_schema(subject, schema("int", 0)).schema_id == first
    assert json.loads(str(client.get_schema(first).schema_str))["name"] == "Probe"
    with pytest.raises(SchemaRegistryError):
        client.lookup_schema(subject, schema("string", ""))


def test_the_events_are_registered_and_registering_again_changes_nothing(env: Environment) -> None:
    known = schema_ids(env.schema_registry_url)
    assert known.keys() == event_schemas().keys() and len(set(known.values())) == len(known)
    assert register(env.schema_registry_url) == known


def test_every_event_must_stay_compatible_with_all_its_versions_both_ways(env: Environment) -> None:
    client = registry(env)
    for each in event_schemas().values():
        assert client.get_config(each.subject).compatibility_level == COMPATIBILITY, each.subject


def test_a_version_that_only_the_last_one_could_bear_is_refused(env: Environment) -> None:
    client, subject = registry(env), f"probe-{uuid4().hex}"
    client.register_schema(subject, schema("int", 0))
    client.set_config(subject, ServerConfig(compatibility=COMPATIBILITY))
    client.register_schema(subject, schema(None))
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, schema("string", ""))
    assert refused.value.http_status_code == 409


# PostgreSQL


def one(url: str, statement: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def test_postgres_is_recent_and_set_as_it_must_be(env: Environment) -> None:
    assert int(one(env.admin_database_url, "show server_version_num")) >= LEAST_VERSIONS["postgres"] * 10_000
    wanted = {
        "synchronous_commit": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "max_prepared_transactions": "0",
        "idle_in_transaction_session_timeout": "5min",
        "timezone": "UTC",
        "jit": "off",
        "server_encoding": "UTF8",
    }
    assert {name: one(env.admin_database_url, f"show {name}") for name in wanted} == wanted
    assert int(one(env.admin_database_url, "show max_connections")) >= 200


@pytest.mark.parametrize(
    ("address", "database", "creates"),
    [
        ("command", "command", True),
        ("vault", "vault", True),
        ("read", "read", True),
        ("query", "read", False),
        ("keys", "vault", False),
    ],
)
def test_each_role_enters_its_database_and_no_more(
    env: Environment, address: str, database: str, creates: bool
) -> None:
    url: str = getattr(env, f"{address}_database_url")
    assert one(url, "select current_database()") == database
    assert one(url, "select has_database_privilege(current_database(), 'create')") is creates
    assert (
        one(url, "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = current_user") is False
    )
    assert one(url, "show default_transaction_read_only") == ("off" if creates else "on")
    others = set(databases.OWNERS) - {database}
    assert not [each for each in others if one(url, f"select has_database_privilege('{each}', 'connect')")]


def test_a_role_needs_its_password(env: Environment) -> None:
    wrong = env.command_database_url.replace(env.secrets["command_password"], "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


# Redis


def test_redis_is_recent_has_functions_and_evicts_and_writes_nothing(env: Environment) -> None:
    with redis.Redis.from_url(env.redis_url, decode_responses=True) as client:
        assert int(str(client.info("server")["redis_version"]).partition(".")[0]) >= LEAST_VERSIONS["redis"]
        wanted = {"maxmemory-policy": "noeviction", "save": "", "appendonly": "no"}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        library = f"probe_{uuid4().hex}"
        client.function_load(
            f"#!lua name={library}\nredis.register_function('{library}', function(keys, arguments)"
            " return redis.call('ZADD', keys[1], arguments[1], arguments[2]) end)"
        )
        assert client.fcall(library, 1, library, "1", "member") == 1
        assert client.zscore(library, "member") == 1.0
        client.function_delete(library)
        client.delete(library)


# Stopping and starting


def mark(server: Server, env: Environment) -> Any:
    """Leaves something with a server, and answers how to ask for it."""
    match server:
        case "kafka":
            return append(env, 7, [uuid4().bytes])[0]
        case "registry":
            return registry(env).register_schema(f"kept-{uuid4().hex}", schema("long", 7))
        case "postgres":
            name = f"kept_{uuid4().hex}"
            with psycopg.connect(env.read_database_url, autocommit=True) as connection:
                connection.execute(f"create table {name} as select 7 as n".encode())
            return name
        case "redis":
            with redis.Redis.from_url(env.redis_url) as client:
                client.set("kept", "7")
            return "kept"


def is_kept(server: Server, env: Environment, what: Any) -> bool:
    match server:
        case "kafka":
            return len(records(env, 7, what, 1)) == 1
        case "registry":
            return '"long"' in str(registry(env).get_schema(what).schema_str)
        case "postgres":
            return bool(one(env.read_database_url, f"select n from {what}") == 7)
        case "redis":
            with redis.Redis.from_url(env.redis_url) as client:
                return client.get(what) is not None


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_that_was_stopped_comes_back_where_it_was_with_what_it_must_keep(
    standing: Standing, server: Server
) -> None:
    env, ground = standing.environment, standing.ground
    what = mark(server, env)
    ground.stop_server(server)
    try:
        assert not readiness.ask(server, env).ok
        assert all(readiness.ask(other, env).ok for other in SERVERS if other != server), "the others go on"
    finally:
        ground.start_server(server)
    assert readiness.ask(server, env).ok
    assert is_kept(server, env, what) is (server != "redis")
