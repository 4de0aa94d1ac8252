"""Claim: the tests' containers are those of docker-compose.yml, and who has no Docker engine is told so, and soon.

Oracle: the file itself, which tests/infra compares with the native servers' settings. Cannot catch: what an engine and
the images make of it; tests/contracts/test_servers.py does where there is an engine.
"""

import copy
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.environment import PORT_OFFSETS, REPOSITORY, load
from tests.grounds.choice import ENGINE_SECONDS_MAX, VARIABLE, choose, without_engine
from tests.grounds.containers import COMPOSE, ContainerGround, compose_port, plan
from tests.grounds.native import NativeGround
from tests.grounds.port import SERVERS, Ground, Server, environment_of, process_variables

COMPOSED: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
PORT = 45_678


@pytest.mark.parametrize("server", SERVERS)
def test_image_user_and_memory_come_from_the_file(server: Server) -> None:
    other = copy.deepcopy(COMPOSED)
    other["services"][server] |= {"image": f"another/{server}:9.9.9", "user": "somebody", "shm_size": "7mb"}
    planned = plan(server, other, PORT, "secret")
    assert (planned.image, planned.user, planned.shm) == (f"another/{server}:9.9.9", "somebody", "7mb")
    images = {COMPOSED["services"][each]["image"] for each in SERVERS}
    sources = [path.read_text() for path in (REPOSITORY / "tests" / "grounds").glob("*.py")]
    assert not [image for image in images for text in sources if image in text], "an image is named in one place"


@pytest.mark.parametrize("server", SERVERS)
def test_every_setting_of_the_file_is_kept_but_its_port_and_what_compose_alone_can_give(server: Server) -> None:
    service, planned = COMPOSED["services"][server], plan(server, COMPOSED, PORT, "secret")
    replaced = {
        "postgres": {"POSTGRES_PASSWORD_FILE", "POSTGRES_PASSWORD"},
        "registry": {"REGISTRY_DATASOURCE_URL"},
    }.get(server, set())
    own = str(compose_port(COMPOSED, server))
    for name, value in service.get("environment", {}).items():
        if name not in replaced:
            wanted = str(value).replace("@kafka:", "@127.0.0.1:").replace("//kafka:", "//127.0.0.1:")
            assert planned.environment[name] == wanted.replace(own, str(PORT))
    assert planned.environment.keys() - service.get("environment", {}).keys() <= replaced
    kept = [str(part).replace(own, str(PORT)) for part in service.get("command", ())]
    if server == "redis":
        kept = [*(part for part in kept if not part.startswith("/run/")), "--requirepass", "secret"]
    assert list(planned.command) == kept


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_listens_where_it_is_reached_and_needs_nothing_of_composes_network(server: Server) -> None:
    planned = plan(server, COMPOSED, PORT, "secret")
    said = " ".join([*planned.command, *planned.environment.values()])
    assert str(PORT) in said and str(compose_port(COMPOSED, server)) not in said
    assert "/run/" not in said and "/srv/" not in said, "no volume of Compose is there"
    assert "$" not in said, "nothing is left to be filled in"
    assert f"{server}:" not in said
    if server in ("postgres", "redis"):
        assert "secret" in said


