"""Claim: whatever the ports, paths and addresses given, the configurations name them, and nothing but loopback.

Oracle: supervisord's own parser, and the text itself. Cannot catch: a server that understands its file otherwise; the
integration tests ask the running ones.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.gateway import render as gateway
from infra.local import kafka_server, postgres, programs, redis, supervision
from infra.local.failures import LocalError
from infra.local.installation import SOCKET_PATH_BYTES_MAX, Installation, run_directory
from infra.local.java import parse_version
from infra.local.programs import Program, process_variables
from shared.environment import PORT_OFFSETS, load


def installation(var: Path, variables: Mapping[str, str] | None = None) -> Installation:
    environment = load({"ROOKERY_VAR": str(var), "ROOKERY_PORT_BASE": "9100", **(variables or {})})
    return Installation(environment, run_directory(var))


def parsed(text: str, folder: Path) -> list[object]:
    """The programs as supervisord itself reads them."""
    from supervisor.options import ServerOptions

    for name in ("log", "run"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / "supervisord.conf"
    path.write_text(text)
    options = ServerOptions()
    options.realize(["-c", str(path)], doc="")
    return [group.process_configs[0] for group in options.process_group_configs]


def test_every_port_is_its_own() -> None:
    assert len(set(PORT_OFFSETS.values())) == len(PORT_OFFSETS)
    assert max(PORT_OFFSETS.values()) < 100, "the test installation lies 100 ports above the default one"


def test_one_port_can_be_moved_alone(tmp_path: Path) -> None:
    ports = installation(tmp_path, {"ROOKERY_KAFKA_PORT": "19092"}).environment.ports
    assert ports["kafka"] == 19092
    assert ports["redis"] == 9111


def test_supervisord_reads_back_commands_and_variables_as_they_were(tmp_path: Path) -> None:
    command = ["/bin/echo", "two words", "100%", "it's", "a/*", "semi;colon"]
    variables = {"PERCENT": "50%", "QUOTED": 'say "yes" twice', "URL": "jdbc:h2:file:/a,b;WRITE_DELAY=0", "EMPTY": ""}
    here = installation(tmp_path / "var")
    (config,) = parsed(supervision.render(here, [Program("one", command, variables)]), tmp_path / "var")
    assert shlex.split(config.command) == command  # type: ignore[attr-defined]
    assert config.environment == variables  # type: ignore[attr-defined]
    assert config.autostart is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["\"'", "ends in a quote'", "two\nlines"])
def test_what_supervisord_cannot_pass_on_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(LocalError, match="GIVEN"):
        supervision.render(installation(tmp_path), [Program("one", ["true"], {"GIVEN": value})])


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    assert run_directory(Path("/srv/var")) == Path("/srv/var/run")
    long = Path("/srv") / ("x" * 120) / "var"
    short = run_directory(long, {"XDG_RUNTIME_DIR": "/run/user/1000"})
    assert short.parent == Path("/run/user/1000")
    assert len(str(short / "supervisor.sock")) <= SOCKET_PATH_BYTES_MAX
    assert short == run_directory(long, {"XDG_RUNTIME_DIR": "/run/user/1000"})
    assert short != run_directory(long.parent, {"XDG_RUNTIME_DIR": "/run/user/1000"})


def test_processes_get_the_configuration_and_nothing_else(tmp_path: Path) -> None:
    given = {"HOME": "/root", "KAFKA_BOOTSTRAP_SERVERS": "broker:9092", "ROOKERY_DEBUG": "1", "AWS_SECRET": "x"}
    variables = process_variables(installation(tmp_path, given), given)
    assert variables["KAFKA_BOOTSTRAP_SERVERS"] == "broker:9092"
    assert variables["ROOKERY_DEBUG"] == "1"
    assert variables["ROOKERY_VAR"] == str(tmp_path)
    assert not {"HOME", "AWS_SECRET"} & set(variables)


def test_every_projection_of_the_catalogue_has_its_process() -> None:
    from projectors.catalogue import PROJECTIONS

    assert sorted(programs.PROJECTIONS) == sorted(projection.name for projection in PROJECTIONS)


@pytest.mark.parametrize(
    ("variable", "flag"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "own_kafka"),
        ("SCHEMA_REGISTRY_URL", "own_registry"),
        ("REDIS_URL", "own_redis"),
        ("DATABASE_URL", "own_postgres"),
    ],
)
def test_a_given_address_means_a_server_that_is_not_ours(tmp_path: Path, variable: str, flag: str) -> None:
    assert getattr(installation(tmp_path).environment, flag)
    assert not getattr(installation(tmp_path, {variable: "postgresql://elsewhere:1/"}).environment, flag)


def test_every_server_listens_on_loopback_alone(tmp_path: Path) -> None:
    here = installation(tmp_path)
    nginx = gateway.render(here)
    assert re.findall(r"listen ([^;]+);", nginx) == ["127.0.0.1:9100", "127.0.0.1:9104"]
    assert "bind 127.0.0.1\n" in redis.render(here)
    assert "listen_addresses = '127.0.0.1'" in postgres.SETTINGS
    listeners = re.search(r"^listeners=(.+)$", kafka_server.render(here), re.MULTILINE)
    assert listeners
    assert all("://127.0.0.1:" in listener for listener in listeners[1].split(","))


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    here = installation(tmp_path / 'two words, its "own"')
    assert f'dir "{tmp_path}/two words, its \\"own\\"/redis"\n' in redis.render(here)


def test_the_gateway_sends_each_path_where_the_contract_says(tmp_path: Path) -> None:
    text = gateway.render(installation(tmp_path))
    assert "$$" not in text
    assert not re.search(r"\$\{", text)
    locations = dict(re.findall(r"location (?:= )?(/\S*) \{[^}]*proxy_pass http://(\$?\w+)", text))
    assert {path: target for path, target in locations.items() if not path.startswith("/ask/")} == {
        "/api/v1/": "$api",
        "/api/v1/command/": "command",
        "/admin/": "command",
        "/.well-known/": "command",
        "/graphql/commands": "command",
        "/graphql": "query",
        "/graphql/": "query",
        "/api/v1/query/": "query",
        "/api/docs/": "query",
        "/ws/": "realtime",
        "/subscriptions/": "realtime",
        "/api/v1/notifications/stream/": "realtime",
        "/healthz": "127",
        "/command": "127",
        "/query": "127",
        "/realtime": "127",
    }


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_412"', 8),
        ("not Java", None),
    ],
)
def test_java_says_its_version_in_several_ways(printed: str, version: int | None) -> None:
    assert parse_version(printed) == version
