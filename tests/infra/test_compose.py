"""Claim: docker-compose.yml brings up what `rookery up` does: the same programs, commands, ports, settings and secrets.

Oracle: infra/local, and the code that reads the environment; preparation and secrets are run for real, without Docker.
Cannot catch: what a Docker engine, or an image that others made, does with it.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.docker.entry import with_passwords
from infra.docker.gateway import configuration
from infra.docker.runtime_lock import normal, runtime_lock
from infra.docker.secrets import SHARES, share
from infra.local import downloads, kafka_server, postgres, programs, redis, registry, topics
from infra.local.installation import Installation, run_directory
from shared.environment import PORT_OFFSETS, REPOSITORY, SECRETS, Environment, load

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if "build" in each}
ONE_SHOT = {"secrets", "prepare", "doctor"}
SERVERS = {"postgres", "redis", "kafka", "registry"}
PINNED = re.compile(r"(?:[a-z-]+/)?[a-z-]+:\d+\.\d+[\w.-]*")


@pytest.fixture
def local(tmp_path: Path) -> Installation:
    return Installation(load({"ROOKERY_VAR": str(tmp_path)}), run_directory(tmp_path))


def dockerfile(service: str) -> str:
    return (REPOSITORY / OURS[service]["build"]["dockerfile"]).read_text()


def test_every_program_is_a_service(local: Installation) -> None:
    ours = {program.name for program in programs.processes(local)}
    assert set(SERVICES) == ours | SERVERS | ONE_SHOT | {"gateway"}


def test_commands_are_those_of_the_local_programs(local: Installation) -> None:
    for program in programs.processes(local, {}):
        # A container has a network of its own, in which its process listens to all.
        wanted = ["python", *(part.replace("127.0.0.1", "0.0.0.0") for part in program.command[1:])]
        assert SERVICES[program.name]["command"] == wanted, program.name


@pytest.mark.parametrize("name", sorted(OURS))
def test_an_image_has_its_command_and_no_root(name: str) -> None:
    text = dockerfile(name)
    assert re.search(r"^USER (?:10001:10001|nginx)$", text, re.MULTILINE)
    assert "--require-hashes" in text
    for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert PINNED.fullmatch(image) or image == "packages", f"{image} is not pinned"
    default = yaml.safe_load(re.findall(r"^CMD (.+)$", text, re.MULTILINE)[-1])
    if name not in ONE_SHOT:
        compared = slice(0, 3) if name.startswith("projector-") else slice(None)
        assert default[compared] == SERVICES[name]["command"][compared]


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_server_is_pinned_and_not_root(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])
    assert SERVICES[name]["user"] not in ("", "root", "0")


def test_the_registry_is_the_same_version() -> None:
    assert SERVICES["registry"]["image"].endswith(f":{downloads.REGISTRY_VERSION}")


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))
def test_what_stays_up_says_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_waited_for_can_become_what_is_waited_for(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert condition == {"condition": wanted}


def test_variables_are_those_that_the_environment_reads() -> None:
    read = set(re.findall(r'"((?:ROOKERY_)?[A-Z_]{4,})"', (REPOSITORY / "shared/environment.py").read_text()))
    for name in OURS.keys() - {"gateway"}:
        assert set(SERVICES[name]["environment"]) <= read, name
    text = (REPOSITORY / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) <= read | {"ROOKERY_GATEWAY_PORT"}


def test_defaults_are_those_of_the_environment() -> None:
    given = {key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for key, value in COMPOSE["x-environment"].items()}
    ours, default = load(given), load({})
    for name in ("allowed_hosts", "debug", "https_only", "topic_prefix", "topic_partitions", "feed_shards"):
        assert getattr(ours, name) == getattr(default, name), name


def test_ports_agree_and_only_the_gateway_is_reached_from_this_machine() -> None:
    ports = {name: str(7400 + offset) for name, offset in PORT_OFFSETS.items()}
    addresses = COMPOSE["x-environment"]
    for name, variable in (("kafka", "KAFKA_BOOTSTRAP_SERVERS"), ("registry", "SCHEMA_REGISTRY_URL"),
                           ("redis", "REDIS_URL"), ("postgres", "DATABASE_URL")):  # fmt: skip
        assert f"{name}:{ports[name]}" in addresses[variable]
        assert ports[name] in str(SERVICES[name]["healthcheck"]["test"])
    for name in ("command", "query", "realtime"):
        assert f"http://127.0.0.1:{ports[name]}/readyz" in SERVICES[name]["healthcheck"]["test"]
        assert f"EXPOSE {ports[name]}" in dockerfile(name)
        assert f"server {name}:{ports[name]} resolve" in configuration()
    monitor = f"http://monitor:{ports['monitor']}"
    assert addresses["ROOKERY_MONITOR_URL"] == monitor and f"EXPOSE {ports['monitor']}" in dockerfile("monitor")
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert published == {"gateway": [f"127.0.0.1:${{ROOKERY_GATEWAY_PORT:-7400}}:{ports['gateway']}"]}


def test_servers_have_the_settings_of_the_local_ones(local: Installation) -> None:
    given = SERVICES["postgres"]["command"]
    for name, value in re.findall(r"^(\w+) = '?([^'\n]+?)'?$", postgres.SETTINGS.format(port=7410), re.MULTILINE):
        if name not in ("listen_addresses", "unix_socket_directories", "log_line_prefix"):
            assert f"{name}={value}" in given
    variables = SERVICES["kafka"]["environment"]
    own = {"node.id", "process.roles", "listeners", "advertised.listeners", "log.dirs"}
    for name, value in re.findall(r"^([\w.]+)=(.+)$", kafka_server.render(local), re.MULTILINE):
        if name not in own and not name.startswith("controller.quorum"):
            assert variables["KAFKA_" + name.upper().replace(".", "_")] == value
    for name, value in registry.variables(local).items():
        if name not in ("QUARKUS_HTTP_HOST", "REGISTRY_DATASOURCE_URL"):
            assert SERVICES["registry"]["environment"][name] == value
    text = redis.render(local)
    for name in ("save", "appendonly", "maxmemory-policy"):
        place = SERVICES["redis"]["command"].index(f"--{name}")
        wanted = SERVICES["redis"]["command"][place + 1]
        assert re.search(rf'^{name} "?{wanted}"?$', text, re.MULTILINE)


def test_volumes_that_are_mounted_are_declared() -> None:
    mounted = {volume.partition(":")[0] for each in SERVICES.values() for volume in each.get("volumes", ())}
    assert mounted == set(COMPOSE["volumes"])


def test_each_container_gets_the_secrets_that_are_its_business(tmp_path: Path) -> None:
    var, shares = tmp_path / "var", tmp_path / "share"
    for folder in (var, *(shares / name for name in (*SHARES, "redis"))):
        folder.mkdir(parents=True)
    here = Installation(load({"ROOKERY_VAR": str(var)}), run_directory(var))
    share(here, shares)
    first = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    share(here, shares)
    assert first == {path: path.read_bytes() for path in first}, "a secret that exists is never replaced"
    assert {path.name for path in (shares / "query").iterdir()} == set(SHARES["query"])
    assert not {"master_key", "vault_password", "access_token_private.pem"} & set(SHARES["query"])
    assert set(SECRETS) <= {name for names in SHARES.values() for name in names}
    (var / "secrets" / "redis_password").write_text("a/b@c")
    found = with_passwords({"ROOKERY_VAR": str(var), "REDIS_URL": "redis://redis:7411/0"})
    assert found["REDIS_URL"] == "redis://:a%2Fb%40c@redis:7411/0"


def test_the_images_lock_is_what_the_system_needs() -> None:
    lock, project = (REPOSITORY / "requirements.lock").read_text(), (REPOSITORY / "pyproject.toml").read_text()
    names = {normal(line) for line in runtime_lock(lock, project).splitlines() if re.match(r"[a-z0-9]", line)}
    assert {normal(each) for each in tomllib.loads(project)["project"]["dependencies"]} <= names
    assert {"sqlparse", "aiohttp", "pycparser"} <= names, "what dependencies need is there too"
    assert not {"mypy", "pytest", "ruff", "hypothesis", "django-stubs"} & names


def test_preparation_does_what_up_does(servers: Environment) -> None:
    # In a process of its own, since it makes one Django's.
    command = [sys.executable, "-m", *SERVICES["prepare"]["command"][2:]]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "topics: all there" in done.stdout
    assert topics.create(servers) == []