def test_kafka_tells_its_clients_the_address_they_have_and_is_its_own_controller() -> None:
    variables = plan("kafka", COMPOSED, PORT, "").environment
    assert variables["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://127.0.0.1:{PORT}"
    controller = variables["KAFKA_CONTROLLER_QUORUM_VOTERS"].rpartition(":")[2]
    assert variables["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"1@127.0.0.1:{controller}"
    assert variables["KAFKA_LISTENERS"] == f"PLAINTEXT://:{PORT},CONTROLLER://:{controller}"


@pytest.mark.parametrize("kind", [NativeGround, ContainerGround])
def test_a_process_on_a_ground_sees_it_and_no_other_installation(
    kind: type[NativeGround] | type[ContainerGround], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOKERY_TOPIC_PREFIX", "somebody-elses.")
    monkeypatch.setenv("READ_DATABASE_URL", "postgresql://somebody@else/read")
    ground: Ground = kind(tmp_path, 45_000)
    seen = environment_of(ground)
    assert (seen.topic_prefix, seen.var) == (load({}).topic_prefix, tmp_path)
    assert {seen.own_kafka, seen.own_registry, seen.own_redis, seen.own_postgres} == {kind is NativeGround}
    for server, address in (
        ("kafka", seen.kafka_bootstrap_servers),
        ("registry", seen.schema_registry_url),
        ("redis", seen.redis_url),
        ("postgres", seen.admin_database_url),
        ("postgres", seen.read_database_url),
    ):
        assert f"127.0.0.1:{45_000 + PORT_OFFSETS[server]}" in address
    assert "PATH" in process_variables(ground)


def test_two_container_grounds_share_no_password(tmp_path: Path) -> None:
    one, other = (ContainerGround(tmp_path, 45_000).variables for _ in range(2))
    assert one["DATABASE_URL"] != other["DATABASE_URL"] and one["REDIS_URL"] != other["REDIS_URL"]
    assert one["KAFKA_BOOTSTRAP_SERVERS"] == other["KAFKA_BOOTSTRAP_SERVERS"]


# Which ground


def test_containers_where_an_engine_answers_else_native_unless_one_is_asked_for() -> None:
    assert choose({}, lambda _: None).name == "containers"
    assert choose({}, lambda _: "no engine") == ("native", "no engine")
    assert choose({VARIABLE: "native"}, lambda _: None).name == "native"
    assert choose({VARIABLE: "containers"}, lambda _: None).name == "containers"


def test_what_was_asked_for_and_cannot_be_is_an_error() -> None:
    with pytest.raises(ValueError, match="no engine"):
        choose({VARIABLE: "containers"}, lambda _: "no engine")
    with pytest.raises(ValueError, match="native or containers, not 'docker'"):
        choose({VARIABLE: "docker"}, lambda _: None)


def test_an_engine_that_is_not_there_says_no_in_words(tmp_path: Path) -> None:
    for host in (f"unix://{tmp_path}/no.sock", "tcp://127.0.0.1:1"):
        reason = without_engine({"DOCKER_HOST": host})
        assert reason is not None and reason.startswith("no Docker engine answers: ")
    assert "another machine" in (without_engine({"DOCKER_HOST": "tcp://engine.example:2375"}) or "")


def test_an_engine_that_hangs_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        reason = without_engine({"DOCKER_HOST": address})
        taken = time.monotonic() - begun
    assert reason is not None and "no Docker engine answers" in reason
    # The limit is what is tested; ten times it is room for a machine that is busy.
    assert taken < 10 * ENGINE_SECONDS_MAX


def test_an_engine_that_answers_is_believed() -> None:
    """Only the two questions of the check are answered: the rest of an engine is not played."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        thread = threading.Thread(target=_answer, args=(listening,), daemon=True)
        thread.start()
        assert without_engine({"DOCKER_HOST": f"tcp://127.0.0.1:{listening.getsockname()[1]}"}) is None
        thread.join(30)


def _answer(listening: socket.socket) -> None:
    for _ in range(2):
        connection, _ = listening.accept()
        with connection:
            asked = connection.recv(65_536)
            body = b'{"ApiVersion": "1.47"}' if b"/version" in asked else b"OK"
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_the_command_says_the_choice_and_why() -> None:
    command = [sys.executable, "-m", "tests.grounds.choice"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=process_variables_with("native"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "native\n") and f"{VARIABLE} says so" in done.stderr
    done = subprocess.run(
        command, cwd=REPOSITORY, env=process_variables_with("elsewhere"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == "" and "native or containers" in done.stderr


def process_variables_with(ground: str) -> dict[str, str]:
    return process_variables(NativeGround(REPOSITORY / "var", 45_000)) | {VARIABLE: ground}
