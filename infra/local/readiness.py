"""Asks each server a real question, so that "up" means that it answers and not that its port is open."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from infra.local.failures import LocalError, NotReadyError
from infra.local.installation import Installation
from shared.environment import Environment

QUESTION_SECONDS_MAX = 2.0


def ask_postgres(environment: Environment) -> str:
    """Its version."""
    import psycopg

    with psycopg.connect(environment.admin_database_url, connect_timeout=2) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return f"PostgreSQL {row[0].split()[0] if row else '?'}"


def ask_redis(environment: Environment) -> str:
    """Its version."""
    import redis

    with redis.Redis.from_url(environment.redis_url, socket_timeout=QUESTION_SECONDS_MAX) as client:
        info = client.info("server")
    return f"Redis {info['redis_version']}"


def ask_kafka(environment: Environment) -> str:
    """How many topics its metadata names."""
    for address in environment.kafka_bootstrap_servers.split(","):
        host, _, port = address.strip().rpartition(":")
        socket.create_connection((host, int(port)), QUESTION_SECONDS_MAX).close()  # librdkafka would wait, and log
        break
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": environment.kafka_bootstrap_servers, "log_level": 0})
    metadata = client.list_topics(timeout=QUESTION_SECONDS_MAX)
    if not metadata.brokers:
        raise LocalError("no broker has registered yet")
    return f"Kafka, {len(metadata.brokers)} broker, {len(metadata.topics)} topics"


def ask_registry(environment: Environment) -> str:
    """How many subjects it holds."""
    import json

    with urllib.request.urlopen(f"{environment.schema_registry_url}/subjects", timeout=QUESTION_SECONDS_MAX) as answer:
        return f"Schema registry, {len(json.load(answer))} subjects"


QUESTIONS: dict[str, Callable[[Environment], str]] = {
    "postgres": ask_postgres,
    "redis": ask_redis,
    "kafka": ask_kafka,
    "registry": ask_registry,
}


@dataclass(frozen=True)
class Answer:
    ok: bool
    text: str


def ask(name: str, environment: Environment) -> Answer:
    """Asks once; an error is an answer too."""
    try:
        return Answer(True, QUESTIONS[name](environment))
    except Exception as error:  # each client has its own tree of errors, and all of them mean "not ready"
        return Answer(False, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")


def ask_http(url: str) -> Answer:
    """Any 2xx is yes; the text is the beginning of the body."""
    try:
        with urllib.request.urlopen(url, timeout=QUESTION_SECONDS_MAX) as answer:
            return Answer(True, answer.read(500).decode(errors="replace").strip())
    except urllib.error.HTTPError as error:
        body = " ".join(error.read(300).decode(errors="replace").split())
        return Answer(False, f"{error.code} {body}")
    except OSError as error:
        return Answer(False, str(error))


def wait(
    installation: Installation, name: str, question: Callable[[], Answer], seconds_max: float, alive: Callable[[], None]
) -> Answer:
    """Asks until it is answered. `alive` raises when waiting has no point any more.

    Raises NotReadyError with the last answer and the end of the log.
    """
    deadline = time.monotonic() + seconds_max
    while True:
        answer = question()
        if answer.ok:
            return answer
        alive()
        if time.monotonic() > deadline:
            reason = f"did not answer within {seconds_max:.0f} s ({answer.text})"
            raise NotReadyError(name, reason, installation.log_of(name))
        time.sleep(0.1)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def host_of(url: str) -> str:
    """The address of a URL without its secrets, for showing."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
