"""The servers as docker-compose.yml has them, each in a container of testcontainers; images are named there alone.

Without Compose there are no secrets in volumes and no names of other containers: `plan` puts passwords and loopback in
their place and changes nothing else. A server listens on the same port in its container and on this machine, so that
the address that Kafka tells its clients is good on both sides.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml
from testcontainers.core.container import DockerContainer

from infra.local import readiness
from shared.environment import PORT_OFFSETS, REPOSITORY
from tests.grounds.native import rookery
from tests.grounds.port import SERVERS, Server, environment_of

COMPOSE = REPOSITORY / "docker-compose.yml"
ANSWER_SECONDS_MAX = 120  # the first time, after the images have been pulled
STOP_SECONDS_MAX = 60
POLL_SECONDS = 0.2
LOG_LINES_SHOWN = 40


@dataclass(frozen=True)
class Planned:
    """One server's container. `port` is that of the container and of this machine; `shm` as Docker writes sizes."""

    image: str
    user: str
    port: int
    command: tuple[str, ...]
    environment: Mapping[str, str]
    shm: str | None


def plan(server: Server, compose: Mapping[str, Any], port: int, password: str) -> Planned:
    """The container of a server of docker-compose.yml; `password` is the superuser's, or Redis' own."""
    service = compose["services"][server]
    composed = str(compose_port(compose, server))

    def here(value: object) -> str:
        # Names of containers before a port, then the port itself, in whatever the value says of them.
        return re.sub(rf"\b{server}:(?=\d)", "127.0.0.1:", str(value)).replace(composed, str(port))

    command = [here(part) for part in service.get("command", ())]
    environment = {name: here(value) for name, value in service.get("environment", {}).items()}
    if server == "postgres":
        del environment["POSTGRES_PASSWORD_FILE"]
        environment["POSTGRES_PASSWORD"] = password
    if server == "redis":
        command.remove("/run/rookery/redis.conf")
        command += ["--requirepass", password]
    if server == "registry":
        # Compose mounts a volume that this user may write; without one, /tmp is such a place, and outlives a stop.
        environment["REGISTRY_DATASOURCE_URL"] = environment["REGISTRY_DATASOURCE_URL"].replace(
            "/srv/registry/", "/tmp/"
        )
    return Planned(service["image"], service["user"], port, tuple(command), environment, service.get("shm_size"))


def compose_port(compose: Mapping[str, Any], server: Server) -> int:
    """Where a server listens in Compose's own network: the port base there and the server's offset."""
    return int(compose["x-environment"]["ROOKERY_PORT_BASE"]) + PORT_OFFSETS[server]


class ContainerGround:
    """Containers that testcontainers removes in any case, and in `var` the secrets of the databases' roles."""

    def __init__(self, var: Path, port_base: int) -> None:
        compose = yaml.safe_load(COMPOSE.read_text())
        self._passwords = {server: token_hex(16) for server in SERVERS}
        self.planned = {
            server: plan(server, compose, port_base + PORT_OFFSETS[server], self._passwords[server])
            for server in SERVERS
        }
        self._own = {"ROOKERY_VAR": str(var), "ROOKERY_PORT_BASE": str(port_base)}
        self._containers: dict[Server, DockerContainer] = {}

    @property
    def variables(self) -> Mapping[str, str]:
        at = {server: f"127.0.0.1:{planned.port}" for server, planned in self.planned.items()}
        return {
            **self._own,
            "KAFKA_BOOTSTRAP_SERVERS": at["kafka"],
            "SCHEMA_REGISTRY_URL": f"http://{at['registry']}/apis/ccompat/v7",
            "REDIS_URL": f"redis://:{self._passwords['redis']}@{at['redis']}/0",
            "DATABASE_URL": f"postgresql://postgres:{self._passwords['postgres']}@{at['postgres']}/postgres",
        }

    def start(self) -> None:
        for server, planned in self.planned.items():
            self._containers[server] = _container(planned).start()
        for server in self._containers:
            self._await(server)
        rookery(self, "up", "--servers-only")  # they are given, so that it only prepares them

    def stop(self) -> None:
        if self._containers:
            rookery(self, "down")
        while self._containers:
            self._containers.popitem()[1].stop()

    def start_server(self, server: Server) -> None:
        self._containers[server].get_wrapped_container().start()
        self._await(server)

    def stop_server(self, server: Server) -> None:
        self._containers[server].get_wrapped_container().stop(timeout=STOP_SECONDS_MAX)

    def _await(self, server: Server) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while not (answer := readiness.ask(server, environment_of(self))).ok:
            if time.monotonic() > deadline:
                log = self._containers[server].get_wrapped_container().logs(tail=LOG_LINES_SHOWN)
                raise TimeoutError(f"{server} did not answer ({answer.text}):\n{log.decode(errors='replace')}")
            time.sleep(POLL_SECONDS)


def _container(planned: Planned) -> DockerContainer:
    container = DockerContainer(planned.image, user=planned.user, shm_size=planned.shm)
    container.with_envs(**planned.environment)
    if planned.command:
        container.with_command(list(planned.command))
    # Loopback alone, which with_bind_ports cannot say.
    container.ports[f"{planned.port}/tcp"] = ("127.0.0.1", planned.port)  # type: ignore[assignment]
    return container
