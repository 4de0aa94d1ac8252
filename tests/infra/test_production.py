"""Claim: `rookery doctor --production` passes a configuration fit for the public, and names each fault of another.

Oracle: configurations that are faultless but for one thing; a real Redis with a password, and servers that trust
everybody on loopback. Cannot catch: a fault that nobody thought of.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local import production, tls
from infra.local.installation import Installation, run_directory
from infra.local.programs import find
from shared.environment import REPOSITORY, SECRETS, Environment, load

DEPLOYED = {"ROOKERY_ALLOWED_HOSTS": "rooks.example,127.0.0.1", "ROOKERY_HTTPS_ONLY": "true"}


@pytest.fixture
def fit(tmp_path: Path) -> dict[str, str]:
    """Variables in which there is nothing to find."""
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    (folder / "access_token_private.pem").touch(mode=0o600)
    given = {f"ROOKERY_{name.upper()}": secrets.token_hex(32) for name in SECRETS}
    return {"ROOKERY_VAR": str(tmp_path), **DEPLOYED, **given}


SETTINGS = {
    "debug": production.debug,
    "allowed hosts": production.allowed_hosts,
    "secrets": production.secrets,
    "key files": production.key_files,
    "websocket": production.tickets,
    "connections": production.connections,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_is_found_where_nothing_is_wrong(fit: dict[str, str], name: str) -> None:
    check = SETTINGS[name](load(fit))
    assert check.ok, check.detail
    assert check.remedy is None


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("debug", "ROOKERY_DEBUG", "true"),
        ("allowed hosts", "ROOKERY_ALLOWED_HOSTS", "*"),
        ("allowed hosts", "ROOKERY_ALLOWED_HOSTS", "127.0.0.1,localhost"),
        ("secrets", "ROOKERY_MASTER_KEY", "ab" * 16),
        ("secrets", "ROOKERY_MASTER_KEY", "00" * 32),
        ("secrets", "ROOKERY_TOKEN_SECRET", "not hexadecimal, though as long as sixty-four characters would be"),
        ("secrets", "ROOKERY_DJANGO_SECRET", "short"),
        ("secrets", "ROOKERY_QUERY_PASSWORD", "postgres"),
        ("secrets", "ROOKERY_KEYS_PASSWORD", ""),
        ("websocket", "ROOKERY_WEBSOCKET_QUERY_TOKEN", "true"),
        ("connections", "REDIS_URL", "redis://:secret@8.8.8.8:6379/0"),
        ("connections", "DATABASE_URL", "postgresql://postgres:secret@8.8.8.8/postgres"),
        ("connections", "KAFKA_BOOTSTRAP_SERVERS", "8.8.8.8:9092"),
        ("connections", "SCHEMA_REGISTRY_URL", "http://8.8.8.8:8081"),
    ],
)
def test_each_fault_is_found(fit: dict[str, str], name: str, variable: str, value: str) -> None:
    check = SETTINGS[name](load(fit | {variable: value}))
    assert not check.ok
    assert check.remedy


def test_two_equal_secrets_are_found(fit: dict[str, str]) -> None:
    assert not production.secrets(load(fit | {"ROOKERY_KEYS_PASSWORD": fit["ROOKERY_QUERY_PASSWORD"]})).ok


def test_a_secret_that_others_can_read_is_found(fit: dict[str, str]) -> None:
    path = Path(fit["ROOKERY_VAR"]) / "secrets" / "master_key"
    path.touch(mode=0o644)
    path.chmod(0o644)
    assert "master_key can be read by others" in production.key_files(load(fit)).detail


def test_https_is_demanded_with_a_certificate_that_lasts(fit: dict[str, str]) -> None:
    here = Installation(load(fit), run_directory(Path(fit["ROOKERY_VAR"])))
    assert production.https(here).ok
    tls.make(here, days=3)
    assert "certificate ends" in production.https(here).detail
    tls.make(here)
    assert production.https(here).ok
    open_ = Installation(load(fit | {"ROOKERY_HTTPS_ONLY": ""}), here.run_directory)
    assert not production.https(open_).ok


@pytest.mark.parametrize("module", production.DJANGO)
def test_djangos_own_check_for_deployment_finds_nothing(fit: dict[str, str], module: str) -> None:
    command = [sys.executable, "-m", module, "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | fit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis that asks for a password."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [find("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--requirepass", "of-its-own"]
    process = subprocess.Popen([*command, "--save", "", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://:of-its-own@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def test_a_redis_with_a_password_is_well(fit: dict[str, str], guarded_redis: str) -> None:
    check = production.redis_server(load(fit | {"REDIS_URL": guarded_redis}))
    assert check.ok, check.detail


def test_servers_on_loopback_are_not_fit_for_the_public(servers: Environment) -> None:
    assert production.database_roles(servers).ok
    assert production.database_durability(servers).ok
    assert "the administrator gets in with any password" in production.database_passwords(servers).detail
    assert "answers without a password" in production.redis_server(servers).detail
    assert "1 of 3 replicas" in production.replication(servers).detail


def test_a_server_that_does_not_answer_is_not_well(servers: Environment) -> None:
    away = replace(servers, redis_url="redis://127.0.0.1:1/0")
    check = production._asked("redis", production.redis_server, away)
    assert not check.ok
    assert check.detail.startswith("not answered")


ASKED = """
import django
django.setup()
from django.test import Client
client = Client()
for path, headers in (("/api/v1/nothing", {}), ("/api/v1/nothing", {"X-Forwarded-Proto": "https"}), ("/healthz", {})):
    answer = client.get(path, headers={"Host": "rooks.example", **headers})
    print(answer.status_code, answer.headers.get("Location", "-"), "Strict-Transport-Security" in answer.headers)
"""


@pytest.mark.parametrize("settings", ["command_api.settings.base", "query_api.settings"])
def test_https_only_redirects_clients_and_leaves_health_alone(fit: dict[str, str], settings: str) -> None:
    variables = os.environ | fit | {"DJANGO_SETTINGS_MODULE": settings}
    command = [sys.executable, "-c", ASKED]
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "301 https://rooks.example/api/v1/nothing False",
        "404 - True",
        "200 - False",
    ]
