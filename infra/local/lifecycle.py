"""Brings an installation up in the order that its parts need each other, and down in the reverse; both may be repeated.

servers      postgres, redis, kafka, registry: started at once, each waited for until it really answers
preparation  databases and roles, migrations, topics, schemas, projections: each begins when what it needs answers
programs     gateway, command, relay, projectors, purger, monitor, sender, query, realtime
"""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from infra.gateway import render as gateway
from infra.local import (
    databases,
    kafka_server,
    orphans,
    packages,
    postgres,
    programs,
    readiness,
    redis,
    registry,
    secrets,
    topics,
)
from infra.local.failures import LocalError, NotReadyError, StepError
from infra.local.installation import Installation, exclusive
from infra.local.programs import Program
from infra.local.supervision import RUNNING, Supervisor, code_digest
from schemas import registration
from shared.environment import REPOSITORY

SERVER_SECONDS_MAX = 90
PROGRAM_SECONDS_MAX = 120

GIVEN_BY = {
    "postgres": "DATABASE_URL",
    "redis": "REDIS_URL",
    "kafka": "KAFKA_BOOTSTRAP_SERVERS",
    "registry": "SCHEMA_REGISTRY_URL",
}

# Everything that servers, processes and the demo write in `var`.
MADE = (
    *("demo.json", "faust", "kafka", "log", "nginx", "postgres", "redis", "registry", "run", "secrets"),
    "supervisord.conf",
)

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Parts:
    """Which parts of an installation `up` is about."""

    servers: bool = True
    programs: bool = True


EVERYTHING = Parts()


def up(installation: Installation, say: Say, parts: Parts = EVERYTHING) -> None:
    """Installs what is missing, starts everything and returns when all of it answers.

    Raises LocalError with the reason and, where a process is to blame, the end of its log.
    """
    with exclusive(installation):
        packages.install_missing(installation.environment, say)
        if made := secrets.generate(installation):
            say(f"made secrets: {', '.join(made)}")
        installation = installation.reread()
        _prepare_servers(installation, say)
        supervisor = Supervisor(installation)
        if not supervisor.running():
            _stop_orphans(installation, say)
            _require_free_ports(installation)
        supervisor.start(_everything(installation))
        if parts.servers:
            _start_servers(installation, supervisor, say, migrate=parts.programs)
        if parts.programs:
            _start_programs(installation, supervisor, say)


def down(installation: Installation, say: Say, erase: bool = False) -> None:
    """Stops programs, gateway, registry, kafka, redis and postgres in this order, and then supervisord.

    With `erase` the data goes too: everything that an installation makes in `var`, secrets included.
    """
    with exclusive(installation):
        supervisor = Supervisor(installation)
        if supervisor.running():
            known = supervisor.states()
            servers = [name for name in ("registry", "kafka", "redis", "postgres") if name in known]
            ours = [name for name in known if name not in servers and name != "gateway"]
            supervisor.halt(ours)
            for name in ("gateway", *servers):
                supervisor.halt([name])
            supervisor.shut_down()
            say("stopped")
        elif not _stop_orphans(installation, say):
            say("nothing is running")
        if erase:
            _erase(installation)
            say(f"erased {installation.var}")
            if given := [name for name in GIVEN_BY if not getattr(installation.environment, f"own_{name}")]:
                say(f"what is on servers of your own stays there: {', '.join(given)}")


