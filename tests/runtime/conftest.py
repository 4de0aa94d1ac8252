"""The tables of the counters projection in a database of this run's own, empty for each test."""

import os
from collections.abc import Iterator

import pytest

from projectors.counters.fold import PROJECTION
from shared.environment import Environment
from tests.runtime.engine import Engine, read_database


@pytest.fixture(scope="session")
def counters_database(servers: Environment) -> Iterator[Engine]:
    with read_database(f"read_engine_test_{os.getpid()}", PROJECTION) as engine:
        yield engine


@pytest.fixture
def counters(counters_database: Engine) -> Engine:
    tables = counters_database.rows("select tablename from pg_tables where schemaname = 'counters'")
    counters_database.execute("truncate " + ", ".join(f"counters.{name}" for (name,) in tables))
    return counters_database
