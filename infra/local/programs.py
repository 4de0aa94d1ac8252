"""Lists everything that one installation runs, each with its command, in the order of starting; starts nothing."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.local import kafka_server, postgres, registry, tls
from infra.local.failures import MissingError
from infra.local.installation import Installation

PROJECTIONS = ("profiles", "graph", "posts", "counters", "notifications", "feed", "trends")

# Variables that name servers of the user's own; together with everything that begins with ROOKERY_ they are an
# installation's whole configuration.
ADDRESS_VARIABLES = (
    "KAFKA_BOOTSTRAP_SERVERS",
    "SCHEMA_REGISTRY_URL",
    "REDIS_URL",
    "DATABASE_URL",
    "COMMAND_DATABASE_URL",
    "VAULT_DATABASE_URL",
    "READ_DATABASE_URL",
    "QUERY_DATABASE_URL",
    "KEYS_DATABASE_URL",
)

GUNICORN_WORKERS = 2
GUNICORN_THREADS = 8
# Longer than the gateway keeps an idle connection, so that a request never meets a connection just being closed.
KEEP_ALIVE_SECONDS = 75


@dataclass(frozen=True)
class Program:
    """What supervisord needs to run one process. Ports are those it listens on, for the check before starting."""

    name: str
    command: list[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    ports: tuple[str, ...] = ()
    ready_path: str | None = None  # answers 200 over HTTP when it is ready


def servers(installation: Installation) -> list[Program]:
    """Those that are ours to start, in the order of starting; `down` takes them in reverse."""
    environment = installation.environment
    found = []
    if environment.own_postgres:
        found.append(_postgres(installation))
    if environment.own_redis:
        found.append(
            Program("redis", [find("redis-server"), str(installation.var / "redis" / "redis.conf")], ports=("redis",))
        )
    if environment.own_kafka:
        command = kafka_server.command(installation)
        found.append(Program("kafka", command, stop_seconds=40, ports=("kafka", "kafka_controller")))
    if environment.own_registry:
        variables = registry.variables(installation)
        found.append(Program("registry", registry.command(installation), variables, ports=("registry",)))
    return found


def gateway(installation: Installation) -> Program:
    config = installation.var / "nginx" / "nginx.conf"
    command = [find("nginx"), "-e", "stderr", "-p", str(installation.var / "nginx"), "-c", str(config)]
    secure = ("gateway_tls",) if tls.present(installation) else ()
    return Program("gateway", command, ports=("gateway", "gateway_health", *secure))


def processes(installation: Installation, environ: Mapping[str, str] | None = None) -> list[Program]:
    """Our own processes: the write side, the projectors, the read side."""
    variables = process_variables(installation, os.environ if environ is None else environ)
    ports = installation.environment.ports
    command = _gunicorn("command_api.wsgi:application", ports["command"], "--config", "python:command_api.serving")
    query = query_command(ports["query"])
    realtime = _module("uvicorn", "query_api.asgi:application", "--host", "127.0.0.1", "--port", str(ports["realtime"]))
    realtime += ["--ws", "websockets", "--no-access-log", "--timeout-keep-alive", str(KEEP_ALIVE_SECONDS)]
    realtime += ["--timeout-graceful-shutdown", "5"]
    monitor = _module("infra.monitor.serve", "--bind", f"127.0.0.1:{ports['monitor']}")
    return [
        Program("command", command, variables, ports=("command",), ready_path="/readyz"),
        Program("relay", _module("command_api.event_log.relay"), variables),
        *(
            Program(f"projector-{name}", _module("projectors.runtime.live", name), variables, stop_seconds=15)
            for name in PROJECTIONS
        ),
        Program("purger", _module("infra.purge.worker"), variables, ports=("purger",), ready_path="/readyz"),
        Program("monitor", monitor, variables, ports=("monitor",), ready_path="/readyz"),
        Program("sender", _module("projectors.runtime.sender"), variables),
        Program("query", query, variables, ports=("query",), ready_path="/readyz"),
        Program("realtime", realtime, variables, ports=("realtime",), ready_path="/readyz"),
    ]


def process_variables(installation: Installation, environ: Mapping[str, str]) -> dict[str, str]:
    """The installation's configuration, as variables of its processes."""
    kept = {name: value for name, value in environ.items() if is_configuration(name)}
    kept["ROOKERY_VAR"] = str(installation.var)
    kept.setdefault("ROOKERY_PORT_BASE", str(installation.environment.ports["gateway"]))
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


def is_configuration(variable: str) -> bool:
    """Whether a variable says what an installation is; one that only the demo or the tests read is none of these."""
    if variable.startswith(("ROOKERY_DEMO_", "ROOKERY_TEST_")):
        return False
    return variable.startswith("ROOKERY_") or variable in ADDRESS_VARIABLES


def find(name: str) -> str:
    """The path of an installed program; Debian keeps servers where a person's own PATH does not lead.

    Raises MissingError when it is nowhere.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if not path:
        raise MissingError(f"{name} is not installed")
    return path


def python() -> str:
    return sys.executable


def _module(name: str, *arguments: str) -> list[str]:
    return [python(), "-m", name, *arguments]


def query_command(port: int, workers: int = GUNICORN_WORKERS) -> list[str]:
    """The query API over HTTP."""
    return _gunicorn("query_api.wsgi:application", port, "--config", "python:query_api.serving", workers=workers)


def _gunicorn(application: str, port: int, *further: str, workers: int = GUNICORN_WORKERS) -> list[str]:
    return _module(
        "gunicorn",
        application,
        *("--worker-class", "gthread", "--workers", str(workers), "--threads", str(GUNICORN_THREADS)),
        *("--bind", f"127.0.0.1:{port}", "--keep-alive", str(KEEP_ALIVE_SECONDS), "--graceful-timeout", "5"),
        # It would be one socket for all gunicorns of a user, served by a thread of the process that forks the workers.
        *("--log-level", "warning", "--no-control-socket", *further),
    )


def _postgres(installation: Installation) -> Program:
    data = postgres.data_directory(installation)
    command = [str(postgres.binaries(data) / "postgres"), "-D", str(data)]
    # INT is PostgreSQL's "fast" shutdown: sessions are ended, and what is committed is checkpointed.
    user = postgres.system_user()
    return Program("postgres", command, user=user, stop_signal="INT", stop_seconds=60, ports=("postgres",))
