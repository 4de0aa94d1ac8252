"""What every tier of tests may ask for: the servers, a database of its own, keys, and hypothesis settings.

A test that asks for no fixture of this file runs without any server. `servers` uses those that are up and starts them
through `rookery up` when they are not; it never stops them. Nothing here touches the data of a running system:
databases are made for the test and dropped after it.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from shared.crypto import KeyRing, new_data_key, wrap
from shared.environment import REPOSITORY, Environment, environment

settings.register_profile(
    "suite", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("thorough", settings.get_profile("suite"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


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
def servers() -> Environment:
    """The environment, with its servers up."""
    if not all(map(is_listening, addresses(environment()).values())):
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
