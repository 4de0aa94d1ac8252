"""What every tier of tests may ask for: the servers, a database of its own, keys, and hypothesis settings.

A test that asks for no fixture of this file runs without any server. `servers` uses those that are up. When they are
not, it starts them: in containers, which it also stops, or through `rookery up`, which it leaves running (see
tests/grounds). Nothing here touches the data of a running system: databases are made for the test and dropped after it.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from shared.crypto import KeyRing, new_data_key, wrap
from shared.environment import REPOSITORY, Environment, environment

if TYPE_CHECKING:
    from tests.runtime.engine import Engine
    from tests.runtime.workers import Workers

settings.register_profile(
    "suite", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("few", settings.get_profile("suite"), max_examples=15)
settings.register_profile("thorough", settings.get_profile("suite"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


# A suite that a shell runs in the background is told to ignore Ctrl-C, and so would be every command it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-servers", action="store_true", help="Leave out what needs Kafka, PostgreSQL or Redis.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--without-servers"):
        needing = [item for item in items if "servers" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]


def is_listening(address: str) -> bool:
    """Whether something accepts connections at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def addresses(settings_: Environment) -> dict[str, str]:
    """host:port of each server by name."""
    return {
        "Kafka": settings_.kafka_bootstrap_servers.partition(",")[0],
        "schema registry": urlsplit(settings_.schema_registry_url).netloc,
        "PostgreSQL": urlsplit(settings_.admin_database_url).netloc.rpartition("@")[2],
        "Redis": urlsplit(settings_.redis_url).netloc.rpartition("@")[2],
    }


@pytest.fixture(scope="session")
def servers() -> Iterator[Environment]:
    """The environment, with its servers up and our own processes on them."""
    if all(map(is_listening, addresses(environment()).values())):
        yield environment()
    elif on_containers():
        yield from in_containers()
    else:
        yield brought_up()


def on_containers() -> bool:
    # Imported late: most tests need none of it.
    from tests.grounds.choice import choose

    return choose(os.environ).name == "containers"


def in_containers() -> Iterator[Environment]:
    """This process, and all that it starts, sees the containers' addresses until the tests are over."""
    from tests.grounds.containers import ContainerGround

    ground = ContainerGround(environment().var, environment().ports["gateway"])
    with pytest.MonkeyPatch.context() as patch:
        try:
            ground.start()
            for name, value in ground.variables.items():
                patch.setenv(name, value)
            yield brought_up()
        finally:
            ground.stop()
            environment.cache_clear()


def brought_up() -> Environment:
    subprocess.run([sys.executable, "-m", "infra.cli.main", "up"], cwd=REPOSITORY, check=True)
    environment.cache_clear()  # its secrets may have been made just now
    away = [name for name, address in addresses(environment()).items() if not is_listening(address)]
    if away:
        pytest.fail(f"not reachable: {', '.join(away)}. Run `rookery doctor`, then `rookery up`.")
    return environment()


@pytest.fixture(scope="module")
def scratch_database(servers: Environment) -> Iterator[str]:
    """The URL of an empty database, dropped after the module."""
    name = f"scratch_{uuid4().hex}"
    with psycopg.connect(servers.admin_database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield urlunsplit(urlsplit(servers.admin_database_url)._replace(path=f"/{name}"))
    with psycopg.connect(servers.admin_database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


class Vault:
    """Subjects' keys in memory; `destroyed` ones are gone for good, others have one from their first use on."""

    def __init__(self) -> None:
        self.master_key = new_data_key()
        self.destroyed: set[UUID] = set()
        self._wrapped: dict[UUID, bytes] = {}
        self.ring = KeyRing(self.master_key, self.fetch)

    def fetch(self, subjects: list[UUID]) -> dict[UUID, bytes]:
        for subject in subjects:
            self._wrapped.setdefault(subject, wrap(self.master_key, subject, new_data_key()))
        return {subject: self._wrapped[subject] for subject in subjects if subject not in self.destroyed}

    def destroy(self, subject: UUID) -> None:
        self.destroyed.add(subject)
        self.ring.forget(subject)


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def workers(engine: "Engine", tmp_path: Path) -> "Iterator[Workers]":
    """Worker processes on the engine that the test's module makes, gone in the end."""
    from tests.runtime.workers import workers_of

    with workers_of(engine, tmp_path) as made:
        yield made
