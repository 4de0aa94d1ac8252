"""One database, one Redis database and one pair of processes for all of these tests; each makes its own people."""

import dataclasses
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
import redis

from projectors.catalogue import PROJECTIONS
from projectors.runtime.prepare import prepare
from shared.environment import Environment
from tests.query_api.serving import Serving, start
from tests.query_api.warm import Shards
from tests.query_api.world import World

REDIS_DATABASE = 13  # of the sixteen that a Redis has; the system uses the first


def _in_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def read_tables(servers: Environment) -> Iterator[Environment]:
    """An environment whose read database and Redis database are this run's own, prepared and empty."""
    import asyncio

    name = f"read_query_test_{uuid4().hex[:12]}"
    redis_url = _in_database(servers.redis_url, str(REDIS_DATABASE))
    admin_url = servers.admin_database_url
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
    own = dataclasses.replace(
        servers,
        read_database_url=_in_database(admin_url, name),
        query_database_url=_in_database(servers.query_database_url, name),
        redis_url=redis_url,
    )
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        asyncio.run(prepare(own, PROJECTIONS))
        yield own
        client.flushdb()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture(scope="session")
def serving(read_tables: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    running = start(read_tables.query_database_url, read_tables.redis_url, tmp_path_factory.mktemp("var"))
    with running.stack:
        yield running


@pytest.fixture(scope="session")
def connection(read_tables: Environment) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(read_tables.read_database_url, autocommit=True) as open_connection:
        yield open_connection


@pytest.fixture(scope="session")
def world(connection: psycopg.Connection[Any]) -> World:
    return World(connection)


@pytest.fixture
def shards(serving: Serving, world: World) -> Iterator[Shards]:
    """Redis in use by a feed projector, every feed cold; afterwards as after a flush: PostgreSQL answers alone."""
    made = Shards(serving.redis, world)
    made.begin()
    yield made
    made.flush()
