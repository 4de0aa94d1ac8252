"""The command side in this process, on the real servers, with databases and topics of its own that go with it.

The environment is changed only while this package's tests run: other tests see the one they expect.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from shared.environment import Environment, environment

PARTITIONS = 3


def _in_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _make_databases(env: Environment, command: str, vault: str) -> None:
    owners = {command: env.command_database_url, vault: env.vault_database_url}
    with psycopg.connect(env.admin_database_url, autocommit=True) as admin:
        for name, url in owners.items():
            owner = sql.Identifier(str(urlsplit(url).username))
            admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), owner))
    with psycopg.connect(_in_database(env.admin_database_url, vault), autocommit=True) as admin:
        admin.execute("grant usage on schema public to rookery_keys")
        admin.execute(sql.SQL("grant connect on database {} to rookery_keys").format(sql.Identifier(vault)))


def _drop_databases(env: Environment, *names: str) -> None:
    with psycopg.connect(env.admin_database_url, autocommit=True) as admin:
        for name in names:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="package", autouse=True)
def command_side(servers: Environment) -> Iterator[Environment]:
    """Databases, topics and schemas for these tests, and Django set up on them."""
    run = uuid4().hex[:12]
    command, vault = f"command_test_{run}", f"vault_test_{run}"
    _make_databases(servers, command, vault)
    own = {
        "ROOKERY_TOPIC_PREFIX": f"test-{run}.",
        "ROOKERY_TOPIC_PARTITIONS": str(PARTITIONS),
        "ROOKERY_ACK_WAIT_SECONDS": "5",
        "COMMAND_DATABASE_URL": _in_database(servers.command_database_url, command),
        "VAULT_DATABASE_URL": _in_database(servers.vault_database_url, vault),
        "KEYS_DATABASE_URL": _in_database(servers.keys_database_url, vault),
        "DJANGO_SETTINGS_MODULE": "command_api.settings.base",
    }
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    environment.cache_clear()
    try:
        yield from _prepared(environment())
    finally:
        _restore(before)
        environment.cache_clear()
        _drop_databases(servers, command, vault)


def _prepared(env: Environment) -> Iterator[Environment]:
    import django
    from confluent_kafka.admin import AdminClient
    from django.core.management import call_command
    from django.db import connections

    from infra.local import topics
    from schemas.registration import register

    made = topics.create(env)
    register(env.schema_registry_url)
    django.setup()
    call_command("migrate", database="default", verbosity=0)
    call_command("migrate", database="vault", verbosity=0)
    yield env
    connections.close_all()
    client = AdminClient({"bootstrap.servers": env.kafka_bootstrap_servers})
    for deleted in client.delete_topics(made).values():
        deleted.result()


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def guards(command_side: Environment) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the command database beside the one that is tested."""
    with psycopg.connect(command_side.command_database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def repository() -> Path:
    return Path(__file__).resolve().parents[2]