def _everything(installation: Installation) -> list[Program]:
    """All programs, each with a digest of its code or configuration file: supervisord starts again what has another."""
    code = code_digest()
    texts = {
        "postgres": postgres.SETTINGS,
        "redis": redis.render(installation),
        "kafka": kafka_server.render(installation),
        "registry": "",
        "gateway": gateway.render(installation),
    }
    found = [*programs.servers(installation), programs.gateway(installation), *programs.processes(installation)]
    return [
        replace(program, variables={**program.variables, "ROOKERY_DIGEST": _digest(texts.get(program.name, code))})
        for program in found
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _prepare_servers(installation: Installation, say: Say) -> None:
    """Files and folders; the downloads, where they are needed, go on at the same time."""
    environment = installation.environment
    preparing: list[Callable[[], object]] = [lambda: gateway.prepare(installation)]
    if environment.own_postgres:
        preparing.append(lambda: postgres.prepare(installation))
    if environment.own_redis:
        preparing.append(lambda: redis.prepare(installation))
    if environment.own_kafka:
        preparing.append(lambda: kafka_server.prepare(installation))
    if environment.own_registry:
        preparing.append(lambda: registry.prepare(installation))
    _timed(say, "configuration", lambda: _together(preparing))


def _start_servers(installation: Installation, supervisor: Supervisor, say: Say, migrate: bool) -> None:
    environment = installation.environment
    supervisor.launch(program.name for program in programs.servers(installation))

    def stores() -> None:
        _await_server(installation, supervisor, "postgres", say)
        _await_server(installation, supervisor, "redis", say)
        _timed(say, "databases and roles", lambda: databases.create(environment))
        if migrate:
            _module(installation, say, "migrations", "infra.local.migrations")
            _module(installation, say, "projections", "projectors.runtime.prepare")

    def log() -> None:
        _await_server(installation, supervisor, "kafka", say)
        _timed(say, "topics", lambda: topics.create(environment))

    def schemas() -> None:
        _await_server(installation, supervisor, "registry", say)
        _timed(say, "schemas", lambda: registration.register(environment.schema_registry_url))

    _together([stores, log, schemas])


def _start_programs(installation: Installation, supervisor: Supervisor, say: Say) -> None:
    started = time.monotonic()
    ours = programs.processes(installation)
    supervisor.launch([program.name for program in ours] + ["gateway"])
    for program in ours:
        if program.ready_path:
            url = f"http://127.0.0.1:{installation.environment.ports[program.name]}{program.ready_path}"
            _await_program(installation, supervisor, program.name, partial(readiness.ask_http, url))
    for name in [program.name for program in ours] + ["gateway"]:
        _await_program(installation, supervisor, name, partial(_ask_supervisor, supervisor, name))
    health = f"{installation.environment.gateway_url}/healthz"
    _await_program(installation, supervisor, "gateway", lambda: readiness.ask_http(health))
    say(f"{len(ours)} processes and the gateway ({time.monotonic() - started:.1f} s)")


def _ask_supervisor(supervisor: Supervisor, name: str) -> readiness.Answer:
    state = supervisor.states()[name]["statename"]
    return readiness.Answer(state in RUNNING, f"supervisord says {state}")


def _await_server(installation: Installation, supervisor: Supervisor, name: str, say: Say) -> None:
    started = time.monotonic()
    environment = installation.environment
    ours = name in {program.name for program in programs.servers(installation)}

    def alive() -> None:
        if ours:
            supervisor.require_alive(name)

    try:
        answer = readiness.wait(
            installation, name, lambda: readiness.ask(name, environment), SERVER_SECONDS_MAX if ours else 10, alive
        )
    except NotReadyError as error:
        if ours:
            raise
        raise LocalError(f"the server that {GIVEN_BY[name]} names {error.reason}") from None
    say(f"{answer.text} ({time.monotonic() - started:.1f} s)")


def _await_program(
    installation: Installation, supervisor: Supervisor, name: str, question: Callable[[], readiness.Answer]
) -> None:
    readiness.wait(installation, name, question, PROGRAM_SECONDS_MAX, lambda: supervisor.require_alive(name))


def _module(installation: Installation, say: Say, title: str, module: str, *arguments: str) -> None:
    """Runs one of our own modules as a preparing step, with the installation's configuration."""

    def run() -> None:
        variables = os.environ | programs.process_variables(installation, os.environ)
        done = subprocess.run(
            [programs.python(), "-m", module, *arguments],
            cwd=REPOSITORY,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StepError(f"python -m {module} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    _timed(say, title, run)


def _timed(say: Say, title: str, step: Callable[[], T]) -> T:
    started = time.monotonic()
    try:
        result = step()
    except LocalError:
        raise
    except Exception as error:  # every client has its own tree of errors
        raise StepError(f"{title}: {type(error).__name__}: {error}") from error
    say(f"{title} ({time.monotonic() - started:.1f} s)")
    return result


def _together(steps: Sequence[Callable[[], object]]) -> None:
    """Runs them at the same time; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=len(steps)) as pool:
        for future in [pool.submit(step) for step in steps]:
            future.result()


def _stop_orphans(installation: Installation, say: Say) -> int:
    if stopped := orphans.stop(installation):
        say(f"stopped {stopped} processes that a killed supervisord had left running")
    return stopped


def ports_in_use(installation: Installation) -> dict[str, int]:
    """The ports of this installation that something listens on already, by name."""
    ports = installation.environment.ports
    names = [name for program in _everything(installation) for name in program.ports]
    return {name: ports[name] for name in names if readiness.is_listening(ports[name])}


def _require_free_ports(installation: Installation) -> None:
    if used := ports_in_use(installation):
        listed = ", ".join(f"{port} ({name})" for name, port in used.items())
        raise LocalError(
            f"something else listens on {listed}: stop it, or choose other ports by ROOKERY_PORT_BASE"
            " (it and the 14 ports above it are used)"
        )


def _erase(installation: Installation) -> None:
    outside = postgres.outside_directory(installation).parent
    if outside.exists():
        shutil.rmtree(outside)
    # By name: `var` may be a folder that holds other things too, such as the tests' installation.
    for entry in (installation.var / name for name in MADE):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
