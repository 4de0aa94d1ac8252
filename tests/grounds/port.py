"""What tests need of their servers, whoever runs them: where they are, and that each can be stopped and started."""

import os
from collections.abc import Mapping
from typing import Literal, Protocol, get_args

from infra.local.programs import is_configuration
from shared.environment import Environment, load

Server = Literal["postgres", "redis", "kafka", "registry"]
SERVERS: tuple[Server, ...] = get_args(Server)


class Ground(Protocol):
    """Four servers on loopback, with roles, databases, topics and schemas as `rookery up` makes them.

    They keep their addresses for as long as the ground stands, and over a stop and a start all but Redis keep what they
    were given. tests/contracts says it in full.
    """

    @property
    def variables(self) -> Mapping[str, str]:
        """What leads a process to these servers and to no others; good before they are up, too."""

    def start(self) -> None:
        """Returns when all four answer."""

    def stop(self) -> None:
        """Nothing is left running, and nothing of what the servers kept; may be repeated."""

    def start_server(self, server: Server) -> None:
        """Returns when it answers."""

    def stop_server(self, server: Server) -> None:
        """In good order; returns when it does not answer any more."""


def environment_of(ground: Ground) -> Environment:
    """How a process sees the ground."""
    return load(process_variables(ground))


def process_variables(ground: Ground) -> dict[str, str]:
    """The variables of a process on this ground, which knows of no other installation."""
    others = {name: value for name, value in os.environ.items() if not is_configuration(name)}
    return others | dict(ground.variables)
