"""Knows what must be on the machine and which Debian package brings it; installs it where this is root.

A package's servers are not started by its installation: for that time a policy-rc.d says no, as Debian provides for.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import downloads, java, postgres, programs
from infra.local.failures import LocalError, MissingError
from shared.environment import Environment

POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Requirement:
    """Something an installation needs. `find` answers a description of what it found and raises MissingError."""

    name: str
    debian_packages: tuple[str, ...]
    find: Callable[[], str]


def requirements(environment: Environment) -> list[Requirement]:
    """What is needed here: not what a server given by an address would need."""
    needed = [Requirement("nginx", ("nginx",), _program("nginx"))]
    if environment.own_postgres:
        needed.append(Requirement("postgresql", ("postgresql",), _find_postgres))
    if environment.own_redis:
        needed.append(Requirement("redis", ("redis-server",), _program("redis-server")))
    if environment.own_kafka or environment.own_registry:
        needed.append(Requirement("java", ("default-jre-headless",), _find_java))
        if not _downloaded(environment):
            needed.append(Requirement("maven", ("maven",), _program("mvn")))
    return needed


def missing(environment: Environment) -> list[Requirement]:
    return [requirement for requirement in requirements(environment) if not found(requirement)]


def found(requirement: Requirement) -> str | None:
    try:
        return requirement.find()
    except MissingError:
        return None


def install_command(requirements: Sequence[Requirement]) -> str:
    """What a person types to install them on Debian."""
    packages = sorted({package for requirement in requirements for package in requirement.debian_packages})
    prefix = "" if os.geteuid() == 0 else "sudo "
    return f"{prefix}apt-get update && {prefix}apt-get install --yes --no-install-recommends {' '.join(packages)}"


def browser() -> Requirement:
    """What looks at pages in tests; no installation needs it."""
    return Requirement("chromium", ("chromium",), _program("chromium"))


def install_missing(environment: Environment, say: Callable[[str], None]) -> None:
    """Installs what an installation lacks, where that is possible; raises as `install` does."""
    install(requirements(environment), say)


def install(needed: Sequence[Requirement], say: Callable[[str], None]) -> None:
    """Installs those of them that are missing, where that is possible.

    Raises MissingError naming each missing thing and the command that installs it; LocalError when apt-get fails.
    """
    lacking = [requirement for requirement in needed if not found(requirement)]
    if not lacking:
        return
    names = ", ".join(requirement.name for requirement in lacking)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise MissingError(f"not installed: {names}. Install with:\n  {install_command(lacking)}")
    say(f"installing {names} from Debian's packages")
    packages = sorted({package for requirement in lacking for package in requirement.debian_packages})
    with _no_services():
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *packages)
    if still := [requirement for requirement in lacking if not found(requirement)]:
        raise MissingError(f"installed, but not found: {', '.join(requirement.name for requirement in still)}")


def _apt(*arguments: str) -> None:
    variables = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-q", *arguments]
    done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian asks /usr/sbin/policy-rc.d before it starts a service; 101 forbids. One that exists already is left."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _program(name: str) -> Callable[[], str]:
    return lambda: programs.find(name)


def _find_postgres() -> str:
    return str(postgres.binaries())


def _find_java() -> str:
    path, version = java.find()
    return f"{path} (version {version})"


def _downloaded(environment: Environment) -> bool:
    kafka = not environment.own_kafka or downloads.kafka_directory().exists()
    return kafka and (not environment.own_registry or downloads.registry_directory().exists())
