"""Which ground tests stand on: containers where a Docker engine of this machine answers, else native servers.

ROOKERY_TEST_GROUND=native|containers decides instead. `python -m tests.grounds.choice` prints the choice, and on
standard error why.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import docker
from docker.errors import DockerException

VARIABLE = "ROOKERY_TEST_GROUND"
ENGINE_SECONDS_MAX = 3
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Name = Literal["native", "containers"]


class Choice(NamedTuple):
    """The ground's name, and the reason in words."""

    name: Name
    because: str


def without_engine(environ: Mapping[str, str]) -> str | None:
    """Why there are no containers here; None where a Docker engine of this machine answers. Says no within seconds."""
    host = environ.get("DOCKER_HOST", "")
    if host and urlsplit(host).scheme not in ("unix", "npipe") and urlsplit(host).hostname not in LOOPBACK:
        return f"the Docker engine of DOCKER_HOST ({host}) is on another machine"
    try:
        client = docker.from_env(timeout=ENGINE_SECONDS_MAX, environment=dict(environ))
    except (DockerException, ValueError) as error:
        return f"no Docker engine answers: {_first_line(error)}"
    try:
        client.ping()
    except (DockerException, OSError) as error:
        return f"no Docker engine answers: {_first_line(error)}"
    finally:
        client.close()
    return None


def choose(environ: Mapping[str, str], reason: Callable[[Mapping[str, str]], str | None] = without_engine) -> Choice:
    """Raises ValueError for a ground that is none, and for containers that were asked for where there is no engine."""
    asked = environ.get(VARIABLE, "")
    if asked == "native":
        return Choice("native", f"{VARIABLE} says so")
    if asked not in ("", "containers"):
        raise ValueError(f"{VARIABLE} must be native or containers, not {asked!r}")
    none = reason(environ)
    if none is None:
        return Choice("containers", f"{VARIABLE} says so" if asked else "a Docker engine answers")
    if asked:
        raise ValueError(f"{VARIABLE} is containers, but {none}")
    return Choice("native", none)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


if __name__ == "__main__":
    try:
        chosen = choose(os.environ)
    except ValueError as problem:
        sys.exit(f"test: {problem}")
    print(f"test: on {chosen.name} servers: {chosen.because}", file=sys.stderr)
    print(chosen.name)
